"""The Argo CD and Flux examples on a real API server.

A day in which others write beside git is no difference, and takes nothing back.
"""

from __future__ import annotations

import copy
import json
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from tests.faults.harness.controlplane import ADMIN, ControlPlane
from tests.support import programs
from tests.support.chart import CHART, ROOT, Manifest, pod_specs
from tests.support.live_release import NAME, LiveRelease, versions_in
from tests.support.waiting import wait_until

pytestmark = pytest.mark.xdist_group("faults")
EXAMPLES = ROOT / "manifests" / "gitops"
# Kinds of others: the API server keeps them as they are written, and a list of theirs is one value.
FOREIGN = {
    "traefik.io/v1alpha1": ("IngressRoute", "Middleware", "ServersTransport", "TraefikService"),
    "argoproj.io/v1alpha1": ("AnalysisTemplate", "Rollout"),
}
Ignored = list[tuple[str, str, str]]
"""Kind, name (a pattern, as Flux takes it) and pointer of what is left to others."""


@pytest.fixture(scope="module")
def server(plane: ControlPlane) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {ADMIN}"}
    with httpx.Client(base_url=plane.address, verify=plane.tls(), headers=headers, timeout=30) as client:
        for api, kinds in FOREIGN.items():
            for kind in kinds:
                reply = client.post(
                    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", json=definition(api, kind)
                )
                assert reply.status_code in (201, 409), reply.text
                known = f"/apis/{api}/{kind.lower()}s"
                wait_until(lambda known=known: client.get(known).status_code == 200, seconds=20, what=kind)
        yield client


def definition(api: str, kind: str) -> Manifest:
    group, version = api.split("/")
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    plural = f"{kind.lower()}s"
    return {
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
            "versions": [
                {
                    "name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema},
                    **({"subresources": {"status": {}}} if kind == "Rollout" else {}),
                }
            ],
        },
    }  # fmt: skip


@pytest.fixture
def namespace(server: httpx.Client, request: pytest.FixtureRequest) -> str:
    name = f"gitops-{request.node.callspec.id.replace('_', '-')}"
    server.post("/api/v1/namespaces", json={"metadata": {"name": name}}).raise_for_status()
    return name


def rendered(namespace: str, files: Sequence[Path]) -> list[Manifest]:
    """What a GitOps controller renders: these files alone, without a cluster in view."""
    command = [programs.helm(), "template", "leads", str(CHART), "--namespace", namespace, "--skip-tests"]
    command += [f"--values={file}" for file in files]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def path_of(namespace: str, manifest: Manifest) -> str:
    api, kind = manifest["apiVersion"], manifest["kind"].lower()
    plural = f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"
    root = f"/apis/{api}" if "/" in api else f"/api/{api}"
    space = "" if manifest["kind"] == "CustomResourceDefinition" else f"/namespaces/{namespace}"
    return f"{root}{space}/{plural}/{manifest['metadata']['name']}"


class Git:
    """A controller that applies what is rendered, as Argo CD and Flux do.

    Server-side, with force, but for what is ignored.
    """

    def __init__(self, server: httpx.Client, namespace: str, ignored: Ignored) -> None:
        self._server, self._namespace, self._ignored = server, namespace, ignored

    def live(self, manifest: Manifest) -> Manifest:
        found = self._server.get(path_of(self._namespace, manifest))
        return found.json() if found.status_code == 200 else {}

    def apply(self, manifest: Manifest, *, dry: bool = False) -> Manifest:
        wanted = copy.deepcopy(manifest)
        live = self.live(manifest)
        for kind, name, pointer in self._ignored if live else ():
            if kind == manifest["kind"] and re.fullmatch(name, manifest["metadata"]["name"]):
                keep(pointer, live, wanted)
        reply = self._server.patch(
            path_of(self._namespace, manifest),
            params={"fieldManager": "gitops", "force": "true", **({"dryRun": "All"} if dry else {})},
            headers={"Content-Type": "application/apply-patch+yaml"},
            content=yaml.safe_dump(wanted),
        )
        assert reply.status_code in (200, 201), reply.text
        return reply.json()

    def differences(self, manifests: Sequence[Manifest]) -> list[str]:
        """Names of what a sync would change, as the API server says."""
        return [
            f"{m['kind']}/{m['metadata']['name']}"
            for m in manifests
            if settled(self.live(m)) != settled(self.apply(m, dry=True))
        ]


