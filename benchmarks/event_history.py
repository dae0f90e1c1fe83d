"""Months of predictions and outcomes in a store on PostgreSQL, made on the server: some seconds a million.

Leads are the synthetic CRM's, encoded by its contract, some thousand of them again and again; hours are
as full as a sales organisation's; a version follows the other, and the newest runs in the shadow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt

from leadscore.contract import contract_version
from leadscore.data import synthetic
from leadscore.data.matrix import encode_table
from leadscore.drift.reference import build_profile
from leadscore.events.partitions import make_partitions, months_to_make
from leadscore.events.store import EventStore
from leadscore.monitoring.model_facts import ModelFacts
from leadscore.scoring.grades import GRADES
from leadscore.training.threshold import grades_by_capacity

MODEL: Final = "leads"
_HOUR_US: Final = 3_600_000_000
_DAY_US: Final = 24 * _HOUR_US
_KINDS: Final = 20_000
_AT_ONCE: Final = 500_000
# Versions by the share of the time that they serve, one after the other; the last only in the shadow.
_SERVING: Final = (("5", 0.4), ("6", 0.35), ("7", 0.25))
_SHADOW: Final = ("8", 0.1)
# How busy hours of the day are, UTC; weekends have a third.
_DAY_SHAPE: Final = (1, 1, 1, 1, 1, 2, 4, 8, 12, 14, 14, 13, 12, 13, 14, 14, 12, 9, 6, 4, 3, 2, 2, 1)

_SCORED: Final = """
INSERT INTO predictions (prediction_id, lead_id, model_name, model_version, contract_version, role, scored_at,
  probability, score, grade, features, request_id, warnings, latency_us, source, caller_kind, caller_name)
SELECT %(prefix)s || lpad(to_hex(at), 15, '0') || lpad(to_hex(n), 8, '0'),
  'L-' || (n * 48271 %% %(leads)s), 'leads', version, %(contract)s, %(role)s, at,
  p, round(p * 1000) / 10, grade, features, lpad(to_hex(n), 26, '0'), '[]',
  60 + n * 31 %% 200 + CASE WHEN n %% 97 = 0 THEN 3000 ELSE 0 END, 'api', 'key', 'crm'
FROM (SELECT n, h.version, h.hour + ((n - h.first) * 3600000000 / h.count)::bigint AS at
      FROM bench_hours h, generate_series(h.first, h.first + h.count - 1) n
      WHERE h.first >= %(first)s AND h.first < %(last)s AND n %% %(every)s = 0) s
JOIN bench_kinds k ON k.kind = s.n * 7919 %% %(kinds)s
"""
_TOLD: Final = """
INSERT INTO outcomes (outcome_id, lead_id, prediction_id, converted, value, occurred_at, recorded_at, source)
SELECT 'o' || prediction_id, lead_id, CASE WHEN random() < 0.5 THEN prediction_id END, won,
  CASE WHEN won THEN round((500 + 20000 * random())::numeric, 2)::float8 ELSE 0 END, at, at + 60000000, 'crm'
FROM (SELECT *, random() < probability AS won,
        scored_at + (86400000000 * (1 + 19 * random()))::bigint AS at
      FROM predictions
      WHERE role = 'champion' AND scored_at < %(until)s AND random() < %(share)s) s
