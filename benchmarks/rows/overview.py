"""The console's first page on counts of 10 M predictions in PostgreSQL: its slowest statement, and all of it.

Needs a server, as `event_store` does: LEADSCORE_BENCH_POSTGRESQL.
"""

from __future__ import annotations

import time
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import sqlalchemy as sa

from benchmarks.bench import FULL, Bench, Suite
from benchmarks.row import Row, at_most
from benchmarks.rows.event_store import fresh_store
from leadscore.console.page import PageReader, PageRequest
from leadscore.console.pages import business, model, overview
from leadscore.events.store import EventStore
from leadscore.identity.approvers import Approvers
from leadscore.settings import Home

# As dense as 10 M predictions in half a year: 2,283 an hour; a tenth of them shadow, two versions at a time.
_DAYS: Final = 183
_AN_HOUR: Final = 2_283
_FEATURES: Final = 26
# What the worker would have counted, made on the server: each hour has every bin of probability in its grade.
_HOURS: Final = """
INSERT INTO rollup_hours SELECT h * 3600000000::bigint, 'leads', v.version, v.role, 'api',
  CASE WHEN b < 4 THEN 'D' WHEN b < 9 THEN 'C' WHEN b < 13 THEN 'B' ELSE 'A' END, b, v.n, v.n / 20, v.n / 40,
  v.n * 9 / 10, (v.n * b / 60)::bigint, (v.n * b / 60)::bigint, v.n * b / 50.0, v.n * b / 60.0,
  v.n * b * 3.0, v.n * b * 900.0, v.n * b / 56.0, v.n * b / 80.0
  FROM generate_series(%(first)s::bigint, %(last)s::bigint) h, generate_series(0, 20) b,
  (VALUES ('7', 'champion', 78), ('8', 'champion', 20), ('9', 'shadow', 10)) v(version, role, n)
"""
_CELLS: Final = """
INSERT INTO rollup_features SELECT h * 3600000000::bigint, 'leads', v.version, v.role,
  CASE f WHEN 0 THEN 'score' ELSE 'feature_' || f END, c, v.n, v.n / 10, v.n * 9 / 10, v.n / 10, v.n / 11,
  v.n / 30, v.n / 10.0, v.n * 8.0
  FROM generate_series(%(first)s::bigint, %(last)s::bigint) h, generate_series(0, %(features)s - 1) f,
  generate_series(0, 10) c, (VALUES ('7', 'champion', 149), ('8', 'champion', 38)) v(version, role, n)
"""
_LATENCIES: Final = """
INSERT INTO rollup_latencies SELECT h * 3600000000::bigint, 'leads', v.version, 'champion', 'api', b, 100
  FROM generate_series(%(first)s::bigint, %(last)s::bigint) h, generate_series(15, 30) b,
  (VALUES ('7'), ('8')) v(version)
"""


class _Statements:
    """How long each statement took, in seconds, by its text."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, list[float]] = defaultdict(list)
        self._began = 0.0

    def before(self, *_: Any) -> None:
        self._began = time.perf_counter()

    def after(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        self.seconds[statement].append(time.perf_counter() - self._began)


def _measure(bench: Bench, wanted: frozenset[str]) -> list[Row]:
    full = bench.effort.bulk_rows == FULL.bulk_rows
    days, loads = (_DAYS, 60) if full else (10, 3)
    with fresh_store() as store:
        now = datetime.now(UTC)
        fill_counts(bench, store, now, days)
        rows = _overview(bench, store, now, days, loads)
    return [row for row in rows if row.name in wanted]


def fill_counts(bench: Bench, store: EventStore, now: datetime, days: int) -> None:
    """Put what the worker would have counted in `days` until now into an empty store on PostgreSQL."""
    hour = int(now.timestamp()) // 3_600
    with store.writing() as connection:
        for day in range(days):
            if day % 30 == 0:
                bench.say(f"overview: counts of day {day} of {days}")
            given = {"first": hour - 24 * (day + 1) + 1, "last": hour - 24 * day, "features": _FEATURES}
            for statement in (_HOURS, _CELLS, _LATENCIES):
                connection.exec_driver_sql(statement, given)
        at = int(now.timestamp() * 1e6)
        connection.exec_driver_sql(
            "INSERT INTO rollup_progress (name, at) VALUES ('caught_up', %(at)s), ('seen', %(at)s)"
            " ON CONFLICT (name) DO UPDATE SET at = excluded.at",
            {"at": at},
        )
    with store.writing() as connection:
        for table in ("rollup_hours", "rollup_features", "rollup_latencies"):
            connection.exec_driver_sql(f"ANALYZE {table}")


def _overview(bench: Bench, store: EventStore, now: datetime, days: int, loads: int) -> list[Row]:
    request = _request(bench.folder, store, now)
    statements = _Statements()
    sa.event.listen(sa.Engine, "before_cursor_execute", statements.before)
    sa.event.listen(sa.Engine, "after_cursor_execute", statements.after)
    try:
        bench.say("overview: loading the page")
        pages: list[float] = []
        for _ in range(loads):
            started = time.perf_counter()
            overview.build(request)
            pages.append(time.perf_counter() - started)
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", statements.before)
        sa.event.remove(sa.Engine, "after_cursor_execute", statements.after)
    slowest = max(float(np.quantile(seconds, 0.95)) for seconds in statements.seconds.values())
    others = {page.title: _seconds(request, page.build, loads) for page in (business.PAGE, model.PAGE)}
    beside = ", ".join(f"{title} {seconds * 1e3:.0f} ms" for title, seconds in others.items())
    predictions = days * 24 * _AN_HOUR
    return [
        Row(
            name="overview-query",
            what="slowest statement of the Overview, P95",
            value=slowest * 1e3,
            unit="ms",
            goal=at_most(100),
            beside=f"the first load's slowest {max(s[0] for s in statements.seconds.values()) * 1e3:.0f} ms",
            how=f"counts of {predictions:,} predictions of {days} days in PostgreSQL, {loads} loads",
        ),
        Row(
            name="overview-page",
            what="Overview made on the server, P95",
            value=float(np.quantile(pages, 0.95)) * 1e3,
            unit="ms",
            goal=at_most(500),
            beside=f"P95 of 90 days: {beside}",
            how="as above; statements and components, without the browser",
        ),
    ]


def _seconds(request: PageRequest, build: Any, loads: int) -> float:
    since = request.now - timedelta(days=90)
    asked = PageRequest(
        path="/", since=since, until=request.now, range_name="90d", filters={}, reader=request.reader,
        model=request.model, store=request.store, approvers=request.approvers, home=request.home,
        now=request.now,
    )  # fmt: skip
    taken: list[float] = []
    for _ in range(max(loads // 6, 2)):
        started = time.perf_counter()
        build(asked)
        taken.append(time.perf_counter() - started)
    return float(np.quantile(taken, 0.95))


def _request(folder: Path, store: EventStore, now: datetime) -> PageRequest:
    home = Home.from_environment({"LEADSCORE_HOME": str(folder / "console")})
    return PageRequest(
        path="/", since=now - timedelta(days=1), until=now, range_name="24h", filters={},
        reader=PageReader(kind="key", role="viewer"), model="leads", store=store,
        approvers=Approvers(home.api_keys), home=home, now=now,
    )  # fmt: skip


SUITES: Final = (Suite(("overview-query", "overview-page"), _measure),)