def keep(pointer: str, live: Manifest, wanted: Manifest) -> None:
    """Give a field of the wanted object the live one's value; nothing where nothing is live."""
    *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    for parent in parents:
        live, wanted = live.get(parent, {}), wanted.setdefault(parent, {})
    wanted.pop(last, None)
    if last in live:
        wanted[last] = live[last]


def settled(manifest: Manifest) -> Manifest:
    found = copy.deepcopy(manifest)
    found.pop("status", None)
    for field in ("managedFields", "resourceVersion", "generation"):
        found["metadata"].pop(field, None)
    return found


def argo_cd() -> tuple[list[Path], Ignored]:
    """Values files and ignored fields of the Application."""
    spec: dict[str, Any] = yaml.safe_load((EXAMPLES / "argo-cd.yaml").read_text())["spec"]
    files = [(CHART / file).resolve() for file in spec["source"]["helm"]["valueFiles"]]
    assert spec["source"]["path"] == str(CHART.relative_to(ROOT))
    assert {"ServerSideApply=true", "RespectIgnoreDifferences=true"} <= set(spec["syncPolicy"]["syncOptions"])
    return files, [(i["kind"], i["name"], p) for i in spec["ignoreDifferences"] for p in i["jsonPointers"]]


def flux() -> tuple[list[Path], Ignored]:
    """The same of the HelmRelease."""
    _, release = yaml.safe_load_all((EXAMPLES / "flux.yaml").read_text())
    spec = release["spec"]
    files = [ROOT / file for file in spec["chart"]["spec"]["valuesFiles"]]
    ignored = [
        (i["target"]["kind"], i["target"]["name"], p)
        for i in spec["driftDetection"]["ignore"]
        for p in i["paths"]
    ]
    return files, ignored


def merge(server: httpx.Client, path: str, patch: Manifest, manager: str) -> None:
    server.patch(
        path,
        content=json.dumps(patch),
        params={"fieldManager": manager},
        headers={"Content-Type": "application/merge-patch+json"},
    ).raise_for_status()


def others_write(server: httpx.Client, namespace: str) -> None:
    """A day: the operator promotes, Argo Rollouts moves weights and selectors, pods and revisions change."""
    rollout = f"/apis/argoproj.io/v1alpha1/namespaces/{namespace}/rollouts/{NAME}"
    label = {"metadata": {"labels": {"leadscore.dev/model-version": "2"}}}
    merge(server, rollout, {"spec": {"template": label}}, "leadscore-operator")
    merge(server, rollout, {"metadata": {"annotations": {"rollout.argoproj.io/revision": "4"}}}, "argo")
    merge(server, rollout, {"spec": {"replicas": 5}}, "horizontal-pod-autoscaler")
    weighted = f"/apis/traefik.io/v1alpha1/namespaces/{namespace}/traefikservices/{NAME}"
    services = server.get(weighted).raise_for_status().json()["spec"]["weighted"]["services"]
    moved = [s | {"weight": weight} for s, weight in zip(services, (90, 10), strict=True)]
    merge(server, weighted, {"spec": {"weighted": {"services": moved}}}, "rollouts-controller")
    for suffix, hash_ in (("stable", "h1"), ("canary", "h2")):
        service = f"/api/v1/namespaces/{namespace}/services/{NAME}-{suffix}"
        hashed = {"spec": {"selector": {"rollouts-pod-template-hash": hash_}}}
        merge(server, service, hashed, "rollouts-controller")


