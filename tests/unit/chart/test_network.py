"""NetworkPolicies as an enforcing network would read them.

Every connection that the pods need comes about, and no other.

What they need is read from the pods themselves (addresses in their environment and arguments), not from the
policies.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.support.chart import ROOT, VALUES, Chart, Manifest, containers
from tests.support.network import End, is_allowed

from leadscore_operator.specs.workload import Workload, pod_template

OPERATOR = "operator.enabled=true"
RETENTION = "events.retention.keep=730d"
SEEN = ("console.enabled=true", "monitor.enabled=true", "monitor.channels.existingSecret=channels")
CHANNELS = (
    'networkPolicy.channelsEgress=[{"to":[{"ipBlock":{"cidr":"192.0.2.0/24"}}],"ports":[{"port":443}]}]'
)
BUNDLED = (OPERATOR, "mlflow.enabled=true", "mlflow.artifactRoot=file:///artefacts", "mlflow.artifactClaim=a")
NIGHTS = (
    *("batch.enabled=true", "batch.leads=/lake/leads", "batch.claim=lake"),
    'crm.targets=[{"name":"warehouse","kind":"table"},{"name":"sf","kind":"salesforce","existingSecret":"sf"}]',
    'networkPolicy.crmEgress=[{"to":[{"ipBlock":{"cidr":"192.0.3.0/24"}}],"ports":[{"port":443}]}]',
)
LAKE = (*NIGHTS, "batch.lake=s3://leadscore/lake")
BUNDLED_REGISTRY = (*BUNDLED, "model.source=registry", "shadow.enabled=true")
STORE = (
    'networkPolicy.objectStoreEgress=[{"to":[{"ipBlock":{"cidr":"203.0.113.0/24"}}],"ports":[{"port":443}]}]'
)
DATABASE = (
    'networkPolicy.databaseEgress=[{"to":[{"ipBlock":{"cidr":"10.20.0.0/16"}}],"ports":[{"port":5432}]}]'
)
API = 'networkPolicy.apiServerEgress=[{"to":[{"ipBlock":{"cidr":"10.96.0.1/32"}}],"ports":[{"port":443}]}]'
YOURS = (
    *(OPERATOR, "postgresql.enabled=false", "events.existingSecret=events", DATABASE, STORE),
    *("mlflow.enabled=true", "mlflow.existingSecret=mlflow", "mlflow.artifactRoot=s3://models"),
    *("model.source=registry", "loadTest.enabled=true", "loadTest.target=http://traefik.traefik"),
)
PRODUCTION = ROOT / "manifests" / "environments" / "production" / "values.yaml"

OUTSIDE = {
    "database": End("database", address="10.20.0.5"),
    "object store": End("object store", address="203.0.113.10"),
    "API server": End("API server", address="10.96.0.1"),
    "channels": End("channels", address="192.0.2.7"),
    "CRM": End("CRM", address="192.0.3.7"),
    "internet": End("internet", address="198.51.100.7"),
    "metadata": End("metadata", address="169.254.169.254"),
    "DNS": End("DNS", "kube-system", {"k8s-app": "kube-dns"}, {"dns": 53}),
    "ingress": End("ingress", "traefik", {"app": "traefik"}, {"web": 8000}),
    "Prometheus": End("Prometheus", "monitoring", {"app": "prometheus"}, {"http": 9090}),
    "stranger": End("stranger", "default", {"app": "x"}, {"http": 3000}),
    "neighbour": End("neighbour", "scoring", {"app": "x"}, {"http": 5432}),
}
PORTS = {22, 80, 443, 587, 3000, 5000, 5432, 6443, 8000, 8080, 8600, 9090, 9464, 9465}
Need = tuple[str, str, int]


def templates(manifests: tuple[Manifest, ...], tmp_path: Path) -> Iterator[Manifest]:
    """Pod templates of everything that makes pods, those that the operator starts among them."""
    for manifest in manifests:
        if manifest["kind"] == "Pod":
            yield {"metadata": manifest["metadata"], "spec": manifest["spec"]}
        elif manifest["kind"] == "CronJob":
            yield manifest["spec"]["jobTemplate"]["spec"]["template"]
        elif "template" in manifest.get("spec", {}):
            yield manifest["spec"]["template"]
        elif manifest["kind"] == "ConfigMap" and "workload.yaml" in manifest["data"]:
            (tmp_path / "workload.yaml").write_text(manifest["data"]["workload.yaml"])
            yield pod_template(Workload.read(tmp_path / "workload.yaml"), [], {}, resources={})


def component(template: Manifest) -> str:
    return str(template["metadata"]["labels"]["app.kubernetes.io/component"])


def end_of(template: Manifest) -> End:
    ports = {p["name"]: p["containerPort"] for c in containers(template["spec"]) for p in c.get("ports", [])}
    return End(component(template), "scoring", template["metadata"]["labels"], ports)


def needs_of(template: Manifest, *, artefacts_outside: bool) -> Iterator[Need]:
    """What a pod's own words say that it will connect to."""
    me = component(template)
    for container in containers(template["spec"]):
        told = {e["name"]: e for e in container.get("env", [])}
        for name in ("LEADSCORE_EVENTS_URL", "MLFLOW_BACKEND_STORE_URI"):
            if name in told:
                yield me, "database" if "valueFrom" in told[name] else "postgresql", 5432
        if "LEADSCORE_TRACKING_URI" in told:
            yield me, "mlflow", 5000
            # They read the registry's REST interface, and no artefact in an object store.
            if artefacts_outside and me not in {"operator", "console", "monitor"}:
                yield me, "object store", 443
        said = " ".join((*container.get("command", []), *container.get("args", [])))
        if "--default-artifact-root=s3:" in said:
            yield me, "object store", 443
        if re.search(r"http://\S+-stable", said):
            yield me, "scoring", 3000
        if "--host=http://traefik" in said:
            yield from ((me, "ingress", port) for port in PORTS)
    yield from needs_of_role(me, str(template))


