"""Make the soak's report from the event store."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import sqlalchemy as sa

from leadscore.events.labels import PredictionSelection
from leadscore.events.records import SHADOW_ROLE
from leadscore.events.schema import predictions
from leadscore.events.store import EventStore
from leadscore.events.windows import to_microseconds
from leadscore.release.cohorts import read_cohort
from leadscore.release.soak import KpiReport, SoakPlan, SoakRequest, evaluate_soak
from leadscore.sequences import Floats


def report_soak(
    store: EventStore, about: SoakRequest, plan: SoakPlan, *, baseline_days: float = 28.0
) -> KpiReport:
    """Read both versions' leads and compare them.

    Args:
        store: The log.
        about: Which versions, since when, up to when.
        plan: As chosen before the soak.
        baseline_days: Days before the soak from which the version before is read.

    Raises:
        UnavailableError: The log cannot be read.
    """
    exposure = timedelta(hours=about.exposure_hours)
    begin = about.since - timedelta(days=baseline_days)
    before = read_cohort(
        store,
        about.model,
        (about.previous, about.previous),
        since=begin,
        until=about.since,
        now=about.until,
        exposure=exposure,
    )
    now = read_cohort(
        store,
        about.model,
        (about.version, about.version),
        since=about.since,
        now=about.until,
        exposure=exposure,
    )
    spans = ((about.previous, begin, about.since), (about.version, about.since, about.until))
    grades = [
        _grades(store, PredictionSelection(to_microseconds(a), to_microseconds(b), about.model, str(version)))
        for version, a, b in spans
    ]
    return evaluate_soak(before, now, (grades[0], grades[1]), plan, about)


def _grades(store: EventStore, selection: PredictionSelection) -> Floats:
    """1.0 for each prediction with grade A, in the order of scoring: grades are known at once."""
    c = predictions.c
    query = (
        sa.select(c.grade)
        .where(selection.where(), c.role != SHADOW_ROLE)
        .order_by(c.scored_at, c.prediction_id)
    )
    with store.reading() as connection:
        return np.array([grade == "A" for grade in connection.execute(query).scalars()], dtype=np.float64)
