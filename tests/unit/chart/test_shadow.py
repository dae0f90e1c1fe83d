"""A release's shadow, made from the chart's own Rollout and Service, equals the chart's own shadow."""

from __future__ import annotations

import copy

import pytest
from tests.support.chart import Chart, Manifest, environment
from tests.unit.operator.objects import thing

from leadscore.errors import RefusedError
from leadscore_operator.specs.shadows import observe_mirror, shadow_deployment

MIRROR = ("shadow.enabled=true", "shadow.version=0", "shadow.percent=40", "shadow.replicas=3")
REGISTRY = (
    "model.source=registry",
    "model.registry.trackingUri=http://mlflow:5000",
    "networkPolicy.enabled=false",
)
CLAIM = ("model.source=claim", "model.claim.name=models")
RELEASE = thing("leads-7", {})


def only(chart: Chart, kind: str, ending: str, *settings: str) -> Manifest:
    """A copy of the one object of a kind whose name ends so."""
    (found,) = [
        m for m in chart.render(*settings) if m["kind"] == kind and m["metadata"]["name"].endswith(ending)
    ]
    return copy.deepcopy(found)


def made(chart: Chart, *settings: str) -> tuple[Manifest, Manifest, Manifest]:
    """The shadow's Deployment, and the Rollout and Service that it was made from."""
    rollout = only(chart, "Rollout", "lead-scoring", *MIRROR, *settings)
    service = only(chart, "Service", "-shadow", *MIRROR, *settings)
    return shadow_deployment(RELEASE, rollout, service, "leads", 7), rollout, service


@pytest.mark.parametrize("settings", [(), REGISTRY, CLAIM], ids=["image", "registry", "claim"])
def test_the_shadow_is_what_the_chart_s_own_would_be(chart: Chart, settings: tuple[str, ...]) -> None:
    """The chart's shadow of version 7, drawn by its own template, is the independent account."""
    own = only(chart, "Deployment", "-shadow", *MIRROR, *settings, "shadow.version=7")
    ours, *_ = made(chart, *settings)
    assert ours["metadata"]["name"] == own["metadata"]["name"]
    assert ours["spec"]["replicas"] == own["spec"]["replicas"] == 3
    assert ours["spec"]["template"]["spec"] == own["spec"]["template"]["spec"]
    theirs = own["spec"]["template"]["metadata"]["labels"]
    labels = ours["spec"]["template"]["metadata"]["labels"]
    assert labels == theirs | {"leadscore.dev/owner-uid": "uid-leads-7"}


def test_copies_reach_the_shadow_s_pods_and_callers_never_do(chart: Chart) -> None:
    ours, rollout, service = made(chart)
    labels = ours["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    assert ours["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert not rollout["spec"]["selector"]["matchLabels"].items() <= labels.items()
    for name in ("-stable", "-canary", "-pods"):
        other = only(chart, "Service", name, *MIRROR)
        assert not other["spec"]["selector"].items() <= labels.items()


def test_its_answers_are_stored_as_a_shadow_s(chart: Chart) -> None:
    ours, *_ = made(chart, *REGISTRY)
    said = environment(ours["spec"]["template"])
    assert (said["LEADSCORE_ROLE"], said["LEADSCORE_MODEL"], said["LEADSCORE_MODEL_VERSION"]) == (
        "shadow",
        "leads/7",
        "7",
    )
    reads = {e["name"]: e for e in ours["spec"]["template"]["spec"]["containers"][0]["env"]}
    path = reads["LEADSCORE_POD_TEMPLATE_HASH"]["valueFrom"]["fieldRef"]["fieldPath"]
    assert path == "metadata.labels['pod-template-hash']"


def test_a_rollout_whose_pods_are_told_no_role_gets_no_shadow(chart: Chart) -> None:
    _, rollout, service = made(chart)
    (container,) = rollout["spec"]["template"]["spec"]["containers"]
    container["env"] = [e for e in container["env"] if e["name"] != "LEADSCORE_ROLE"]
    with pytest.raises(RefusedError, match="stored as a caller's answer"):
        shadow_deployment(RELEASE, rollout, service, "leads", 7)


@pytest.mark.parametrize("selector", [None, {}, {"app.kubernetes.io/instance": "leads"}])
def test_a_service_that_selects_callers_pods_gets_no_shadow(
    chart: Chart, selector: dict[str, str] | None
) -> None:
    _, rollout, service = made(chart)
    service["spec"]["selector"] = selector
    with pytest.raises(RefusedError, match="selects the pods that answer callers"):
        shadow_deployment(RELEASE, rollout, service, "leads", 7)


def test_what_it_was_made_from_is_left_as_it_was(chart: Chart) -> None:
    rollout, service = (
        only(chart, kind, end, *MIRROR) for kind, end in (("Rollout", ""), ("Service", "-shadow"))
    )
    before = copy.deepcopy((rollout, service))
    shadow_deployment(RELEASE, rollout, service, "leads", 7)
    assert (rollout, service) == before


def test_it_belongs_to_its_release_and_goes_with_it(chart: Chart) -> None:
    meta = made(chart)[0]["metadata"]
    (owner,) = meta["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("ModelRelease", "uid-leads-7", True)
    assert meta["labels"]["app.kubernetes.io/managed-by"] == "leadscore-operator"


def test_without_a_version_the_chart_has_mirror_and_service_and_no_pods_of_its_own(chart: Chart) -> None:
    found = chart.render(*MIRROR)
    named = [m["kind"] for m in found if m["metadata"]["name"].endswith("-shadow")]
    assert named == ["Service"]
    mirror = only(chart, "TraefikService", "-mirror", *MIRROR)["spec"]["mirroring"]["mirrors"]
    assert mirror == [{"name": "leads-lead-scoring-shadow", "port": 80, "percent": 40}]
    # Without a pod the Service has no address: Traefik is told to take that.
    service = only(chart, "Service", "-shadow", *MIRROR)
    assert service["spec"]["publishNotReadyAddresses"] is True


def test_the_mirror_is_seen_as_the_chart_says_it(chart: Chart) -> None:
    service = only(chart, "Service", "-shadow", *MIRROR)
    assert (observe_mirror(service, "x").percent, observe_mirror(service, "x").lacks) == (40.0, "")
    del service["metadata"]["annotations"]
    assert observe_mirror(service, "x").percent is None
    absent = observe_mirror(None, "leads-lead-scoring")
    assert "no Service leads-lead-scoring-shadow" in absent.lacks
    assert "shadow.enabled=true and shadow.version=0" in absent.lacks


def test_a_copy_takes_no_more_of_the_ingress_s_memory_than_its_body(chart: Chart) -> None:
    """Traefik allocates a mirror's bound for each request it copies.

    -1 reads what there is, which is bounded before.
    """
    route = next(m for m in chart.render(*MIRROR) if m["kind"] == "IngressRoute")
    (rule,) = route["spec"]["routes"]
    limit = only(chart, "Middleware", "-body-limit", *MIRROR)
    assert limit["spec"]["buffering"]["maxRequestBodyBytes"] > 0
    assert {"name": limit["metadata"]["name"]} in rule["middlewares"]
    mirror = only(chart, "TraefikService", "-mirror", *MIRROR)
    assert mirror["spec"]["mirroring"]["maxBodySize"] == -1