"""


@dataclass(frozen=True, slots=True)
class EventHistory:
    """What was made.

    Attributes:
        start: First moment.
        end: First moment after it.
        facts: What the artefact of each version would say.
    """

    start: datetime
    end: datetime
    facts: dict[str, ModelFacts]

    def facts_of(self, name: str, version: str) -> ModelFacts:
        """What is said of a version, by model name and version."""
        del name
        return self.facts[version]


def fill_history(
    store: EventStore,
    *,
    predictions: int = 10_000_000,
    outcomes: int = 500_000,
    months: float = 8.0,
    end: datetime | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> EventHistory:
    """Fill an empty store on PostgreSQL; roll-ups are left to the worker, which finds everything by itself.

    Args:
        store: Whose user owns the tables.
        predictions: How many callers were answered with; shadows come on top.
        outcomes: How many, about, of predictions older than three weeks.
        months: Of time.
        end: Where it ends; now if left out.
        say: Told what is being done.
    """
    last = (end or datetime.now(UTC)).replace(minute=0, second=0, microsecond=0)
    first = (last - timedelta(days=30 * months)).replace(minute=0)
    contract = synthetic.synthetic_contract()
    matrix = encode_table(contract, synthetic.generate(rows=_KINDS, seed=3, start=first, months=months))
    probabilities = _probabilities(matrix)
    grades = grades_by_capacity(probabilities)
    profile = build_profile(contract, matrix, probabilities)
    facts = {
        version: ModelFacts(
            name=MODEL, version=version, contract=contract, profile=profile, grades=grades,
            threshold=grades.a, metrics={}, holdout=None,
        )
        for version in (*(v for v, _ in _SERVING), _SHADOW[0])
    }  # fmt: skip
    hours = _hours(first, last, predictions)
    codes = grades.codes(probabilities).tolist()
    kinds = [(n, matrix[n].tobytes(), p, GRADES[codes[n]]) for n, p in enumerate(probabilities.tolist())]
    known = {
        "leads": max(1, predictions * 7 // 10),
        "contract": contract_version(contract),
        "kinds": _KINDS,
    }
    with store.writing() as connection:
        days = range(hours[0][0], hours[-1][0], _DAY_US)
        make_partitions(connection, months_to_make(days, hours[-1][0]))
        for statement in (
            "CREATE UNLOGGED TABLE bench_hours (hour bigint, first bigint, count bigint, version text)",
            "CREATE UNLOGGED TABLE bench_kinds (kind int PRIMARY KEY, features bytea, p float8, grade text)",
            "ALTER TABLE predictions DISABLE TRIGGER USER",
            "ALTER TABLE outcomes DISABLE TRIGGER USER",
        ):
            connection.exec_driver_sql(statement)
        connection.exec_driver_sql("INSERT INTO bench_hours VALUES (%s, %s, %s, %s)", hours)
        connection.exec_driver_sql("INSERT INTO bench_kinds VALUES (%s, %s, %s, %s)", kinds)
    shadow_from = hours[round(len(hours) * (1 - _SHADOW[1]))][1]
    for begin in range(0, predictions, _AT_ONCE):
        say(f"history: {begin:,} of {predictions:,} predictions")
        part = {**known, "first": begin, "last": begin + _AT_ONCE}
        with store.writing() as connection:
            connection.exec_driver_sql(_SCORED, {**part, "prefix": "c", "role": "champion", "every": 1})
            if begin + _AT_ONCE > shadow_from:
                shadows = _SCORED.replace("h.version,", f"'{_SHADOW[0]}' AS version,")
                part["first"] = max(begin, shadow_from)
                connection.exec_driver_sql(shadows, {**part, "prefix": "s", "role": "shadow", "every": 10})
    until = hours[-1][0] - 21 * _DAY_US
    old = max(1, sum(count for hour, _, count, _ in hours if hour < until))
    say(f"history: about {outcomes:,} outcomes")
    with store.writing() as connection:
        connection.exec_driver_sql(_TOLD, {"until": until, "share": min(1.0, outcomes / old)})
        for statement in (
            "ALTER TABLE predictions ENABLE TRIGGER USER",
            "ALTER TABLE outcomes ENABLE TRIGGER USER",
            "DROP TABLE bench_hours, bench_kinds",
            "ANALYZE predictions",
            "ANALYZE outcomes",
        ):
            connection.exec_driver_sql(statement)
    return EventHistory(first, last, facts)


def _probabilities(matrix: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Scores as a model gives them: few leads are likely, and it depends on what they are."""
    centred = np.nan_to_num((matrix - np.nanmean(matrix, axis=0)) / (np.nanstd(matrix, axis=0) + 1e-9))
    weights = np.random.default_rng(5).normal(0, 0.35, matrix.shape[1])
    return 1 / (1 + np.exp(2.6 - np.clip(centred, -3, 3).astype(np.float64) @ weights))


def _hours(first: datetime, last: datetime, predictions: int) -> list[tuple[int, int, int, str]]:
    """First moment, number of the first prediction, count and version of each hour; empty hours left out."""
    starts = [first + timedelta(hours=n) for n in range((last - first) // timedelta(hours=1))]
    weights = np.array([_DAY_SHAPE[h.hour] / (3 if h.weekday() > 4 else 1) for h in starts])
    ends = np.rint(np.cumsum(weights) / weights.sum() * predictions).astype(np.int64).tolist()
    shares = np.cumsum([share for _, share in _SERVING])
    found: list[tuple[int, int, int, str]] = []
    begin = 0
    for place, (hour, until) in enumerate(zip(starts, ends, strict=True)):
        version = _SERVING[int(np.searchsorted(shares, place / len(starts), side="right"))][0]
        if until > begin:
            found.append((int(hour.timestamp()) * 1_000_000, begin, until - begin, version))
        begin = until
    return found
