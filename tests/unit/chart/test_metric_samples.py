"""Queries of analyses, alerts and the dashboard.

On metrics that the service exports, safe when there is no answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.support.chart import CHART, Chart, Manifest, queries
from tests.support.monitor_metrics import monitor_page

from leadscore.release.expected import ExpectedPsi
from leadscore.scoring.profile import FeatureProfile, ReferenceProfile
from leadscore_operator.decide.metric_samples import CATALOGUE, MetricSample
from leadscore_operator.engine.health import Health
from leadscore_operator.engine.metrics import MetricSamples, OperatorCollector, exposition
from leadscore_operator.specs.rollouts import VERSION_LABEL, version_patch
from leadscore_service.metrics_export import Gauges, ServedModel, render
from leadscore_service.metrics_layout import LATENCY_EDGES, CounterLayout

One = Callable[..., Manifest]
OPERATOR = "operator.enabled=true"
# Set by the scrape, not by the service.
TARGET_LABELS = {"namespace", "instance", "pod", "job"}
SERIES = re.compile(r"(leadscore_[a-z0-9_]+)(?:\{([^}]*(?:\{\{[^}]*\}\}[^}]*)*)\})?")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Every series that the service, the operator and the monitor export, with its labels."""
    features = (
        FeatureProfile(
            name="employees",
            kind="numeric",
            edges=(10.0,),
            counts=(4, 6),
            missing=0,
            bin_means=(5.0, 20.0),
            bin_stds=(1.0, 1.0),
        ),
    )
    profile = ReferenceProfile(
        rows=10, features=features, score_edges=(0.5,), score_counts=(5, 5), quantiles=(0.5,) * 101
    )
    layout = CounterLayout.of(profile, "leads/1/x")
    model = ServedModel("leads", "1", "c", "numpy", "abc", profile)
    gauges = Gauges(
        ready=True,
        keys=1,
        key_reload_errors=0,
        spool_bytes=1,
        spool_max_bytes=2,
        idempotency_bytes=0,
        shipper=None,
    )
    text = render(model, layout, [1] * layout.size, gauges).decode()
    # The operator's, which says them of objects of every kind.
    health = Health()
    health.ended(("driftdetectors", "leads"), "ok")
    figures = MetricSamples()
    every = tuple(MetricSample(each, ("x",) * len(each.labels), 1.0) for each in CATALOGUE)
    figures.hold(("driftdetectors", "leads"), every)
    text += exposition(OperatorCollector(health, figures, lambda: None, lambda: 0, 120.0)).decode()
    text += monitor_page(tmp_path_factory.mktemp("monitor")).decode()
    series: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            series.setdefault(sample.name, set()).update(sample.labels)
    return series


def dashboard_queries() -> list[str]:
    dashboard = json.loads((CHART / "files" / "dashboards" / "lead-scoring.json").read_text())
    return [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]


def every_query(chart: Chart) -> list[str]:
    return [*queries(chart.render(OPERATOR, values="all-options")), *dashboard_queries()]


def test_every_metric_that_is_asked_for_is_exported(chart: Chart, exported: dict[str, set[str]]) -> None:
    asked = {name for query in every_query(chart) for name, _ in SERIES.findall(query)}
    assert asked - set(exported) == set()
    assert len(asked) > 15


def test_every_label_that_is_matched_exists(chart: Chart, exported: dict[str, set[str]]) -> None:
    for query in every_query(chart):
        for name, matchers in SERIES.findall(query):
            labels = set(re.findall(r"([a-z_]+)\s*(?:=~|!~|!=|=)\s*\"", matchers))
            assert labels <= exported[name] | TARGET_LABELS, (name, labels)


def test_every_grouping_is_by_labels_that_exist(chart: Chart, exported: dict[str, set[str]]) -> None:
    known = set().union(*exported.values()) | TARGET_LABELS
    for query in every_query(chart):
        for labels in re.findall(r"(?:by|on)\s*\(([a-z_, ]*)\)", query):
            assert {label.strip() for label in labels.split(",") if label.strip()} <= known, query


def test_queries_have_no_placeholder_left_and_balanced_brackets(chart: Chart) -> None:
    for query in queries(chart.render(OPERATOR, values="all-options")):
        assert "$" not in query
        assert "%!" not in query
        bare = re.sub(r"\"[^\"]*\"|\{\{args\.[a-z-]+\}\}", "", query)
        for left, right in ("()", "{}", "[]"):
            assert bare.count(left) == bare.count(right), query


def metrics(one: One, ending: str, *settings: str) -> dict[str, Manifest]:
    template = one("AnalysisTemplate", *settings, ending=ending)
    return {metric["name"]: metric for metric in template["spec"]["metrics"]}


def test_a_version_is_judged_by_errors_latency_and_distribution(one: One) -> None:
    expected = {"error-rate", "p95-seconds", "p95-against-stable", "score-psi", "grade-psi"}
    assert set(metrics(one, "-guard")) == expected | {"became-ready"}
    assert set(metrics(one, "-gate")) == expected


