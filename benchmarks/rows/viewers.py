"""People who look at the console while callers are answered: how long pages take, and what scoring feels.

Needs a server, as `event_store` does: LEADSCORE_BENCH_POSTGRESQL. The last row needs Chromium.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import median
from typing import Final

import httpx
from loadtests.slo import percentile

from benchmarks.bench import FULL, Bench, Suite
from benchmarks.errors import BenchError
from benchmarks.openloop import constant_rate
from benchmarks.processes import Plan, Running, running
from benchmarks.reference import write_lines
from benchmarks.row import Row, at_most
from benchmarks.rows.event_store import fresh_store, url_of
from benchmarks.rows.overview import fill_counts
from benchmarks.service import COMMAND, api_key, service_plan
from benchmarks.wrk import Target
from leadscore.identity.apikeys import create_key
from leadscore.settings import Home

_VIEWERS: Final = 20
_RATE: Final = 200.0
# As the console's pages do by themselves.
_REFRESH_SECONDS: Final = 5.0
_PAGES: Final = ("/", "/live", "/drift", "/model", "/business", "/alerts")
_OURS: Final = {"Sec-Fetch-Site": "same-origin"}
_PAINTED: Final = """() => new Promise(done => new PerformanceObserver(list => {
  const all = list.getEntries(); done(all[all.length - 1].startTime);
}).observe({type: 'largest-contentful-paint', buffered: true}))"""


def _measure(bench: Bench, wanted: frozenset[str]) -> list[Row]:
    full = bench.effort.bulk_rows == FULL.bulk_rows
    folder = bench.folder / "viewers"
    key = api_key(folder)
    home = Home.from_environment({"LEADSCORE_HOME": str(folder)})
    viewer, _ = create_key(folder / "api-keys.yaml", "viewer", ("view",))
    rows: list[Row] = []
    with fresh_store() as store:
        fill_counts(bench, store, datetime.now(UTC), 183 if full else 10)
        # Both read and write the same database, as they do in a cluster.
        shared = {
            "LEADSCORE_HOME": str(home.root),
            "LEADSCORE_EVENTS_URL": url_of(store),
            "LEADSCORE_API_KEYS": str(folder / "api-keys.yaml"),
        }
        console = Plan(
            "console",
            # As `leadscore up` starts it, and its share of a core in the chart makes it.
            ("nice", "-n", "10", COMMAND, "console", "--name", "leads", "--port", "{port}"),
            "/readyz",
            folder,
            shared,
        )
        with running(console) as pages:
            if wanted & {"viewers-page", "viewers-scoring"}:
                plan = service_plan(bench.reference.directory, folder)
                with running(
                    Plan(plan.name, plan.command, plan.ready, folder, {**plan.environ, **shared})
                ) as s:
                    leads = write_lines(bench.folder / "leads.jsonl", bench.reference.leads)
                    target = Target("LeadScore", s.port, "/score-lead?reasons=0", leads, key)
                    rows += _beside(bench, target, pages, viewer, 5 if full else 1, 20.0 if full else 3.0)
            if "overview-paint" in wanted:
                rows.append(_paint(bench, pages, viewer, 20 if full else 2))
    return [row for row in rows if row.name in wanted]


@dataclass
class _Viewers:
    """People with an open page each, which asks again every few seconds."""

    seconds: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


@contextmanager
def _looking(address: str, key: str) -> Generator[_Viewers]:
    seen, stop = _Viewers(), threading.Event()

    def look(number: int) -> None:
        with httpx.Client(base_url=address, headers=_OURS, timeout=30.0) as client:
            _sign_in(client, key)
            path = _PAGES[number % len(_PAGES)]
            tick = 0
            # They did not come all at once.
            stop.wait(number * _REFRESH_SECONDS / _VIEWERS)
            while not stop.is_set():
                started = time.perf_counter()
                reply = client.post(
                    "/_dash-update-component",
                    json=_asked(f"{address}{path}", tick),
                    headers={"X-CSRFToken": client.cookies.get("_csrf_token") or ""},
                )
                took = time.perf_counter() - started
                if reply.status_code == 200:
                    seen.seconds.append(took)
                else:
                    seen.failed.append(f"{path}: {reply.status_code}")
                tick += 1
                stop.wait(max(_REFRESH_SECONDS - took, 0.0))

    people = [threading.Thread(target=look, args=(number,)) for number in range(_VIEWERS)]
    for person in people:
        person.start()
    try:
        yield seen
    finally:
        stop.set()
        for person in people:
            person.join()


def _sign_in(client: httpx.Client, key: str) -> None:
    reply = client.post("/sign-in", data={"key": key, "next": "/"})
    if reply.status_code != 303:
        raise BenchError(f"The console let nobody in: {reply.status_code}.")


def _asked(href: str, tick: int) -> dict[str, object]:
    return {
        "output": "..content.children...served.data..",
        "changedPropIds": ["tick.data"],
        "outputs": [{"id": "content", "property": "children"}, {"id": "served", "property": "data"}],
        "inputs": [
            {"id": "url", "property": "href", "value": href},
            {"id": "tick", "property": "data", "value": tick},
        ],
    }


def _beside(
    bench: Bench, target: Target, console: Running, key: str, rounds: int, seconds: float
) -> list[Row]:
    """Scoring alone and beside viewers, in turn."""
    alone, beside, pages = list[float](), list[float](), list[float]()
    constant_rate(target, rate=_RATE, seconds=3)
    for turn in range(rounds):
        bench.say(f"viewers: round {turn + 1}")
        alone.append(percentile(constant_rate(target, rate=_RATE, seconds=seconds), 0.95))
        with _looking(f"http://127.0.0.1:{console.port}", key) as seen:
            beside.append(percentile(constant_rate(target, rate=_RATE, seconds=seconds), 0.95))
        if seen.failed:
            raise BenchError(f"{len(seen.failed)} pages failed, the first {seen.failed[0]}")
        pages += seen.seconds
    how = (
        f"{_VIEWERS} people, a page each {_REFRESH_SECONDS:.0f} s, {_RATE:.0f} requests a second, one"
        f" database; {rounds} rounds of {seconds:.0f} s with and without them; one core for both,"
        " the console of lower priority"
    )
    return [
        Row(
            name="viewers-page",
            what=f"a page of the console while {_VIEWERS} people look, P95",
            value=percentile(pages, 0.95) * 1e3,
            unit="ms",
            goal=at_most(500),
            beside=f"median {median(pages) * 1e3:.0f} ms of {len(pages)} pages",
            how=how,
        ),
        Row(
            name="viewers-scoring",
            what=f"what {_VIEWERS} people add to the P95 of `/score-lead`",
            value=median(b - a for a, b in zip(alone, beside, strict=True)),
            unit="ms",
            goal=at_most(1.0),
            beside=f"P95 {median(alone):.2f} ms without them, {median(beside):.2f} ms with them",
            how=how,
        ),
    ]


def _paint(bench: Bench, console: Running, key: str, loads: int) -> Row:
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 (only this row needs it)

    program = shutil.which("chromium")
    if program is None:
        raise BenchError("There is no Chromium: `make system` installs it.")
    address = f"http://127.0.0.1:{console.port}"
    painted, bytes_ = list[float](), list[int]()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        with httpx.Client(base_url=address, headers=_OURS) as client:
            _sign_in(client, key)
            cookies = [{"name": c.name, "value": c.value or "", "url": address} for c in client.cookies.jar]
        for load in range(loads):
            bench.say(f"viewers: first page, load {load + 1}")
            # A browser context of its own: nothing is in its cache.
            context = browser.new_context(viewport={"width": 1300, "height": 900})
            context.add_cookies(cookies)  # pyright: ignore[reportArgumentType] - typed for more keys
            page = context.new_page()
            page.goto(f"{address}/")
            page.locator("#title:not(:empty)").wait_for()
            page.wait_for_load_state("networkidle")
            painted.append(float(page.evaluate(_PAINTED)))
            bytes_.append(
                int(
                    page.evaluate(
                        "() => [...performance.getEntriesByType('resource'),"
                        " ...performance.getEntriesByType('navigation')]"
                        ".reduce((sum, entry) => sum + entry.transferSize, 0)"
                    )
                )
            )
            context.close()
        browser.close()
    return Row(
        name="overview-paint",
        what="largest paint of the Overview, nothing in the browser's cache, P95",
        value=percentile(painted, 0.95) / 1e3,
        unit="s",
        goal=at_most(1.0),
        beside=f"median {median(painted) / 1e3:.2f} s; {median(bytes_) / 1e6:.2f} MB transferred",
        how=f"headless Chromium on the same machine, counts of 10 M predictions in PostgreSQL, {loads} loads",
    )


SUITES: Final = (Suite(("viewers-page", "viewers-scoring", "overview-paint"), _measure),)
