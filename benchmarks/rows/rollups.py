"""Roll-ups on PostgreSQL and SQLite: how fast hours are counted, how far behind, what the triggers cost.

Needs a server, as `event_store` does: LEADSCORE_BENCH_POSTGRESQL.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final, cast

import numpy as np

from benchmarks.bench import FULL, Bench, Suite
from benchmarks.event_history import MODEL, EventHistory, fill_history
from benchmarks.row import Row, at_least, at_most
from benchmarks.rows.event_store import fresh_store
from leadscore.contract import contract_version
from leadscore.events.records import Prediction, new_id, now_us
from leadscore.events.store import EventStore
from leadscore.investigation import reading
from leadscore.investigation.request import InvestigationRequest
from leadscore.investigation.run import conclude_investigation
from leadscore.monitoring.queries.ranges import HourRange
from leadscore.monitoring.rollups.cells import VersionCells
from leadscore.monitoring.rollups.counting import Uncounted
from leadscore.monitoring.rollups.progress import read_rollup_progress
from leadscore.monitoring.rollups.worker import RollupWorker

_BATCH: Final = 2_000
_A_SECOND: Final = 200


def _measure(bench: Bench, wanted: frozenset[str]) -> list[Row]:
    full = bench.effort.bulk_rows == FULL.bulk_rows
    rows: list[Row] = []
    if wanted & {"rollup-rate", "rollup-lag", "investigation-time"}:
        with fresh_store() as store:
            count = 10_000_000 if full else 50_000
            history = fill_history(store, predictions=count, outcomes=count // 20, say=bench.say)
            rows += [
                _rate(bench, store, history, count, 120.0 if full else 10.0),
                _investigation(bench, store, history, count),
                _lag(bench, store, history, 60 if full else 3),
            ]
    if "rollup-triggers" in wanted:
        with fresh_store() as store:
            rows.append(_triggers(bench, store, 40 if full else 2))
    if "rollup-rate-sqlite" in wanted:
        with EventStore(f"sqlite:///{bench.folder / 'rollups.db'}") as store:
            rows.append(_rate_sqlite(bench, store, 100_000 if full else 2_000))
    return [row for row in rows if row.name in wanted]


def _rate(bench: Bench, store: EventStore, history: EventHistory, count: int, seconds: float) -> Row:
    bench.say("roll-ups: counting hours")
    worker = RollupWorker(store, VersionCells(history.facts_of))
    # The hours are listed first, which is not what is measured.
    worker.run(seconds=0.0)
    started, cpu = time.perf_counter(), time.process_time()
    done = worker.run(seconds=seconds)
    took, cpu = time.perf_counter() - started, time.process_time() - cpu
    return Row(
        name="rollup-rate",
        what="predictions counted a second into roll-ups, PostgreSQL",
        value=done.predictions / took,
        unit="rows/s",
        goal=at_least(50_000),
        beside=f"the worker's own processor time {cpu / max(1, done.predictions) * 1e6:.1f} µs a row",
        how=f"the newest {done.hours:,} hours ({done.predictions:,} predictions, 25 features) of {count:,}",
    )


def _investigation(bench: Bench, store: EventStore, history: EventHistory, count: int) -> Row:
    """What was counted last is compared: two weeks with the two before, as people mostly ask."""
    bench.say("investigation: reading")
    request = InvestigationRequest(
        model=MODEL, time=HourRange(history.end - timedelta(days=14), history.end), asked_at=history.end
    )
    facts, changes, replay = reading._facts, reading._registry_changes, reading._replay  # noqa: SLF001
    try:
        # There is no registry: what it would say is known, and no model is asked again.
        reading._facts = lambda _registry, _name, version: (history.facts.get(version), "")  # noqa: SLF001
        reading._registry_changes = lambda _registry, _request: ((), "")  # noqa: SLF001
        reading._replay = lambda *_: (None, "")  # noqa: SLF001
        started = time.perf_counter()
        seen = reading.observe(store, cast("Any", None), cast("Any", None), request)
        report = conclude_investigation(seen)
        took = time.perf_counter() - started
    finally:
        reading._facts, reading._registry_changes, reading._replay = facts, changes, replay  # noqa: SLF001
    return Row(
        name="investigation-time",
        what=f"an investigation on {count:,} predictions, PostgreSQL",
        value=took,
        unit="s",
        goal=at_most(30.0),
        beside=f"{seen.now.total.predictions:,} predictions of two weeks; it says: {report.cause}",
        how="two weeks with the two before; roll-ups, records and 20,000 leads read, without a registry",
    )


def _lag(bench: Bench, store: EventStore, history: EventHistory, seconds: int) -> Row:
    """A worker beside a writer, as the monitor has it; whatever is older has been counted before."""
    bench.say("roll-ups: behind the shipper")
    with store.writing() as connection:
        connection.exec_driver_sql("DELETE FROM rollup_dirty")
        connection.exec_driver_sql("UPDATE rollup_progress SET position = NULL")
        connection.exec_driver_sql(
            "INSERT INTO rollup_progress VALUES ('listed_leads', 0, NULL) ON CONFLICT DO NOTHING"
        )
    stop, committed, lags = threading.Event(), list[int](), list[float]()
    contract = history.facts["7"].profile.features
    width, version = len(contract), _contract_version(history)

    def write() -> None:
        rng = np.random.default_rng(0)
        for _ in range(seconds):
            features = rng.standard_normal((_A_SECOND, width)).astype("<f4")
            store.append([_prediction(features[n].tobytes(), version) for n in range(_A_SECOND)], [])
            committed.append(now_us())
            stop.wait(1.0)
        stop.set()

    worker = RollupWorker(store, VersionCells(history.facts_of))
    writer = threading.Thread(target=write)
    writer.start()
    seen = 0
    while not (stop.is_set() and seen == len(committed)):
        worker.run()
        with store.reading() as connection:
            caught_up = read_rollup_progress(connection).caught_up or 0
        while seen < len(committed) and committed[seen] <= caught_up:
            lags.append((now_us() - committed[seen]) / 1e6)
            seen += 1
        time.sleep(1.0)
    writer.join()
    return Row(
        name="rollup-lag",
        what="from a record's commit until it is counted, P95",
        value=float(np.quantile(lags, 0.95)),
        unit="s",
        goal=at_most(5.0),
        how=f"{_A_SECOND} predictions a second for {seconds} s, the worker's pause of 1 s included",
    )


def _triggers(bench: Bench, store: EventStore, rounds: int) -> Row:
    bench.say("roll-ups: ingest with and without triggers")

    def switch(how: str) -> None:
        with store.writing() as connection:
            connection.exec_driver_sql(f"ALTER TABLE predictions {how} TRIGGER USER")

    def ingest() -> float:
        batch = [_prediction(bytes(100), "abcdef012345") for _ in range(_BATCH)]
        started = time.perf_counter()
        store.append(batch, [])
        return time.perf_counter() - started

    return _alternated(switch, ingest, rounds)


def _alternated(switch: Callable[[str], None], ingest: Callable[[], float], rounds: int) -> Row:
    with_triggers, without = list[float](), list[float]()
    for _ in range(rounds):
        switch("ENABLE")
        with_triggers.append(ingest())
        switch("DISABLE")
        without.append(ingest())
    one, other = float(np.median(with_triggers)), float(np.median(without))
    return Row(
        name="rollup-triggers",
        what="time to store a batch with roll-ups' triggers, times the time without",
        value=one / other,
        unit="×",
        goal=at_most(1.3),
        beside=f"{_BATCH / one:,.0f} against {_BATCH / other:,.0f} rows/s",
        how=f"batches of {_BATCH:,} predictions of 25 features, in turn, median of {rounds} each",
    )


def _rate_sqlite(bench: Bench, store: EventStore, count: int) -> Row:
    bench.say("roll-ups: SQLite")
    for _ in range(0, count, _BATCH):
        store.append([_prediction(bytes(100), "abcdef012345") for _ in range(_BATCH)], [])
    worker = RollupWorker(store, lambda name, version: Uncounted(f"no profile of {name}/{version}"))
    started = time.perf_counter()
    done = worker.run(seconds=600.0)
    took = time.perf_counter() - started
    return Row(
        name="rollup-rate-sqlite",
        what="predictions counted a second into roll-ups, SQLite",
        value=done.predictions / took,
        unit="rows/s",
        goal=None,
        how=f"{done.predictions:,} predictions of one hour, from inserted to counted, without features",
    )


def _prediction(features: bytes, version: str) -> Prediction:
    name = new_id()
    return Prediction(
        name, f"L-{name}", "leads", "7", version, "champion", now_us(), 0.25, 25.0, "B", features, name, (),
        84, "api",
    )  # fmt: skip


def _contract_version(history: EventHistory) -> str:
    return contract_version(history.facts["7"].contract)


SUITES = (
    Suite(
        ("rollup-rate", "investigation-time", "rollup-lag", "rollup-triggers", "rollup-rate-sqlite"),
        _measure,
    ),
)
