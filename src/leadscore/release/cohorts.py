"""Leads of an experiment.

Who scored them first, and what was known of them after the same time for everybody.

Outcomes come days to months late, and losses later than wins, so a comparison of what is known *now*
favours the arm whose leads are older or faster. Each lead therefore counts once its exposure is over, with
what was known by then: converted within `exposure` of its first score, or not. Such a lead never changes
again, and both arms are compared on equal terms. A lead belongs to the version that scored it first,
whatever scored it later (intention to treat).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from leadscore.events.labels import PredictionSelection
from leadscore.events.records import SHADOW_ROLE
from leadscore.events.store import EventStore
from leadscore.events.windows import iter_labelled, to_microseconds


@dataclass(frozen=True, slots=True, eq=False)
class Cohort:
    """Mature leads in the order in which they matured.

    Attributes:
        at: End of each lead's exposure, microseconds since the epoch (n,).
        second: Which leads version B scored first (n,).
        converted: 1.0 if known to have converted within the exposure (n,).
        value: Revenue known then, 0 for all others (n,).
        grade_a: Whether its first grade was A (n,).
        immature: Leads whose exposure is not over.
        crossed: Leads that both versions scored.
    """

    at: npt.NDArray[np.int64]
    second: npt.NDArray[np.bool_]
    converted: npt.NDArray[np.float64]
    value: npt.NDArray[np.float64]
    grade_a: npt.NDArray[np.bool_]
    immature: int
    crossed: int


@dataclass(slots=True)
class Lead:
    """One lead while the log is read."""

    first: int
    version: str
    grade_a: bool
    known: int | None = None
    value: float = 0.0
    crossed: bool = False


def read_cohort(
    store: EventStore,
    model: str,
    versions: tuple[int, int],
    *,
    since: datetime,
    now: datetime,
    exposure: timedelta,
    until: datetime | None = None,
) -> Cohort:
    """Read the leads that either version scored in [since, until or now).

    Args:
        store: The log.
        model: Registered name.
        versions: A and B.
        since: First moment.
        now: Leads and outcomes later than this are not known yet.
        exposure: How long each lead is given.
        until: Leads first scored from here on do not belong; None: `now`.

    Raises:
        UnavailableError: The store cannot be read.
    """
    leads: dict[str, Lead] = {}
    end = to_microseconds(until or now)
    for version in sorted({str(v) for v in versions}):
        selection = PredictionSelection(to_microseconds(since), end, model, version)
        for batch in iter_labelled(store, selection, known_by=to_microseconds(now)):
            columns = ("lead_id", "role", "grade", "converted", "value")
            moments = (batch.column(name).cast("int64").to_pylist() for name in ("scored_at", "recorded_at"))
            rows = zip(*(batch.column(c).to_pylist() for c in columns), *moments, strict=True)
            for lead_id, role, grade, converted, value, scored_at, recorded_at in rows:
                if role != SHADOW_ROLE:
                    _add(leads, lead_id, scored_at, version, grade == "A")
                    if converted:
                        _learn(leads[lead_id], recorded_at, value or 0.0)
    return mature(
        leads.values(),
        str(versions[1]),
        now=to_microseconds(now),
        exposure=exposure // timedelta(microseconds=1),
    )


def mature(leads: Iterable[Lead], second: str, *, now: int, exposure: int) -> Cohort:
    """The leads whose exposure (µs) is over at `now` (µs), in the order in which it ended."""
    everyone = list(leads)
    ripe = sorted(
        (lead for lead in everyone if lead.first + exposure <= now),
        key=lambda lead: (lead.first, lead.version),
    )
    in_time = [lead.known is not None and lead.known <= lead.first + exposure for lead in ripe]
    return Cohort(
        at=np.array([lead.first + exposure for lead in ripe], dtype=np.int64),
        second=np.array([lead.version == second for lead in ripe], dtype=bool),
        converted=np.array(in_time, dtype=np.float64),
        value=np.array(
            [lead.value if known else 0.0 for lead, known in zip(ripe, in_time, strict=True)],
            dtype=np.float64,
        ),
        grade_a=np.array([lead.grade_a for lead in ripe], dtype=bool),
        immature=len(everyone) - len(ripe),
        crossed=sum(lead.crossed for lead in everyone),
    )


def _add(leads: dict[str, Lead], lead_id: str, at: int, version: str, grade_a: bool) -> None:
    lead = leads.get(lead_id)
    if lead is None:
        leads[lead_id] = Lead(at, version, grade_a)
        return
    lead.crossed = lead.crossed or lead.version != version
    if at < lead.first:
        lead.first, lead.version, lead.grade_a = at, version, grade_a


def _learn(lead: Lead, recorded_at: int, value: float) -> None:
    if lead.known is None or recorded_at < lead.known:
        lead.known, lead.value = recorded_at, value
