"""A real API server takes what the chart renders.

Every field known, every pod admitted under the restricted standard.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from tests.faults.harness.controlplane import ADMIN, ControlPlane
from tests.support.chart import CHART, Manifest, pod_specs
from tools.chart.package import find_helm, values_files

pytestmark = pytest.mark.xdist_group("faults")
NAMESPACE = "chart-restricted"
# Kinds of others (Argo Rollouts, Traefik, Prometheus Operator, Gateway API) are not known to a bare API
# server; the pods in their templates are admitted below like all others.
BUILT_IN = {
    "v1": {"ConfigMap", "Secret", "Service", "ServiceAccount", "PersistentVolumeClaim", "Pod"},
    "apps/v1": {"Deployment", "StatefulSet"},
    "batch/v1": {"Job", "CronJob"},
    "autoscaling/v2": {"HorizontalPodAutoscaler"},
    "policy/v1": {"PodDisruptionBudget"},
    "networking.k8s.io/v1": {"NetworkPolicy"},
    "rbac.authorization.k8s.io/v1": {"Role", "RoleBinding"},
}
STRICT = {"dryRun": "All", "fieldValidation": "Strict"}


@pytest.fixture(scope="module")
def server(plane: ControlPlane) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {ADMIN}"}
    with httpx.Client(base_url=plane.address, verify=plane.tls(), headers=headers, timeout=30) as client:
        labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
        client.post(
            "/api/v1/namespaces", json={"metadata": {"name": NAMESPACE, "labels": labels}}
        ).raise_for_status()
        # Those that ci/all-options-values.yaml names: they are the cluster's own.
        for name in ("business", "online", "databases", "batch"):
            body = {"metadata": {"name": name}, "value": 1000}
            reply = client.post("/apis/scheduling.k8s.io/v1/priorityclasses", json=body)
            assert reply.status_code in (201, 409), reply.text
        yield client


def rendered(file: Path) -> tuple[Manifest, ...]:
    command = [
        find_helm(), "template", "leads", str(CHART), "--namespace", NAMESPACE, "--values", str(file),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return tuple(document for document in yaml.safe_load_all(done.stdout) if document)


def collection(manifest: Manifest) -> str:
    version, kind = manifest["apiVersion"], manifest["kind"].lower()
    plural = f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    return f"{root}/namespaces/{NAMESPACE}/{plural}"


@pytest.mark.parametrize("file", values_files(), ids=lambda f: f"{f.parent.name}-{f.stem}")
def test_every_built_in_object_is_taken_without_a_warning(server: httpx.Client, file: Path) -> None:
    known = [m for m in rendered(file) if m["kind"] in BUILT_IN.get(m["apiVersion"], set())]
    assert known
    for manifest in known:
        reply = server.post(collection(manifest), params=STRICT, json=manifest)
        assert reply.status_code == 201, (manifest["kind"], manifest["metadata"]["name"], reply.text)
        assert "Warning" not in reply.headers, (manifest["metadata"]["name"], reply.headers["Warning"])


@pytest.mark.parametrize("file", values_files(), ids=lambda f: f"{f.parent.name}-{f.stem}")
def test_every_pod_is_admitted_under_the_restricted_standard(server: httpx.Client, file: Path) -> None:
    pods = list(pod_specs(rendered(file)))
    assert pods
    for owner, spec in pods:
        reply = admit(server, spec)
        assert reply.status_code == 201, (owner, reply.text)


def admit(server: httpx.Client, spec: dict[str, Any]) -> httpx.Response:
    """Ask for a pod without making it."""
    # A claim template of a StatefulSet became a volume without a claim's text.
    volumes = [
        {"name": v["name"], "emptyDir": {}} if v.get("ephemeral") == {} else v for v in spec["volumes"]
    ]
    pod = spec | {"volumes": volumes}
    # Templates of Jobs, Deployments and so on are given a restart policy by their own defaults.
    body = {"metadata": {"name": "asked"}, "spec": {"restartPolicy": "Always", **pod}}
    return server.post(f"/api/v1/namespaces/{NAMESPACE}/pods", params=STRICT, json=body)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"hostNetwork": True}, "violates PodSecurity"),
        ({"terminationGracePeriod": 3}, "unknown field"),
    ],
)
def test_the_api_server_refuses_what_it_should(
    server: httpx.Client, change: dict[str, Any], said: str
) -> None:
    _, spec = next(pod_specs(rendered(CHART / "ci" / "default-values.yaml")))
    reply = admit(server, {**spec, **change})
    assert reply.status_code in {400, 403}
    assert said in reply.text