def needs_of_role(me: str, said: str) -> Iterator[Need]:
    """What only one role connects to."""
    if me == "operator":
        yield me, "API server", 443
    if me == "monitor":
        yield from ((me, "Prometheus", port) for port in PORTS)
    if "LEADSCORE_ALERT_SECRETS" in said:
        yield me, "channels", 443
    if "leadscore-crm-credentials" in said:
        yield me, "CRM", 443


def pods(found: tuple[Manifest, ...], tmp_path: Path) -> dict[str, End]:
    return {each.name: each for each in map(end_of, templates(found, tmp_path))}


def expected(found: tuple[Manifest, ...], tmp_path: Path) -> set[Need]:
    made = list(templates(found, tmp_path))
    outside = any("s3:" in str(t) for t in made)
    needed = {need for t in made for need in needs_of(t, artefacts_outside=outside)}
    here = {component(t) for t in made}
    ports = {"scoring": 3000, "shadow": 3000, "operator": 8080, "console": 9465, "monitor": 9464}
    called = {("ingress", to, ports[to]) for to in here & {"scoring", "shadow"}}
    called |= {("ingress", to, 8600) for to in here & {"console"}}
    # Alertmanager is where Prometheus is.
    scraped = {("Prometheus", to, ports[to]) for to in here & set(ports)}
    return needed | called | scraped


def allowed(found: tuple[Manifest, ...], tmp_path: Path) -> set[Need]:
    """Every connection of a pod of the release, or to one, that comes about."""
    ours = pods(found, tmp_path)
    ends = ours | OUTSIDE
    policies = [m for m in found if m["kind"] == "NetworkPolicy"]
    return {
        (a, b, port)
        for a in ends
        for b in ends
        if a != b and (a in ours or b in ours)
        for port in PORTS
        if is_allowed(policies, ends[a], ends[b], port)
    }


