"""The operator's alerts, as the chart writes them, evaluated by a real Prometheus on the operator's metrics.

Every scene is an operator of its own in a namespace of its own, with the chart's rules for that namespace.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.chart import Chart
from tests.support.prometheus import Prometheus
from tests.support.waiting import wait_until

from leadscore_operator.decide.metric_samples import metric_samples_of
from leadscore_operator.engine.health import Health
from leadscore_operator.engine.metrics import MetricSamples, OperatorCollector, exposition
from leadscore_operator.errors import NotLeaderError

Object = dict[str, Any]
NOW = datetime.now(UTC)


def ago(**span: float) -> str:
    return f"{NOW - timedelta(**span):%Y-%m-%dT%H:%M:%SZ}"


def detector(severity: str, triage: str, *, drifted: bool = True, hours_ago: float = 0.1) -> Object:
    verdict = {
        "job": "leads-hourly-1", "schedule": "hourly", "severity": severity, "triage": triage,
        "drifted": drifted, "kind": "data", "worst": "budget", "finished": ago(hours=hours_ago),
        "modelVersion": "1", "windowStart": ago(hours=hours_ago + 1), "windowEnd": ago(hours=hours_ago),
    }  # fmt: skip
    spec = {
        "model": "leads@champion",
        "schedules": [{"name": "hourly", "cron": "* * * * *", "window": "1h"}],
    }
    if hours_ago < 1:
        spec["schedules"][0]["cron"] = "@hourly"  # type: ignore[index]
    return {"metadata": {"name": "leads"}, "spec": spec, "status": {"verdicts": [verdict]}}


def run(name: str, phase: str, hours_ago: float) -> Object:
    status = {"phase": phase, "finished": ago(hours=hours_ago)}
    return {"metadata": {"name": name}, "spec": {"policy": "leads"}, "status": status}


def release(phase: str, asked: float | None) -> Object:
    status = {"phase": phase, "since": ago(hours=5)} | ({"askedSince": ago(hours=asked)} if asked else {})
    return {"metadata": {"name": "leads-7"}, "spec": {"model": "leads", "version": 7}, "status": status}


def away(reason: str) -> Object:
    ready = {
        "type": "Ready", "status": "False", "reason": reason, "message": "Nothing is decided here.",
        "lastTransitionTime": ago(minutes=1),
    }  # fmt: skip
    item = (
        detector("none", "none") if reason == "EventStoreUnavailable" else release("AwaitingApproval", None)
    )
    return {**item, "status": {**item["status"], "conditions": [ready]}}


DETECTORS, RUNS, RELEASES = "driftdetectors", "retrainruns", "modelreleases"
# What is there, and the alerts that it makes. Those with a time to wait are pending by then.
SCENES: dict[str, tuple[list[tuple[str, Object]], set[str]]] = {
    "calm": (
        [
            (DETECTORS, detector("none", "none")),
            (RUNS, run("a", "Failed", 3)),
            (RUNS, run("b", "Succeeded", 2)),
            (RELEASES, release("AwaitingApproval", 0.5)),
        ],
        set(),
    ),
    "broken": ([(DETECTORS, detector("critical", "pipeline_bug"))], {"PipelineBug"}),
    "broken-once": ([(DETECTORS, detector("moderate", "pipeline_bug", drifted=False))], {"PipelineBug"}),
    "moved": ([(DETECTORS, detector("significant", "market_moved"))], {"DriftSignificant"}),
    "moved-far": ([(DETECTORS, detector("critical", "unclear"))], {"DriftCritical"}),
    "moved-once": ([(DETECTORS, detector("critical", "market_moved", drifted=False))], set()),
    "silent": ([(DETECTORS, detector("none", "none", hours_ago=2))], {"DetectorSilent"}),
    "failed": ([(RUNS, run("a", "Succeeded", 3)), (RUNS, run("b", "Failed", 2))], {"RetrainFailed"}),
    "failed-first": ([(RUNS, run("a", "Failed", 2))], {"RetrainFailed"}),
    "waits": ([(RELEASES, release("AwaitingApproval", 1.5))], {"ReleaseWaitsForApproval"}),
    "undecided": ([(RELEASES, release("Watching", 2))], {"ReleaseWaitsForApproval"}),
    "store-away": ([(DETECTORS, away("EventStoreUnavailable"))], {"EventStoreUnavailable"}),
    "registry-away": ([(RELEASES, away("RegistryUnavailable"))], {"RegistryUnavailable"}),
    "stands-by": ([(DETECTORS, detector("critical", "pipeline_bug"))], {"OperatorSilent"}),
    "blind": ([], {"OperatorSilent"}),
}


def operator(name: str) -> Callable[[], bytes]:
    """The page of an operator that serves a scene's objects."""
    figures = MetricSamples()
    for plural, item in SCENES[name][0]:
        figures.hold((plural, item["metadata"]["name"]), metric_samples_of(plural, item))
    health = Health(now=lambda: 0.0)
    if name == "blind":
        health.now = lambda: 700.0

    def check() -> None:
        if name == "stands-by":
            raise NotLeaderError("The Lease is not ours.")

    return lambda: exposition(OperatorCollector(health, figures, check, lambda: 0, 120.0))


