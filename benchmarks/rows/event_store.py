"""The event store on PostgreSQL.

What one shipper puts into it, and how long a day's window takes out of a full one.

Needs a server: LEADSCORE_BENCH_POSTGRESQL is the URL of a database whose user may make others. Ours is made
and dropped.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Final

import numpy as np
import pyarrow as pa

from benchmarks.bench import FULL, Bench, Suite
from benchmarks.row import Row, at_least, at_most
from leadscore.errors import UnavailableError
from leadscore.events.labels import PredictionSelection
from leadscore.events.partitions import make_partitions, months_to_make
from leadscore.events.records import API_SOURCE, Prediction, new_id, now_us
from leadscore.events.shipping import Shipper
from leadscore.events.spool import SpoolWriter
from leadscore.events.store import EventStore
from leadscore.events.windows import iter_predictions, to_microseconds
from leadscore.identity.caller import KEY, Caller

_URL: Final = "LEADSCORE_BENCH_POSTGRESQL"
_FEATURES: Final = 25
# Days and months are as full as those of 50 M predictions in a year; other months are never read.
_DAYS: Final = 73
_A_YEAR: Final = 5
_DAY_US: Final = 86_400_000_000
# Made on the server: what is measured is reading them.
_FILL: Final = """
INSERT INTO predictions SELECT lpad(to_hex(at), 26, '0'), 'L-' || (n %% 3000000), 'leads', '7',
  'abcdef012345', 'champion', at, 0.25, 25, 'B', decode(repeat(md5(n::text), 6) || '01020304', 'hex'),
  lpad(to_hex(n), 26, '0'), '[]', 84, 'api', 'key', 'crm', '10.0.0.7'
  FROM (SELECT n, %s::bigint + n * %s::bigint AS at FROM generate_series(%s::bigint, %s::bigint) n) r
"""
_SIZE: Final = (
    "SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits WHERE inhparent = 'predictions'::regclass"
)


def _measure(bench: Bench, wanted: frozenset[str]) -> list[Row]:
    full = bench.effort.bulk_rows == FULL.bulk_rows
    rows: list[Row] = []
    if "store-ingest" in wanted:
        with fresh_store() as store:
            rows.append(_ingest(bench, store, 200_000 if full else 5_000))
    if wanted - {"store-ingest"}:
        with fresh_store() as store:
            rows += _window(bench, store, 10_000_000 if full else 100_000)
    return rows


@contextmanager
def fresh_store() -> Generator[EventStore]:
    """An empty store in a database of its own, dropped afterwards.

    Raises:
        UnavailableError: There is no server.
    """
    import psycopg  # noqa: PLC0415

    server = os.environ.get(_URL)
    if not server:
        raise UnavailableError("No PostgreSQL to measure on.", hint=f"Set {_URL} to a database's URL.")
    name = f"leadscore_bench_{secrets.token_hex(4)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            with EventStore(f"{server.rpartition('/')[0]}/{name}", answer_seconds=None) as store:
                store.check()
                yield store
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def url_of(store: EventStore) -> str:
    """The URL of a fresh store, for other processes: its server's password included."""
    return f"{os.environ[_URL].rpartition('/')[0]}/{store.name.rpartition('/')[2]}"


def _ingest(bench: Bench, store: EventStore, count: int) -> Row:
    bench.say(f"store: {count:,} predictions by one shipper")
    features = np.random.default_rng(0).standard_normal((count, _FEATURES)).astype("<f4")
    caller = Caller(KEY, "crm", "10.0.0.7")
    root = bench.folder / "store-spool"
    with SpoolWriter(root, max_bytes=1 << 30) as writer:
        for number in range(count):
            name = new_id()
            writer.append_prediction(
                Prediction(
                    name, f"L-{number}", "leads", "7", "abcdef012345", "champion", now_us(), 0.25, 25.0, "B",
                    features[number].tobytes(), name, (), 84, API_SOURCE, caller,
                )
            )  # fmt: skip
    with Shipper(root, store) as shipper:
        started, worked = time.perf_counter(), time.process_time()
        while not shipper.ship_once().idle:
            pass
        seconds, cpu = time.perf_counter() - started, time.process_time() - worked
    return Row(
        name="store-ingest",
        what="predictions a second into PostgreSQL, by one shipper",
        value=count / seconds,
        unit="rows/s",
        goal=at_least(20_000),
        beside=f"the shipper's own processor time {cpu / count * 1e6:.1f} µs a row",
        how=f"{count:,} records of {_FEATURES} features with caller, from the spool, in batches of 2,000",
    )


def _window(bench: Bench, store: EventStore, count: int) -> list[Row]:
    end = now_us()
    begin, step = end - _DAYS * _DAY_US, _DAYS * _DAY_US // count
    with store.writing() as connection:
        make_partitions(connection, months_to_make(range(begin, end, _DAY_US), end))
        # Roll-ups have rows of their own: see their figures.
        connection.exec_driver_sql("ALTER TABLE predictions DISABLE TRIGGER mark_pending")
    for first in range(0, count, 500_000):
        bench.say(f"store: {first:,} of {count:,} predictions")
        last = min(count, first + 500_000) - 1
        with store.writing() as connection:
            connection.exec_driver_sql(_FILL, (begin, step, first, last))
    with store.writing() as connection:
        connection.exec_driver_sql("ANALYZE predictions")
        size = int(connection.exec_driver_sql(_SIZE).scalar_one())
    seconds: list[float] = []
    found = 0
    for days_ago in (10, 35, 60):
        until = datetime.fromtimestamp((end - days_ago * _DAY_US) / 1e6, UTC)
        started = time.perf_counter()
        day = PredictionSelection(to_microseconds(until - timedelta(days=1)), to_microseconds(until))
        found = pa.Table.from_batches(iter_predictions(store, day)).num_rows
        seconds.append(time.perf_counter() - started)
    how = (
        f"{count:,} predictions of {_DAYS} days in monthly partitions: as dense as {_A_YEAR * count:,} a year"
    )
    return [
        Row(
            name="store-window",
            what=f"window of a day ({found:,} predictions) out of {_A_YEAR * count:,}",
            value=median(seconds),
            unit="s",
            goal=at_most(1.0),
            how=f"{how}; read to Arrow, median of three days",
        ),
        Row(
            name="store-bytes",
            what="bytes of a prediction on disk, indexes included",
            value=size / count,
            unit="B",
            goal=None,
            how=how,
        ),
    ]


SUITES = (Suite(("store-ingest", "store-window", "store-bytes"), _measure),)
