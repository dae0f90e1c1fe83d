"""Every panel of the chart's dashboards, asked of a real Prometheus.

It scrapes what the service's and the monitor's own exporters write: no panel is empty, and none is invalid.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.registry import Collector
from tests.integration.monitoring.test_exporter import FACTS
from tests.support.chart import CHART
from tests.support.events import outcome, prediction
from tests.support.prometheus import Prometheus
from tests.support.waiting import wait_until

from leadscore.alerts.chores import AlertMonitor
from leadscore.contract import contract_version
from leadscore.events.health import ShipperHealth
from leadscore.events.records import now_us
from leadscore.events.store import EventStore
from leadscore.monitoring.chores import Chore, ChoreKeeper
from leadscore.monitoring.exporter import ModelMetricsExporter
from leadscore.monitoring.lease import StoreLease
from leadscore.monitoring.monitor import RollupChores, keeper_metrics
from leadscore.monitoring.rollups.cells import VersionCells
from leadscore.scoring.profile import FeatureProfile, ReferenceProfile
from leadscore_service.metrics_export import Gauges, ServedModel, render
from leadscore_service.metrics_layout import CounterLayout

DASHBOARDS = sorted((CHART / "files" / "dashboards").glob("*.json"))
NAMESPACE = "scoring"
DAY = 86_400_000_000
TOKEN = "token"
FIRING = {
    "version": "4",
    "alerts": [
        {
            "status": "firing", "fingerprint": "f", "startsAt": "2026-11-29T00:00:00Z",
            "labels": {"alertname": "LeadScoringErrorRate", "severity": "critical"},
        }
    ],
}  # fmt: skip


def service() -> Callable[[], bytes]:
    """The page of a service whose every counter grows."""
    features = (
        FeatureProfile(
            name="employees", kind="numeric", edges=(10.0,), counts=(4, 6), missing=0,
            bin_means=(5.0, 20.0), bin_stds=(1.0, 1.0),
        ),
    )  # fmt: skip
    profile = ReferenceProfile(
        rows=10, features=features, score_edges=(0.5,), score_counts=(5, 5), quantiles=(0.5,) * 101
    )
    layout = CounterLayout.of(profile, "leads/1/x")
    model = ServedModel("leads", "1", "c", "numpy", "abc", profile)
    shipper = ShipperHealth(pid=1, state="shipping", updated_at=now_us(), lag_seconds=0.2)
    gauges = Gauges(
        ready=True, keys=1, key_reload_errors=0, spool_bytes=1, spool_max_bytes=2, idempotency_bytes=0,
        shipper=shipper,
    )  # fmt: skip
    looks = count(1)
    return lambda: render(model, layout, [next(looks)] * layout.size, gauges)


def filled(store: EventStore) -> None:
    """Leads of ten weeks and of today, most of the old ones with an outcome."""
    rng, now = np.random.default_rng(1), now_us()
    scored, told = [], []
    for number in range(900):
        at = now - 70 * DAY + number * DAY // 800 if number < 600 else now - DAY // 2
        p = float(rng.beta(1, 3))
        row = np.array([rng.uniform(0, 3), rng.integers(2), rng.integers(2)], dtype="<f4").tobytes()
        scored.append(
            prediction(
                f"p{number}", f"L-{number}", scored_at=at, probability=p, features=row,
                contract_version=contract_version(FACTS.contract),
            )
        )  # fmt: skip
        if number < 550:
            won = bool(rng.random() < p)
            told.append(
                outcome(
                    f"o{number}", f"L-{number}", converted=won, value=10.0 if won else 0.0,
                    occurred_at=at + DAY, recorded_at=at + 2 * DAY,
                )
            )  # fmt: skip
    store.append(scored, told)


@pytest.fixture(scope="module")
def monitor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], bytes]]:
    """The page of a monitor at work, put together as `leadscore monitor` does it."""
    folder = tmp_path_factory.mktemp("monitor")
    environment = {"LEADSCORE_SLACK_URL": "http://127.0.0.1:1/", "LEADSCORE_ALERTMANAGER_TOKEN": TOKEN}
    with EventStore(f"sqlite:///{folder / 'events.db'}") as store:
        filled(store)
        lease, stopping = StoreLease(store, "monitor", "one"), threading.Event()
        rollups = RollupChores(store, VersionCells(lambda *_: FACTS), lease, stopping.is_set)
        exporter = ModelMetricsExporter(store, lambda *_: FACTS)
        alerts = AlertMonitor(store, lambda *_: FACTS, environment, check=lease.check)
        keeper = ChoreKeeper(
            lease, (*rollups.chores, Chore("measures", exporter.refresh, 1.0), *alerts.chores), stopping
        )
        status, said = alerts.receiver(json.dumps(FIRING).encode(), {"authorization": f"Bearer {TOKEN}"})
        assert status == 200, said

        class Page(Collector):
            def collect(self):
                yield from keeper_metrics(keeper)
                for source in (rollups.metrics, exporter.metrics, alerts.metrics):
                    yield from source()

        registry = CollectorRegistry(auto_describe=False)
        registry.register(Page())
        renewing = threading.Thread(target=keeper.keep_lease)
        keeper.start()
        renewing.start()
        try:
            wait_until(
                lambda: b"leadscore_feature_psi{" in generate_latest(registry),
                seconds=60, what="the numbers of a version",
            )  # fmt: skip
            yield lambda: generate_latest(registry)
        finally:
            stopping.set()
            renewing.join(30)
            alerts.finish()


@pytest.fixture(scope="module")
def prometheus(
    tmp_path_factory: pytest.TempPathFactory, monitor: Callable[[], bytes]
) -> Iterator[Prometheus]:
    pages = {"/service": service(), "/monitor": monitor}
    labels = {path: {"namespace": NAMESPACE} for path in pages}
    running = Prometheus(tmp_path_factory.mktemp("dashboards"), pages, labels)
    try:
        running.wait_for("count(leadscore_monitor_leading)", 1)
        # A rate needs two looks.
        wait_until(
            lambda: bool(running.query("rate(leadscore_leads_total[30s]) > 0")), seconds=60, what="a rate"
        )
        yield running
    finally:
        running.close()


def panels(file: Path) -> list[tuple[str, str]]:
    """(panel, query) of a dashboard."""
    found = json.loads(file.read_text(encoding="utf-8"))["panels"]
    return [(panel["title"], target["expr"]) for panel in found for target in panel.get("targets", [])]


QUERIES = [(file.stem, title, query) for file in DASHBOARDS for title, query in panels(file)]


@pytest.mark.parametrize(("dashboard", "title", "query"), QUERIES, ids=lambda text: text[:40])
def test_no_panel_is_empty_or_invalid(prometheus: Prometheus, dashboard: str, title: str, query: str) -> None:
    asked = query.replace("$namespace", NAMESPACE).replace("$__rate_interval", "30s")
    assert "$" not in asked

    def has_a_number() -> bool:
        return any(not math.isnan(value) for value in prometheus.query(asked).values())

    # A page that a busy machine wrote too slowly is a target that is down until the next look.
    wait_until(has_a_number, seconds=30, what=f"a number in {dashboard}: {title}")


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_a_dashboard_s_panels_overlap_nowhere_and_say_what_they_show(file: Path) -> None:
    found = json.loads(file.read_text(encoding="utf-8"))["panels"]
    assert len({panel["id"] for panel in found}) == len(found)
    taken: set[tuple[int, int]] = set()
    for panel in found:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel["type"] == "row" or panel["description"], panel["title"]