def rules(chart: Chart) -> list[Object]:
    made = chart.render("monitoring.alerts.enabled=true", "operator.enabled=true")
    (rule,) = (m for m in made if m["kind"] == "PrometheusRule")
    (group,) = rule["spec"]["groups"]
    ours = [each for each in group["rules"] if "leadscore_operator" in each["expr"] or _of_objects(each)]
    assert len(ours) == 9
    return [
        {
            "name": scene,
            "rules": [
                {
                    **each,
                    "expr": each["expr"].replace('namespace="scoring"', f'namespace="{scene}"'),
                    "labels": {**each["labels"], "scene": scene},
                }
                for each in ours
            ],
        }
        for scene in SCENES
    ]


def _of_objects(rule: Object) -> bool:
    return any(
        f"leadscore_{kind}_" in rule["expr"] for kind in ("drift", "retrain", "release", "unavailable")
    )


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory, chart: Chart) -> Iterator[Prometheus]:
    pages = {f"/{name}": operator(name) for name in SCENES}
    labels = {f"/{name}": {"namespace": name} for name in SCENES}
    running = Prometheus(tmp_path_factory.mktemp("alerts"), pages, labels, rules(chart))
    try:
        running.wait_for("count(leadscore_operator_leading)", len(SCENES))
        # Until every rule has been evaluated after everything was scraped.
        read = time.time()
        wait_until(lambda: evaluated(running) > read, seconds=60, what="every rule evaluated")
        yield running
    finally:
        running.close()


def evaluated(running: Prometheus) -> float:
    """When the group that was evaluated longest ago was so."""
    groups = running._data("rules", {})["groups"]
    return min(datetime.fromisoformat(each["lastEvaluation"]).timestamp() for each in groups)


@pytest.mark.parametrize("scene", SCENES)
def test_each_scene_makes_its_alerts_and_no_other(prometheus: Prometheus, scene: str) -> None:
    said = {a["labels"]["alertname"] for a in prometheus.alerts() if a["labels"]["scene"] == scene}
    assert said == {f"LeadScoring{name}" for name in SCENES[scene][1]}


def test_a_broken_pipeline_fires_at_once_and_tells_the_data_owner_what_to_type(
    prometheus: Prometheus,
) -> None:
    (alert,) = (a for a in prometheus.alerts() if a["labels"]["scene"] == "broken")
    assert alert["state"] == "firing"
    assert (alert["labels"]["severity"], alert["labels"]["audience"]) == ("critical", "data-owner")
    assert alert["labels"]["feature"] == "budget"
    assert "budget most of all" in alert["annotations"]["summary"]
    assert "kubectl -n scoring get driftdetector leads" in alert["annotations"]["action"]