@pytest.mark.parametrize("example", [argo_cd, flux])
def test_a_day_of_others_writing_is_in_sync_and_a_sync_takes_nothing_back_from(
    server: httpx.Client, namespace: str, example: Callable[[], tuple[list[Path], Ignored]]
) -> None:
    files, ignored = example()
    git = Git(server, namespace, ignored)
    wanted = rendered(namespace, files)
    assert wanted == rendered(namespace, files)
    for manifest in wanted:
        git.apply(manifest)
    assert git.differences(wanted) == []
    others_write(server, namespace)
    assert git.differences(wanted) == []
    for manifest in wanted:
        git.apply(manifest)
    rollout = git.live(next(m for m in wanted if m["kind"] == "Rollout"))
    assert versions_in(rollout["spec"]["template"]) == {"2"}
    assert rollout["spec"]["replicas"] == 5
    for suffix, hash_ in (("stable", "h1"), ("canary", "h2")):
        (service,) = [git.live(m) for m in wanted if m["metadata"]["name"] == f"{NAME}-{suffix}"]
        assert service["spec"]["selector"]["rollouts-pod-template-hash"] == hash_
    (weighted,) = [
        git.live(m) for m in wanted if m["kind"] == "TraefikService" and m["metadata"]["name"] == NAME
    ]
    assert [s["weight"] for s in weighted["spec"]["weighted"]["services"]] == [90, 10]
    # What is git's and was changed by hand is seen.
    merge(
        server,
        path_of(namespace, rollout),
        {"spec": {"progressDeadlineSeconds": 1}},
        "somebody",
    )
    assert git.differences(wanted) == [f"Rollout/{NAME}"]


@pytest.mark.parametrize("example", [argo_cd, flux])
def test_nothing_that_is_rendered_ends_by_itself_or_is_made_up(
    example: Callable[[], tuple[list[Path], Ignored]],
) -> None:
    """A Job that deletes itself would be made again, and again.

    A password made while rendering is another each time.
    """
    made = rendered("leadscore", example()[0])
    assert not [m["metadata"]["name"] for m in made if m["kind"] == "Secret"]
    assert not [m["metadata"]["name"] for m in made if "ttlSecondsAfterFinished" in m.get("spec", {})]
    assert [owner for owner, _ in pod_specs(tuple(made)) if "mlflow-migrate" in owner]


@pytest.mark.parametrize("example", [argo_cd, flux])
def test_the_rollout_says_nothing_that_argo_leaves_out_when_it_writes_the_object_back(
    example: Callable[[], tuple[list[Path], Ignored]],
) -> None:
    """Its controller writes Rollouts by their Go types.

    What is empty there is not written, and would be a difference for ever.
    """
    (rollout,) = [m for m in rendered("leadscore", example()[0]) if m["kind"] == "Rollout"]
    assert list(empty_values(rollout["spec"], "spec")) == []


# Pointers in the Go types, where false is something that is said.
SAID = ("automountServiceAccountToken", "enableServiceLinks", "allowPrivilegeEscalation", "emptyDir")


def empty_values(value: Any, path: str) -> Iterator[str]:
    if (
        not value
        and not (isinstance(value, int) and value is not False)
        and path.rpartition(".")[2] not in SAID
    ):
        yield path
    for key, inner in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        yield from empty_values(inner, f"{path}.{key}")


def test_a_release_that_helm_has_made_is_in_sync_with_what_helm_keeps_of_it(
    plane: ControlPlane, server: httpx.Client, tmp_path: Path
) -> None:
    """Flux compares the cluster with the manifest of Helm's release, rendered with the cluster in view."""
    files, ignored = flux()
    release = LiveRelease(plane, programs.helm(), tmp_path, "gitops-helm", ()).begin()
    options = [f"--values={file}" for file in files]
    try:
        # Definitions are one release's per cluster, and others of these tests have written them.
        release.run_helm("install", "leads", str(CHART), *options, "--set=crds.enabled=false")
        git = Git(server, "gitops-helm", ignored)
        for turn in range(2):
            kept = [each for each in yaml.safe_load_all(release.run_helm("get", "manifest", "leads")) if each]
            others_write(server, "gitops-helm")
            assert git.differences(kept) == []
            assert release.served() == {"2"}
            release.run_helm(
                "upgrade",
                "leads",
                str(CHART),
                *options,
                "--set=crds.enabled=false",
                f"--set=scoring.slowMs={400 + turn}",
            )
            assert release.served() == {"2"}
    finally:
        release.close()