@pytest.mark.parametrize(
    "settings",
    [
        (API,),
        (*BUNDLED, RETENTION, API),
        (*BUNDLED_REGISTRY, *SEEN, CHANNELS, API),
        (*BUNDLED, *SEEN, *NIGHTS, CHANNELS, API),
        (*YOURS, *SEEN, *LAKE, CHANNELS, API),
    ],
    ids=["default", "bundled", "bundled registry, shadow, console", "nights, CRM", "yours, nights"],
)
def test_every_connection_that_pods_need_comes_about_and_no_other(
    chart: Chart, tmp_path: Path, settings: tuple[str, ...]
) -> None:
    found = chart.render(*settings)
    assert allowed(found, tmp_path) == expected(found, tmp_path)


@pytest.mark.parametrize("values", [p.stem.removesuffix("-values") for p in VALUES])
def test_no_values_file_leaves_a_pod_without_what_it_needs(chart: Chart, tmp_path: Path, values: str) -> None:
    found = chart.render(OPERATOR, values=values)
    lacking = expected(found, tmp_path) - allowed(found, tmp_path)
    # The all-options file names another database than this test's, by another range.
    assert {need for need in lacking if need[1] != "database"} == set()


def test_the_shipped_production_values_work_under_a_policy_that_is_enforced(
    chart: Chart, tmp_path: Path
) -> None:
    done = chart.run(
        "template", "leads", str(ROOT / "charts" / "lead-scoring"), "--namespace=scoring",
        f"--values={PRODUCTION}", f"--set={OPERATOR}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = tuple(m for m in yaml.safe_load_all(done.stdout) if m)
    assert {"operator", "jobs", "mlflow", "mlflow-migrate", "scoring"} <= set(pods(found, tmp_path))
    may = allowed(found, tmp_path)
    assert expected(found, tmp_path) - may == set()
    # An object store without an address is HTTPS to anywhere, a database somewhere in 10.0.0.0/8 is all of it
    # (here: the cluster's own addresses, too); nothing else goes out, and nobody else comes in.
    more = may - expected(found, tmp_path)
    assert {port for *_, port in more} <= {443, 587, 5432, 6443}
    assert {b for _, b, port in more if port == 5432} & {"internet", "object store", "metadata"} == set()
    migrating = {"mlflow-migrate", "events-migrate"}
    nights = {"batch", "batch-publish", "batch-maintain"}
    assert {a for a, *_ in more} <= {
        "scoring",
        "jobs",
        "mlflow",
        "operator",
        "console",
        "monitor",
    } | migrating | nights
    assert not {b for _, b, _ in more} & set(pods(found, tmp_path))


def test_what_lies_outside_and_is_allowed_by_nothing_is_refused(chart: Chart) -> None:
    yours = ("postgresql.enabled=false", "events.existingSecret=events")
    assert "Set networkPolicy.databaseEgress" in chart.refusal(*yours)
    assert chart.render(*yours, "networkPolicy.enabled=false")
    mlflow = ("mlflow.enabled=true", "mlflow.artifactRoot=s3://b/p")
    assert "Set networkPolicy.objectStoreEgress" in chart.refusal(*mlflow)
    registry = ("model.source=registry", "model.registry.trackingUri=https://mlflow.example.com")
    assert "nothing names the registry" in chart.refusal(*registry)
    assert "nothing names the collector" in chart.refusal("scoring.otlpEndpoint=http://collector:4318")
    nights = (*BUNDLED, *SEEN, CHANNELS, *LAKE)
    assert "Set networkPolicy.objectStoreEgress" in chart.refusal(*nights)
    assert "Set networkPolicy.crmEgress" in chart.refusal(*nights, STORE, "networkPolicy.crmEgress=null")


def test_every_pod_may_ask_for_names(chart: Chart, tmp_path: Path) -> None:
    found = chart.render(*YOURS)
    policies = [m for m in found if m["kind"] == "NetworkPolicy"]
    for pod in pods(found, tmp_path).values():
        assert is_allowed(policies, pod, OUTSIDE["DNS"], 53, "UDP"), pod.name
        assert is_allowed(policies, pod, OUTSIDE["DNS"], 53, "TCP"), pod.name
