"""Traffic: only scoring paths come in, weights belong to Argo, and a version goes 10, 50, 100."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.support.chart import VALUES, Chart, Manifest, environment

One = Callable[..., Manifest]
PATHS = ["/score-lead", "/score-leads", "/explain-prediction", "/outcomes"]


def canary(one: One, *settings: str, values: str = "") -> Manifest:
    return one("Rollout", *settings, values=values)["spec"]["strategy"]["canary"]


def test_steps_go_ten_fifty_hundred_with_their_durations(one: One) -> None:
    steps = canary(one)["steps"]
    weights = [step["setWeight"] for step in steps if "setWeight" in step]
    pauses = [step["pause"]["duration"] for step in steps if "pause" in step]
    assert weights == [10, 50, 100]
    assert pauses == ["24h", "48h", "48h"]


def test_every_step_ends_at_a_gate_that_looks_at_the_whole_step(one: One) -> None:
    steps = canary(one)["steps"]
    assert [next(iter(step)) for step in steps] == ["setWeight", "pause", "analysis"] * 3
    gates = [step["analysis"] for step in steps if "analysis" in step]
    assert [gate["templates"][0]["templateName"] for gate in gates] == [
        *("leads-lead-scoring-gate", "leads-lead-scoring-gate", "leads-lead-scoring-watch")
    ]
    assert [a["value"] for gate in gates for a in gate["args"] if a["name"] == "window"] == [
        "24h",
        "48h",
        "48h",
    ]


def test_durations_are_values(one: One) -> None:
    steps = canary(one, 'rollout.steps=[{"weight":20,"duration":"10s"},{"weight":100,"duration":"30s"}]')[
        "steps"
    ]
    assert [step["pause"]["duration"] for step in steps if "pause" in step] == ["10s", "30s"]


def test_a_guard_runs_during_the_whole_canary(one: One) -> None:
    analysis = canary(one)["analysis"]
    assert analysis["templates"] == [{"templateName": "leads-lead-scoring-guard"}]
    hashes = {a["name"]: a["valueFrom"].get("podTemplateHashValue") for a in analysis["args"]}
    assert {name: of for name, of in hashes.items() if of} == {
        "canary-hash": "Latest",
        "stable-hash": "Stable",
    }


def test_pods_that_never_become_ready_abort_the_rollout(one: One) -> None:
    assert one("Rollout")["spec"]["progressDeadlineAbort"] is True


def test_an_undo_skips_the_steps(one: One) -> None:
    spec = one("Rollout")["spec"]
    assert 0 < spec["rollbackWindow"]["revisions"] <= spec["revisionHistoryLimit"]


def test_an_undone_template_is_the_one_it_was(one: One) -> None:
    """`undo` copies the old ReplicaSet's template.

    Labels that Argo puts there would make it another revision.
    """
    assert not {"canaryMetadata", "stableMetadata"} & set(canary(one))


def test_the_old_version_keeps_its_pods_during_a_canary(one: One) -> None:
    strategy = canary(one)
    assert "dynamicStableScale" not in strategy
    assert (strategy["maxSurge"], strategy["maxUnavailable"]) == (1, 0)
    assert strategy["minPodsPerReplicaSet"] == 2


def test_weights_are_left_to_argo(one: One) -> None:
    services = one("TraefikService", ending="lead-scoring")["spec"]["weighted"]["services"]
    assert [s["name"] for s in services] == ["leads-lead-scoring-stable", "leads-lead-scoring-canary"]
    assert not any("weight" in s for s in services)


def test_the_names_argo_is_given_exist(chart: Chart, one: One) -> None:
    strategy = canary(one)
    names = {(m["kind"], m["metadata"]["name"]) for m in chart.render()}
    assert ("Service", strategy["stableService"]) in names
    assert ("Service", strategy["canaryService"]) in names
    assert ("TraefikService", strategy["trafficRouting"]["traefik"]["weightedTraefikServiceName"]) in names
    templates = {
        step["analysis"]["templates"][0]["templateName"] for step in strategy["steps"] if "analysis" in step
    }
    assert {("AnalysisTemplate", t) for t in templates} <= names


def test_only_scoring_paths_are_routed(one: One) -> None:
    match = one("IngressRoute")["spec"]["routes"][0]["match"]
    assert match == "(" + " || ".join(f"Path(`{path}`)" for path in PATHS) + ")"


def test_a_host_narrows_the_route(one: One) -> None:
    match = one("IngressRoute", "trafficRouting.host=leads.example.com")["spec"]["routes"][0]["match"]
    assert match.startswith("Host(`leads.example.com`) && (")


def test_middlewares_limit_and_none_retries(chart: Chart, one: One) -> None:
    middlewares = [m for m in chart.render() if m["kind"] == "Middleware"]
    assert {next(iter(m["spec"])) for m in middlewares} == {"buffering", "rateLimit", "inFlightReq"}
    used = {m["name"] for m in one("IngressRoute")["spec"]["routes"][0]["middlewares"]}
    assert used == {m["metadata"]["name"] for m in middlewares}
    assert not any("retryExpression" in m["spec"].get("buffering", {}) for m in middlewares)


def test_a_shadow_gets_a_copy_and_says_so(one: One) -> None:
    mirror = one("TraefikService", values="all-options", ending="-mirror")["spec"]["mirroring"]
    assert (mirror["name"], mirror["kind"]) == ("leads", "TraefikService")
    assert mirror["mirrors"] == [{"name": "leads-shadow", "port": 80, "percent": 50}]
    assert one("IngressRoute", values="all-options", ending="leads")["spec"]["routes"][0]["services"] == [
        {"kind": "TraefikService", "name": "leads-mirror"}
    ]
    variables = environment(one("Deployment", values="all-options", ending="-shadow")["spec"]["template"])
    assert (variables["LEADSCORE_ROLE"], variables["LEADSCORE_MODEL"]) == ("shadow", "leads/8")


def test_a_shadow_that_is_not_ready_takes_no_route_away(one: One) -> None:
    """Traefik drops the router of a mirror without addresses, and with it every caller's requests."""
    shadow = one("Service", values="all-options", ending="-shadow")
    assert shadow["spec"]["publishNotReadyAddresses"] is True
    assert "publishNotReadyAddresses" not in one("Service", values="all-options", ending="-stable")["spec"]