def test_at_full_weight_nothing_is_compared_with_a_stable_that_has_no_traffic(one: One) -> None:
    assert set(metrics(one, "-watch")) == {"error-rate", "p95-seconds"}


def test_limits_are_the_documented_ones(one: One) -> None:
    limits = {
        name: metric["failureCondition"].split(" > ")[-1] for name, metric in metrics(one, "-gate").items()
    }
    assert limits == {
        "error-rate": "0.01",
        "p95-seconds": "0.5",
        "p95-against-stable": "1.5",
        "score-psi": "0.2",
        "grade-psi": "0.2",
    }


@pytest.mark.parametrize("ending", ["-gate", "-watch"])
def test_a_gate_passes_only_what_it_has_seen(one: One, ending: str) -> None:
    for metric in metrics(one, ending).values():
        # Neither condition holds for an empty answer or NaN: inconclusive.
        for condition in (metric["successCondition"], metric["failureCondition"]):
            assert condition.startswith("len(result) > 0 && !isNaN(result[0]) && ")
        assert metric["failureLimit"] == 0


@pytest.mark.parametrize("ending", ["-gate", "-watch"])
def test_a_gate_that_has_seen_too_little_looks_again_and_in_the_end_asks_a_person(
    one: One, ending: str
) -> None:
    settings = ("analysis.gate.interval=7m", "analysis.gate.inconclusiveLimit=11")
    for metric in metrics(one, ending, *settings).values():
        assert metric["consecutiveSuccessLimit"] == 1
        # Argo refuses a step with a metric that might never end.
        assert (metric["interval"], metric["inconclusiveLimit"], metric["count"]) == ("7m", 11, 12)


def judging(one: One, ending: str, *settings: str) -> dict[str, Manifest]:
    """The metrics that judge how a version does; whether it came up at all needs no requests."""
    return {
        name: metric for name, metric in metrics(one, ending, *settings).items() if name != "became-ready"
    }


def test_a_version_that_never_becomes_ready_is_sent_back_by_the_guard(one: One) -> None:
    metric = metrics(one, "-guard", "workload.progressDeadlineSeconds=77")["became-ready"]
    assert metric["initialDelay"] == "77s"
    assert metric["count"] == 1
    assert "or vector(0)" in metric["provider"]["prometheus"]["query"]
    assert (metric["successCondition"], metric["failureCondition"]) == ("result[0] >= 1", "result[0] < 1")
    # It must run while the first step still waits for the pods.
    assert "startingStep" not in one("Rollout")["spec"]["strategy"]["canary"]["analysis"]


def test_errors_of_the_version_before_do_not_count_against_the_next(one: One) -> None:
    """Traefik's series name the canary service, whichever version is behind it."""
    settings = ("analysis.traefikMetrics=true", "analysis.guard.window=40s")
    for name, metric in judging(one, "-guard", *settings).items():
        assert metric.get("initialDelay") == ("40s" if name == "traefik-error-rate" else None)
    assert not any("initialDelay" in metric for metric in metrics(one, "-gate", *settings).values())


def test_the_guard_says_nothing_about_what_it_does_not_see(one: One) -> None:
    for metric in judging(one, "-guard").values():
        assert metric["successCondition"].startswith("len(result) == 0 || isNaN(result[0]) || ")
        assert metric["failureCondition"].startswith("len(result) > 0 && !isNaN(result[0]) && ")
        assert "count" not in metric


@pytest.mark.parametrize("ending", ["-guard", "-gate", "-watch"])
def test_every_judgement_needs_a_minimum_of_samples(one: One, ending: str) -> None:
    for name, metric in judging(one, ending).items():
        query = metric["provider"]["prometheus"]["query"]
        minima = [int(minimum) for minimum in re.findall(r"and sum\(increase\(.*\)\) >= (\d+)", query)]
        compares = name in {"p95-against-stable", "score-psi", "grade-psi"}
        assert len(minima) == (2 if compares else 1), name
        assert all(minimum >= 50 for minimum in minima), name


def test_a_gate_looks_at_the_window_of_its_step(one: One) -> None:
    for metric in metrics(one, "-gate").values():
        windows = set(re.findall(r"\[([^\]]+)\]", metric["provider"]["prometheus"]["query"]))
        assert windows == {"{{args.window}}"}


def test_canary_and_stable_are_told_apart_by_template_hash(one: One) -> None:
    query = metrics(one, "-gate")["score-psi"]["provider"]["prometheus"]["query"]
    assert 'pod_template_hash="{{args.canary-hash}}"' in query
    assert 'pod_template_hash="{{args.stable-hash}}"' in query


def test_latency_limits_are_edges_of_the_histogram(one: One) -> None:
    assert float(metrics(one, "-gate")["p95-seconds"]["failureCondition"].split(" > ")[-1]) in LATENCY_EDGES


