"""A full recount of everything that is stored, in plain Python: what the roll-ups must come to.

Written from `docs/events.md`, not from the SQL: one loop per rule.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import sqlalchemy as sa

from leadscore.events.records import Outcome, Prediction
from leadscore.events.rows import prediction_of
from leadscore.events.schema import outcomes, predictions
from leadscore.events.store import EventStore
from leadscore.monitoring.rollups import tables
from leadscore.monitoring.rollups.counting import CellsOfVersion, VersionView
from leadscore.scoring.probability_bins import PROBABILITY_EDGES
from leadscore.scoring.profile import FeatureProfile, ReferenceProfile

HOUR = tables.HOUR_US
Numbers = dict[tuple[object, ...], tuple[float, ...]]

PROFILE = ReferenceProfile(
    rows=10,
    features=(
        FeatureProfile(
            name="budget", kind="numeric", edges=(1.0, 2.0), counts=(3, 3, 3), missing=1,
            bin_means=(0, 1, 2), bin_stds=(0, 0, 0),
        ),
        FeatureProfile(name="source", kind="categorical", counts=(5, 4, 0), missing=1),
        FeatureProfile(name="vip", kind="boolean", counts=(5, 5), missing=0),
    ),
    score_edges=(0.2, 0.6),
    score_counts=(4, 3, 3),
    quantiles=tuple(np.linspace(0, 1, 101).tolist()),
)  # fmt: skip
CONTRACT = "abcdef012345"
CELLS = CellsOfVersion(PROFILE, CONTRACT, 0.5)


@dataclass(frozen=True)
class Everything:
    """All that is stored."""

    predictions: tuple[Prediction, ...]
    outcomes: tuple[Outcome, ...]


def stored_records(store: EventStore) -> Everything:
    """Read all of it, without any of the code that is under test."""
    with store.reading() as connection:
        scored = [prediction_of(tuple(row)) for row in connection.execute(sa.select(predictions))]
        told = [Outcome(*row) for row in connection.execute(sa.select(outcomes))]
    return Everything(tuple(scored), tuple(told))


def label_of(p: Prediction, everything: Everything) -> Outcome | None:
    """The outcome that counts for a prediction."""
    stream = [q for q in everything.predictions if _stream(q) == _stream(p)]
    theirs: list[Outcome] = []
    for o in everything.outcomes:
        if o.prediction_id == p.prediction_id:
            theirs.append(o)
            continue
        named = [q for q in everything.predictions if q.prediction_id == o.prediction_id]
        if o.lead_id != p.lead_id or any((q.model_name, q.role) == (p.model_name, p.role) for q in named):
            continue
        before = [q for q in stream if q.scored_at <= o.occurred_at]
        if before and max(before, key=_when) == p:
            theirs.append(o)
    return max(theirs, key=lambda o: (o.recorded_at, o.outcome_id), default=None)


def is_superseded(p: Prediction, everything: Everything) -> bool:
    """Whether its lead was scored again later, in the same stream."""
    return any(_stream(q) == _stream(p) and _when(q) > _when(p) for q in everything.predictions)


def _stream(p: Prediction) -> tuple[str, str, str]:
    return p.lead_id, p.model_name, p.role


def _when(p: Prediction) -> tuple[int, str]:
    return p.scored_at, p.prediction_id


def recount(everything: Everything, cells_of: Callable[[str, str], VersionView]) -> dict[str, Numbers]:
    """Every row of the roll-ups."""
    hours: defaultdict[tuple[object, ...], list[list[float]]] = defaultdict(list)
    features: defaultdict[tuple[object, ...], list[list[float]]] = defaultdict(list)
    latencies: defaultdict[tuple[object, ...], list[list[float]]] = defaultdict(list)
    unprofiled: defaultdict[tuple[object, ...], list[list[float]]] = defaultdict(list)
    for p in everything.predictions:
        label, again = label_of(p, everything), is_superseded(p, everything)
        hour, probability = p.scored_at // HOUR * HOUR, p.probability
        version = (hour, p.model_name, p.model_version)
        labelled, won = label is not None, label is not None and label.converted
        value = None if label is None else label.value
        hours[*version, p.role, p.source, p.grade, _left(PROBABILITY_EDGES, probability)].append(
            [
                *(1, again, again and not labelled, labelled, won, value is not None),
                *(probability, probability * (1 - probability), value or 0.0, (value or 0.0) ** 2),
                *((probability, (probability - won) ** 2) if labelled else (0.0, 0.0)),
            ]
        )
        if p.latency_us is not None:
            latencies[*version, p.role, p.source, _left(tables.LATENCY_EDGES_US, p.latency_us)].append([1])
        cells = cells_of(p.model_name, p.model_version)
        if not isinstance(cells, CellsOfVersion) or (p.contract_version, len(p.features)) != (CONTRACT, 12):
            unprofiled[version].append([1])
            continue
        likely = probability >= cells.threshold
        row = [
            *(1, likely, labelled, won, likely and labelled, likely and won),
            *(probability, value or 0.0),
        ]
        features[*version, p.role, "score", _right(PROFILE.score_edges, probability)].append(row)
        for feature, number in zip(PROFILE.features, np.frombuffer(p.features, "<f4"), strict=True):
            features[*version, p.role, feature.name, _cell(feature, float(number))].append(row)
    everywhere = {
        "rollup_hours": hours,
        "rollup_features": features,
        "rollup_latencies": latencies,
        "rollup_unprofiled": unprofiled,
    }
    return {
        name: {key: tuple(map(math.fsum, zip(*rows, strict=True))) for key, rows in found.items()}
        for name, found in everywhere.items()
    }


def _cell(feature: FeatureProfile, number: float) -> int:
    if math.isnan(number):
        return len(feature.counts)
    return _right(feature.edges, number) if feature.kind == "numeric" else int(number)


def _left(edges: Sequence[float], value: float) -> int:
    return sum(edge < value for edge in edges)


def _right(edges: Sequence[float], value: float) -> int:
    return sum(edge <= value for edge in edges)


_KEYS = {"rollup_hours": 7, "rollup_features": 6, "rollup_latencies": 6, "rollup_unprofiled": 3}


def rolled_up(store: EventStore) -> dict[str, Numbers]:
    """What the tables say (reasons left out)."""
    with store.reading() as connection:
        return {
            name: {
                tuple(row[:keys]): tuple(map(float, row[keys : keys + (1 if "unprof" in name else 99)]))
                for row in connection.execute(sa.select(getattr(tables, name)))
            }
            for name, keys in _KEYS.items()
        }


def differences(found: dict[str, Numbers], wanted: dict[str, Numbers]) -> list[str]:
    """Where the tables differ from the recount; sums may differ by rounding."""
    said: list[str] = []
    for name, rows in wanted.items():
        for key in sorted(found[name].keys() | rows.keys(), key=str):
            one, other = found[name].get(key), rows.get(key)
            same = one is not None and other is not None and len(one) == len(other)
            if not same or not all(
                math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9)
                for a, b in zip(one or (), other or (), strict=True)
            ):
                said.append(f"{name} {key}: {one}, by the recount {other}")
    return said


LeadRow = tuple[object, ...]


def recount_leads(everything: Everything) -> dict[tuple[str, str], LeadRow]:
    """Every row of `lead_scores`."""
    answers: defaultdict[tuple[str, str], list[Prediction]] = defaultdict(list)
    for p in sorted(everything.predictions, key=_when):
        if p.role != "shadow":
            answers[p.model_name, p.lead_id].append(p)
    found: dict[tuple[str, str], LeadRow] = {}
    for (name, lead), given in answers.items():
        newest = given[-1]
        before = given[-2] if len(given) > 1 else None
        changed = [b.scored_at for a, b in pairwise(given) if a.grade != b.grade]
        told = max(
            (o for o in everything.outcomes if o.lead_id == lead),
            key=lambda o: (o.recorded_at, o.outcome_id),
            default=None,
        )
        found[name, lead] = (
            *(newest.prediction_id, newest.model_version, newest.scored_at, newest.probability),
            *(newest.score, newest.grade, given[0].scored_at),
            *((before.prediction_id, before.probability, before.grade) if before else (None, None, None)),
            changed[-1] if changed else None,
            *((told.converted, told.occurred_at) if told else (None, None)),
        )
    return found


def stored_leads(store: EventStore) -> dict[tuple[str, str], LeadRow]:
    """What `lead_scores` says; how often it was changed is left out."""
    said = [column for column in tables.lead_scores.c if column.name != "change"]
    with store.reading() as connection:
        rows = connection.execute(sa.select(*said))
        return {(row[0], row[1]): tuple(row[2:]) for row in rows}
