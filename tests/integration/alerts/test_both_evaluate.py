"""One rules file, three evaluations: Prometheus', ours of Prometheus' numbers, ours of pages.

Each scene is a service of its own that the service's own exporter writes.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from tests.support.chart import CHART
from tests.support.prometheus import Prometheus
from tests.support.waiting import wait_until
from tests.unit.alerts.test_runbooks import NAMES, runbook_queries

from leadscore.alerts.evaluate import exceeds
from leadscore.alerts.measures import PrometheusReader, read_all
from leadscore.alerts.rules import AlertRule, default_rules, prometheus_rule
from leadscore.alerts.scrape import ScrapeReader
from leadscore.events.health import ShipperHealth
from leadscore.events.records import now_us
from leadscore.scoring.profile import ReferenceProfile
from leadscore_service.metrics_export import Gauges, ServedModel, render
from leadscore_service.metrics_layout import (
    ENDPOINT_INDEX,
    LATENCY_EDGES,
    SINGLES,
    STATUSES,
    WARNINGS,
    CounterLayout,
)

MINUTE = 60_000_000
_PROFILE = ReferenceProfile(
    rows=10, features=(), score_edges=(0.5,), score_counts=(5, 5), quantiles=(0.5,) * 101
)


class Service:
    """Counters and gauges of one scene; `grown` adds what has happened since the first look."""

    def __init__(self, happened: Callable[[Service], None], gauges: dict[str, Any]) -> None:
        self.layout = CounterLayout.of(_PROFILE, "x")
        self.total = [0] * self.layout.size
        self.grown = False
        self._happened = happened
        now = time.time_ns() // 1000
        shipper = ShipperHealth(pid=1, state="idle", updated_at=now + 3_600_000_000)
        calm = Gauges(
            ready=True, keys=1, key_reload_errors=0, spool_bytes=0, spool_max_bytes=100, idempotency_bytes=0,
            shipper=shipper,
        )  # fmt: skip
        changes = {k: v for k, v in gauges.items() if k in Gauges.__slots__}
        health = {k: v for k, v in gauges.items() if k not in Gauges.__slots__}
        fields = {name: getattr(shipper, name) for name in shipper.__struct_fields__} | health
        self.gauges = replace(calm, shipper=ShipperHealth(**fields), **changes)

    def grow(self) -> None:
        self.answer(200, 1000, 0.01)
        self.total[self.layout.grades] += 1000
        self._happened(self)
        self.grown = True

    def answer(self, status: int, count: int, seconds: float) -> None:
        endpoint = ENDPOINT_INDEX["/score-lead"]
        self.total[self.layout.requests + endpoint * len(STATUSES) + STATUSES.index(status)] += count
        bucket = sum(edge < seconds for edge in LATENCY_EDGES)
        self.total[self.layout.latencies + endpoint * (len(LATENCY_EDGES) + 1) + bucket] += count

    def single(self, name: str, count: int) -> None:
        self.total[self.layout.singles + SINGLES.index(name)] += count  # type: ignore[arg-type]

    def warn(self, count: int) -> None:
        self.total[self.layout.warnings + WARNINGS.index("unseen_category")] += count

    def page(self) -> bytes:
        model = ServedModel("leads", "1", "c", "numpy", "x", _PROFILE)
        return render(model, self.layout, self.total, self.gauges)


def nothing(_: Service) -> None:
    """A calm time."""


SCENES: dict[str, tuple[Callable[[Service], None], dict[str, Any], set[str]]] = {
    "calm": (nothing, {}, set()),
    "few-errors": (lambda s: s.answer(500, 8, 0.01), {}, set()),
    "errors": (lambda s: s.answer(500, 15, 0.01), {}, {"ErrorRate"}),
    "fast-enough": (lambda s: s.answer(200, 40, 0.9), {}, set()),
    "slow": (lambda s: s.answer(200, 100, 0.9), {}, {"Latency"}),
    "not-ready": (nothing, {"ready": False}, {"Down"}),
    "spool": (nothing, {"spool_bytes": 80}, {"SpoolFilling"}),
    "spool-half": (nothing, {"spool_bytes": 50}, set()),
    "store-away": (nothing, {"state": "unavailable"}, {"ShipperDown"}),
    "lag": (nothing, {"lag_seconds": 1000.0}, {"ShipperLag"}),
    "quarantined": (nothing, {"quarantined": 2}, {"RecordsQuarantined"}),
    "keys": (nothing, {"key_reload_errors": 1}, {"ApiKeysNotReloaded"}),
    "dropped": (lambda s: s.single("spool_dropped", 3), {}, {"PredictionsDropped"}),
    "refused": (lambda s: s.single("spool_refused", 3), {}, {"RequestsRefused"}),
    "workers": (lambda s: s.single("worker_starts", 50), {}, {"WorkersDie"}),
    "strangers": (lambda s: s.single("auth_unknown", 100_000), {}, {"AuthFailures"}),
    "unseen": (lambda s: s.warn(100), {}, {"UnseenCategories"}),
    "unseen-few": (lambda s: s.warn(20), {}, set()),
}
RULES = tuple(rule for rule in default_rules().rules if rule.measure.startswith("service."))


def of_scene(rule: AlertRule, scene: str) -> dict[str, Any]:
    """The chart's rule for one scene's namespace, without the time to wait."""
    text = json.dumps(prometheus_rule(rule)).replace("$MATCHER", f'namespace=\\"{scene}\\"')
    document = json.loads(text)
    document.pop("keep_firing_for", None)
    return {**document, "alert": rule.alert, "for": "0s", "labels": {**document["labels"], "scene": scene}}


class Stage:
    """Prometheus and our readers of every scene."""

    def __init__(self, folder: Path) -> None:
        self.services = {name: Service(happened, gauges) for name, (happened, gauges, _) in SCENES.items()}
        pages = {f"/{name}": service.page for name, service in self.services.items()}
        labels = {f"/{name}": {"namespace": name} for name in SCENES}
        groups = [{"name": s, "rules": [of_scene(rule, s) for rule in RULES]} for s in SCENES]
        self.prometheus = Prometheus(folder, pages, labels, groups)
        base = f"http://127.0.0.1:{self.prometheus._server.server_port}"
        self.scrapes = {name: ScrapeReader([f"{base}/{name}"]) for name in SCENES}

    def happen(self) -> None:
        self.prometheus.wait_for("count(leadscore_ready)", len(SCENES))
        self.now = now_us()
        for reader in self.scrapes.values():
            reader.look(self.now - 2 * MINUTE)
        for service in self.services.values():
            service.grow()
        grown = f"count(leadscore_leads_total{{grade='A'}} == 1000) == {len(SCENES)}"
        self.prometheus.wait_for(grown, len(SCENES))
        # Two scrapes more, so that rates see the new values, and every rule evaluated after them.
        seen = time.time()
        wait_until(lambda: self._evaluated() > seen + 1.5, seconds=60, what="every rule evaluated")

    def _evaluated(self) -> float:
        from datetime import datetime

        groups = self.prometheus._data("rules", {})["groups"]
        return min(datetime.fromisoformat(each["lastEvaluation"]).timestamp() for each in groups)

    def prometheus_says(self, scene: str) -> set[str]:
        return {a["labels"]["alertname"] for a in self.prometheus.alerts() if a["labels"]["scene"] == scene}

    def ours_of_prometheus(self, scene: str) -> set[str]:
        url = f"http://127.0.0.1:{self.prometheus.port}"
        return firing(PrometheusReader(url, {"MATCHER": f'namespace="{scene}"'}), now_us())

    def ours_of_pages(self, scene: str) -> set[str]:
        return firing(self.scrapes[scene], self.now)


def firing(reader: ScrapeReader | PrometheusReader, now: int) -> set[str]:
    measured, elsewhere, failing = read_all([reader], RULES, now)
    assert elsewhere == []
    assert failing == {reader.name: ""}
    return {
        rule.alert for rule in RULES if any(exceeds(rule, each) for each in measured[rule.alert].values())
    }


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    made = Stage(tmp_path_factory.mktemp("stage"))
    try:
        made.happen()
        yield made
    finally:
        made.prometheus.close()


@pytest.mark.parametrize("scene", SCENES)
def test_prometheus_and_both_of_ours_fire_the_same_alerts(stage: Stage, scene: str) -> None:
    expected = {f"LeadScoring{name}" for name in SCENES[scene][2]}
    # A scrape of a busy machine may come late: its rates need two.
    what = f"{scene}: Prometheus says {expected or 'nothing'}"
    wait_until(lambda: stage.prometheus_says(scene) == expected, seconds=30, what=what)
    assert stage.ours_of_prometheus(scene) == expected
    assert stage.ours_of_pages(scene) == expected


def test_every_rule_that_a_service_can_break_is_broken_in_a_scene() -> None:
    assert {f"LeadScoring{name}" for _, _, names in SCENES.values() for name in names} == {
        r.alert for r in RULES
    }


def test_a_percentile_is_prometheus_own(stage: Stage) -> None:
    (rule,) = (rule for rule in RULES if rule.alert == "LeadScoringLatency")
    (ours,) = (stage.scrapes["slow"].read(rule, stage.now) or {}).values()
    url = f"http://127.0.0.1:{stage.prometheus.port}"
    (theirs,) = (PrometheusReader(url, {"MATCHER": 'namespace="slow"'}).read(rule, now_us()) or {}).values()
    assert ours.value == pytest.approx(theirs.value, rel=1e-6)
    assert ours.n == 1100


def test_a_service_that_does_not_answer_makes_numbers_unknown_and_readiness_no(stage: Stage) -> None:
    reader = ScrapeReader(["http://127.0.0.1:1/metrics"])
    measured, _, _ = read_all([reader], RULES, stage.now)
    for rule in RULES:
        (measure,) = measured[rule.alert].values()
        assert (measure.value, bool(measure.unknown)) == (
            (0.0, False) if rule.alert == "LeadScoringDown" else (None, True)
        )


def test_a_prometheus_that_is_away_or_refuses_is_a_failing_source(stage: Stage) -> None:
    measured, _, failing = read_all([PrometheusReader("http://127.0.0.1:1", {})], RULES, stage.now)
    assert failing["Prometheus"]
    assert all(each.value is None for found in measured.values() for each in found.values())
    broken = replace_query(RULES[0], "sum(")
    url = f"http://127.0.0.1:{stage.prometheus.port}"
    _, _, failing = read_all([PrometheusReader(url, {"MATCHER": ""})], [broken], stage.now)
    assert "refuses a query" in failing["Prometheus"]


def replace_query(rule: AlertRule, query: str) -> AlertRule:
    import msgspec

    return msgspec.structs.replace(rule, query=query)


def expressions() -> list[str]:
    """Every query of a rule or a runbook, as Prometheus gets it."""
    found = [query for name in NAMES for query in runbook_queries(name)]
    for path in sorted((CHART / "files" / "alerts").rglob("*.yaml")):
        text = yaml.safe_load(path.read_text())["expr"]
        found.append(
            re.sub(r"\$MATCHER", 'namespace="n"', text).replace("$NAMESPACE", "n").replace("$NAME", "m")
        )
    return found


def test_prometheus_reads_every_query_of_rules_and_runbooks(stage: Stage) -> None:
    url = f"http://127.0.0.1:{stage.prometheus.port}/api/v1/format_query"
    assert len(expressions()) > 35
    for query in expressions():
        reply = httpx.get(url, params={"query": query}, timeout=10).json()
        assert reply["status"] == "success", (query, reply)