def test_the_matcher_may_be_left_out(one: One) -> None:
    query = metrics(one, "-gate", "prometheus.matcher=")["error-rate"]["provider"]["prometheus"]["query"]
    assert "namespace" not in query
    assert "{," not in query


def test_every_alert_links_to_its_runbook(one: One) -> None:
    rules = one("PrometheusRule", OPERATOR, values="all-options")["spec"]["groups"][0]["rules"]
    assert len(rules) == len(list((CHART / "files" / "alerts").rglob("*.yaml")))
    for rule in rules:
        url = rule["annotations"]["runbook_url"]
        assert url == f"https://wiki.example.com/leadscore/runbooks/{rule['alert']}.md"


def test_without_an_address_an_alert_names_the_runbooks_file(one: One) -> None:
    rules = one("PrometheusRule", "monitoring.alerts.enabled=true", "monitor.enabled=true", OPERATOR)["spec"][
        "groups"
    ][0]["rules"]
    assert len(rules) == len(list((CHART / "files" / "alerts").rglob("*.yaml")))
    for rule in rules:
        assert "runbook_url" not in rule["annotations"]
        assert (CHART.parents[1] / rule["annotations"]["runbook"]).is_file()


def test_without_an_operator_nobody_misses_it(one: One) -> None:
    """Its alerts would fire for ever, or never."""
    alone = one("PrometheusRule", "monitoring.alerts.enabled=true")["spec"]["groups"][0]["rules"]
    both = one("PrometheusRule", "monitoring.alerts.enabled=true", OPERATOR)
    more = {r["alert"] for r in both["spec"]["groups"][0]["rules"]} - {r["alert"] for r in alone}
    assert more == {path.stem for path in (CHART / "files" / "alerts" / "operator").glob("*.yaml")}
    assert not any("leadscore_operator" in rule["expr"] for rule in alone)


def test_an_alert_can_be_left_out(one: One) -> None:
    disabled = 'monitoring.alerts.disabled=["LeadScoringDown"]'
    rules = one("PrometheusRule", disabled, values="all-options")["spec"]["groups"][0]["rules"]
    assert "LeadScoringDown" not in {rule["alert"] for rule in rules}


def test_the_dashboard_is_the_file(one: One) -> None:
    rendered = one("ConfigMap", values="all-options", ending="-dashboard")
    panels = json.loads(rendered["data"]["lead-scoring.json"])["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) > 10
    assert rendered["metadata"]["labels"]["grafana_dashboard"] == "1"


def test_pods_are_scraped_once(one: One) -> None:
    monitor = one("ServiceMonitor", values="gateway")["spec"]["selector"]["matchLabels"]
    headless = one("Service", values="gateway", ending="-pods")
    assert monitor.items() <= headless["metadata"]["labels"].items()
    for ending in ("-stable", "-canary"):
        labels = one("Service", values="gateway", ending=ending)["metadata"]["labels"]
        assert not monitor.items() <= labels.items()


def test_every_analysis_is_given_every_argument_that_it_names(chart: Chart, one: One) -> None:
    canary = one("Rollout")["spec"]["strategy"]["canary"]
    given = {canary["analysis"]["templates"][0]["templateName"]: canary["analysis"]["args"]}
    for step in canary["steps"]:
        if "analysis" in step:
            given[step["analysis"]["templates"][0]["templateName"]] = step["analysis"]["args"]
    templates = [m for m in chart.render() if m["kind"] == "AnalysisTemplate"]
    assert {t["metadata"]["name"] for t in templates} == set(given)
    for template in templates:
        declared = {each["name"] for each in template["spec"]["args"]}
        assert declared <= {each["name"] for each in given[template["metadata"]["name"]]}
        used = set(re.findall(r"\{\{args\.([a-z-]+)\}\}", json.dumps(template["spec"]["metrics"])))
        assert used <= declared


def test_what_a_replay_expects_is_read_from_the_annotations_that_the_operator_sets(one: One) -> None:
    expected = ExpectedPsi(against=6, scores=0.93, grades=0.41)
    template = {"metadata": {"labels": {VERSION_LABEL: "6"}}, "spec": {"containers": []}}
    rollout = {"metadata": {"name": "leads", "resourceVersion": "1"}, "spec": {"template": template}}
    template["spec"]["initContainers"] = [{"name": "model", "image": "models:6"}]
    patch = version_patch(rollout, "leads", 7, "uid", expected)
    annotations = {f"metadata.annotations['{name}']" for name in patch["metadata"]["annotations"]}
    args = one("Rollout")["spec"]["strategy"]["canary"]["analysis"]["args"]
    read = {a["valueFrom"]["fieldRef"]["fieldPath"] for a in args if "fieldRef" in a["valueFrom"]}
    assert len(read) == 6
    assert read < annotations
    # Helm must not know of them: an upgrade in the midst of a canary would take them away.
    assert not any(
        f"metadata.annotations['{name}']" in read for name in one("Rollout")["metadata"]["annotations"]
    )