def test_the_route_is_the_same_with_and_without_a_shadow(one: One) -> None:
    """Helm applies an IngressRoute before a TraefikService.

    A route that changes names one that is not there yet.
    """
    without, shadowed = (
        one("IngressRoute", *settings)["spec"]["routes"] for settings in ((), ("shadow.enabled=true",))
    )
    assert without == shadowed
    assert one("TraefikService", ending="-mirror")["spec"]["mirroring"]["kind"] == "TraefikService"
    assert "mirrors" not in one("TraefikService", ending="-mirror")["spec"]["mirroring"]


def test_stable_never_selects_shadow_pods(one: One) -> None:
    stable = one("Service", values="all-options", ending="-stable")["spec"]["selector"]
    shadow = one("Deployment", values="all-options", ending="-shadow")["spec"]["template"]["metadata"][
        "labels"
    ]
    assert not stable.items() <= shadow.items()


def test_gateway_routes_scoring_paths_and_starts_at_stable(one: One) -> None:
    rule = one("HTTPRoute", values="gateway", ending="scoring")["spec"]["rules"][0]
    assert [m["path"] for m in rule["matches"]] == [{"type": "Exact", "value": path} for path in PATHS]
    assert [(b["name"], b["weight"]) for b in rule["backendRefs"]] == [
        ("leads-lead-scoring-stable", 100),
        ("leads-lead-scoring-canary", 0),
    ]
    plugins = canary(one, values="gateway")["trafficRouting"]["plugins"]
    assert plugins["argoproj-labs/gatewayAPI"] == {"httpRoute": "leads-lead-scoring", "namespace": "scoring"}


def test_deployment_mode_needs_neither_argo_nor_traefik(chart: Chart, one: One) -> None:
    groups = {m["apiVersion"].split("/")[0] for m in chart.render(values="deployment-mode")}
    assert groups <= {"v1", "apps", "batch", "policy", "networking.k8s.io"}
    strategy = one("Deployment", values="deployment-mode")["spec"]["strategy"]
    assert strategy["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


def test_blue_green_shows_the_new_version_behind_the_preview_service(one: One) -> None:
    settings = ("rollout.strategy=blueGreen", "analysis.enabled=false")
    strategy = one("Rollout", *settings)["spec"]["strategy"]["blueGreen"]
    assert strategy["activeService"] == "leads-lead-scoring-stable"
    assert one("Service", *settings, ending="-preview")["metadata"]["name"] == strategy["previewService"]
    assert one("TraefikService", *settings)["spec"]["mirroring"]["name"] == "leads-lead-scoring-stable"


def test_a_drain_takes_one_pod_at_a_time_and_never_hangs(one: One) -> None:
    spec = one("PodDisruptionBudget")["spec"]
    assert spec["maxUnavailable"] == 1
    assert spec["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    labels = one("Rollout")["spec"]["template"]["metadata"]["labels"]
    assert spec["selector"]["matchLabels"].items() <= labels.items()


def test_an_autoscaler_owns_the_number_of_pods(one: One) -> None:
    rollout = one("Rollout", values="all-options")
    target = one("HorizontalPodAutoscaler", values="all-options")["spec"]["scaleTargetRef"]
    assert "replicas" not in rollout["spec"]
    assert target == {
        "apiVersion": rollout["apiVersion"],
        "kind": "Rollout",
        "name": rollout["metadata"]["name"],
    }


@pytest.mark.parametrize("values", [path.stem.removesuffix("-values") for path in VALUES])
def test_everything_is_denied_first(chart: Chart, values: str) -> None:
    policies = [m for m in chart.render(values=values) if m["kind"] == "NetworkPolicy"]
    deny = next(p["spec"] for p in policies if p["metadata"]["name"].endswith("-default-deny"))
    assert deny["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in deny
    assert "egress" not in deny
    for manifest in chart.render(values=values):
        template = manifest.get("spec", {}).get("template")
        if isinstance(template, dict):
            assert deny["podSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()


def test_nothing_but_ingress_prometheus_and_our_own_clients_reaches_scoring_pods(one: One) -> None:
    rules = one("NetworkPolicy", ending="-scoring")["spec"]["ingress"]
    assert [next(iter(rule["from"][0])) for rule in rules] == [
        "namespaceSelector",
        "namespaceSelector",
        "podSelector",
    ]
    clients = rules[2]["from"][0]["podSelector"]["matchExpressions"][0]["values"]
    assert clients == ["load-test", "helm-test"]


@pytest.mark.parametrize("values", [path.stem.removesuffix("-values") for path in VALUES])
def test_names_are_unique_per_kind(chart: Chart, values: str) -> None:
    names = [(m["kind"], m["metadata"]["name"]) for m in chart.render(values=values)]
    assert len(set(names)) == len(names)
