"""Roll-ups of a few raw leads, counted the slow and obvious way: what queries are compared with."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import sqlalchemy as sa

from leadscore.events.store import EventStore
from leadscore.monitoring.queries.ranges import moment_us
from leadscore.monitoring.rollups.tables import (
    HOUR_US,
    LATENCY_EDGES_US,
    rollup_features,
    rollup_hours,
    rollup_latencies,
    rollup_progress,
)
from leadscore.scoring.probability_bins import PROBABILITY_EDGES


@dataclass(frozen=True, kw_only=True)
class ScoredLead:
    """A prediction and what became of it."""

    at: datetime
    version: str = "1"
    role: str = "champion"
    source: str = "api"
    probability: float = 0.1
    grade: str = "C"
    superseded: bool = False
    converted: bool | None = None
    value: float | None = None
    latency_us: int | None = None
    cells: tuple[tuple[str, int], ...] = ()
    selected: bool = False


def random_leads(
    start: datetime, days: float, n: int, seed: int, versions: Sequence[str] = ("9", "10", "11")
) -> list[ScoredLead]:
    """Leads of several versions, in every state that a lead can be in."""
    rng = np.random.default_rng(seed)
    leads: list[ScoredLead] = []
    for _ in range(n):
        p = float(rng.beta(0.6, 4))
        known = rng.random() < 0.8
        converted = bool(rng.random() < p) if known else None
        leads.append(
            ScoredLead(
                at=start + timedelta(seconds=float(rng.uniform(0, days * 86_400))),
                version=str(rng.choice(versions)),
                role=str(rng.choice(["champion", "shadow"], p=[0.8, 0.2])),
                source=str(rng.choice(["api", "batch"])),
                probability=p,
                grade="DCBA"[int(np.searchsorted([0.05, 0.15, 0.4], p, side="right"))],
                superseded=bool(rng.random() < 0.1),
                converted=converted,
                value=float(rng.lognormal(5, 1)) if converted else None,
                latency_us=int(rng.lognormal(8, 1)) if rng.random() < 0.9 else None,
                cells=(("country", int(rng.integers(3))), ("score", bisect_left(PROBABILITY_EDGES, p) // 3)),
                selected=p >= 0.3,
            )
        )
    return leads


def fill_rollups(
    store: EventStore,
    leads: Sequence[ScoredLead],
    *,
    model: str = "crm",
    caught_up: datetime | None,
    seen: datetime | None = None,
) -> None:
    """Count the leads into the tables, as the worker would."""
    hours: dict[tuple[object, ...], dict[str, float]] = defaultdict(lambda: defaultdict(float))
    features: dict[tuple[object, ...], dict[str, float]] = defaultdict(lambda: defaultdict(float))
    latencies: dict[tuple[object, ...], dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for lead in leads:
        hour = moment_us(lead.at) // HOUR_US * HOUR_US
        common = (hour, model, lead.version, lead.role)
        labelled, won = lead.converted is not None, bool(lead.converted)
        p, value = lead.probability, lead.value
        _add(
            hours[*common, lead.source, lead.grade, bisect_left(PROBABILITY_EDGES, p)],
            predictions=1,
            superseded=lead.superseded,
            superseded_unlabelled=lead.superseded and not labelled,
            labelled=labelled,
            converted=won,
            valued=labelled and value is not None,
            sum_probability=p,
            sum_variance=p * (1 - p),
            sum_value=value or 0.0,
            sum_squared_value=(value or 0.0) ** 2,
            labelled_sum_probability=p if labelled else 0.0,
            sum_squared_error=(p - won) ** 2 if labelled else 0.0,
        )
        for feature, cell in lead.cells:
            _add(
                features[*common, feature, cell],
                predictions=1,
                selected=lead.selected,
                labelled=labelled,
                converted=won,
                selected_labelled=lead.selected and labelled,
                selected_converted=lead.selected and won,
                sum_probability=p,
                sum_value=value or 0.0,
            )
        if lead.latency_us is not None:
            _add(
                latencies[*common, lead.source, bisect_left(LATENCY_EDGES_US, lead.latency_us)], predictions=1
            )
    with store.writing() as connection:
        for table, counted in (
            (rollup_hours, hours),
            (rollup_features, features),
            (rollup_latencies, latencies),
        ):
            keys = [column.name for column in table.primary_key]
            rows = [{**dict(zip(keys, key, strict=True)), **sums} for key, sums in counted.items()]
            if rows:
                connection.execute(sa.insert(table), rows)
        moments = {"caught_up": caught_up, "seen": seen or caught_up}
        connection.execute(sa.delete(rollup_progress))
        for name, at in moments.items():
            if at is not None:
                connection.execute(sa.insert(rollup_progress).values(name=name, at=moment_us(at)))


def _add(sums: dict[str, float], **values: float) -> None:
    for name, value in values.items():
        sums[name] += value
