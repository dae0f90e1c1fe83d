"""A release on a real API server without controllers.

Helm and server-side apply change it, tests play operator and Argo Rollouts.
"""

from __future__ import annotations

import copy
import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import yaml
from tests.faults.harness.controlplane import ADMIN, ControlPlane
from tests.support.chart import CHART, Manifest, containers, environment, expanded

from leadscore_operator.specs.rollouts import VERSION_LABEL, version_patch

NAME = "leads-lead-scoring"
# What only a cluster with Argo, Traefik and Prometheus could take is left out.
BARE = (
    "trafficRouting.provider=none",
    "analysis.enabled=false",
    'rollout.steps=[{"weight":60,"duration":"1h"},{"weight":100,"duration":"1h"}]',
)
SOURCES = {
    "image": (),
    "registry": (
        "model.source=registry",
        "model.registry.trackingUri=http://mlflow:5000",
        "networkPolicy.enabled=false",
    ),
    "claim": ("model.source=claim", "model.claim.name=models"),
}


@dataclass
class LiveRelease:
    """One release in a namespace of its own.

    Attributes:
        plane: The API server.
        helm: Helm's path.
        folder: For the kubeconfig.
        namespace: Made by `begin`.
        settings: `--set` settings, as they were given last.
    """

    plane: ControlPlane
    helm: str
    folder: Path
    namespace: str
    settings: tuple[str, ...] = BARE
    _client: httpx.Client = field(init=False)

    def begin(self) -> LiveRelease:
        """Make the namespace and a kubeconfig."""
        headers = {"Authorization": f"Bearer {ADMIN}"}
        self._client = httpx.Client(
            base_url=self.plane.address, verify=self.plane.tls(), headers=headers, timeout=30
        )
        self.post("/api/v1/namespaces", {"metadata": {"name": self.namespace}})
        cluster = {"server": self.plane.address, "insecure-skip-tls-verify": True}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": {"token": ADMIN}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        (self.folder / "kubeconfig").write_text(yaml.safe_dump(config))
        return self

    def close(self) -> None:
        """Give up the connection; the API server goes with its storage."""
        self._client.close()

    # --- what changes it ------------------------------------------------------------------------------------

    def install(self, *settings: str) -> str:
        """`helm install`; what it prints."""
        self._told(*settings)
        return self._run("install", "leads", str(CHART), *self._options())

    def upgrade(self, *settings: str) -> str:
        """`helm upgrade` with these settings over the ones before; what it prints."""
        self._told(*settings)
        return self._run("upgrade", "leads", str(CHART), *self._options())

    def run_helm(self, *arguments: str) -> str:
        """Helm in the release's namespace; what it prints."""
        return self._run(*arguments)

    def rollback(self, revision: int) -> None:
        """`helm rollback`: the manifests of a revision, as they were rendered then."""
        self._run("rollback", "leads", str(revision))

    def refusal(self, *settings: str) -> str:
        """What `helm upgrade` says when it refuses these settings; they are not kept."""
        done = self._try("upgrade", "leads", str(CHART), *self._options(*settings))
        assert done.returncode != 0, "this upgrade was not refused"
        return done.stderr

    def rendered(self, *settings: str, sees_cluster: bool) -> list[Manifest]:
        """What templates make of these settings over the earlier ones, with (Helm) or without the cluster."""
        self._told(*settings)
        if sees_cluster:
            options = (*self._options(), "--dry-run=server", "--output=json")
            said = json.loads(self._run("upgrade", "leads", str(CHART), *options))["manifest"]
        else:
            said = self._run("template", "leads", str(CHART), *self._options())
        return [each for each in yaml.safe_load_all(said) if each]

    def apply(self, manifest: Manifest, *, force: bool, manager: str = "gitops") -> httpx.Response:
        """Server-side apply of one object."""
        return self._client.patch(
            f"{self._collection(manifest)}/{manifest['metadata']['name']}",
            params={"fieldManager": manager, "force": str(force).lower()},
            headers={"Content-Type": "application/apply-patch+yaml"},
            content=yaml.safe_dump(manifest),
        )

    def promote(self, version: int, release: str = "uid-of-a-release") -> None:
        """The operator's patch."""
        self.merge(version_patch(self.workload(), "leads", version, release), manager="leadscore-operator")

    def undo_to(self, template: Manifest) -> None:
        """`kubectl argo rollouts undo`: the pod template of an old ReplicaSet, as a whole."""
        patch = [{"op": "replace", "path": "/spec/template", "value": template}]
        self._client.patch(
            self._path(),
            json=patch,
            params={"fieldManager": "kubectl-argo-rollouts"},
            headers={"Content-Type": "application/json-patch+json"},
        ).raise_for_status()

    def undo_deployment(self, template: Manifest) -> None:
        """`kubectl rollout undo deployment`."""
        patch = [{"op": "replace", "path": "/spec/template", "value": template}]
        self._client.patch(
            f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{NAME}",
            json=patch,
            params={"fieldManager": "kubectl-rollout"},
            headers={"Content-Type": "application/json-patch+json"},
        ).raise_for_status()

    def definitions(self) -> list[str]:
        """Names of the project's definitions that the API server has."""
        found = self._client.get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions")
        names = [each["metadata"]["name"] for each in found.raise_for_status().json()["items"]]
        return [name for name in names if name.endswith(".leadscore.dev")]

    def annotate_definition(self, name: str, release: str, namespace: str) -> None:
        """The owner of a definition, as the sentence of the refusal says to set it."""
        owner = {"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": namespace}
        helm = {"app.kubernetes.io/managed-by": "Helm"}
        self._client.patch(
            f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}",
            json={"metadata": {"annotations": owner, "labels": helm}},
            headers={"Content-Type": "application/merge-patch+json"},
        ).raise_for_status()

    def merge(self, patch: Manifest, manager: str = "somebody", status: bool = False) -> None:
        """A merge patch of the workload."""
        self._client.patch(
            self._path() + ("/status" if status else ""),
            json=patch,
            params={"fieldManager": manager},
            headers={"Content-Type": "application/merge-patch+json"},
        ).raise_for_status()

    def argo_says(
        self, *, stable: str, current: str, phase: str, aborted: bool = False, weight: int = 0, step: int = 0
    ) -> None:
        """Argo's status for the present generation; weight and step of a canary that is under way."""
        generation = str(self.workload()["metadata"]["generation"])
        status: Manifest = {"observedGeneration": generation, "phase": phase, "abort": aborted}
        status |= {"currentStepIndex": step, "canary": {"weights": {"canary": {"weight": weight}}}}
        self.merge({"status": status | {"stableRS": stable, "currentPodHash": current}}, status=True)

    def replica_set(self, hash_: str, template: Manifest) -> None:
        """A ReplicaSet as Argo makes it of a pod template."""
        body = copy.deepcopy(template)
        labels: dict[str, str] = body["metadata"]["labels"] | {"rollouts-pod-template-hash": hash_}
        body["metadata"]["labels"] = labels
        spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": body}
        path = f"/apis/apps/v1/namespaces/{self.namespace}/replicasets"
        self.post(path, {"metadata": {"name": f"{NAME}-{hash_}", "labels": labels}, "spec": spec})

    def post(self, path: str, body: Manifest) -> None:
        """Create an object."""
        reply = self._client.post(path, json=body)
        assert reply.status_code == 201, reply.text

    # --- what can be seen of it -----------------------------------------------------------------------------

    def workload(self, kind: str = "rollouts", api: str = "apis/argoproj.io/v1alpha1") -> Manifest:
        """The Rollout (or another workload) as the server has it."""
        reply = self._client.get(f"/{api}/namespaces/{self.namespace}/{kind}/{NAME}")
        assert reply.status_code == 200, reply.text
        found: Manifest = reply.json()
        return found

    def jobs(self) -> list[str]:
        """Names of the Jobs."""
        reply = self._client.get(f"/apis/batch/v1/namespaces/{self.namespace}/jobs").raise_for_status()
        return [job["metadata"]["name"] for job in reply.json()["items"]]

    def served(self) -> set[str]:
        """Every version that a new pod of the Rollout would be told, anywhere; one element if all is well."""
        return versions_in(self.workload()["spec"]["template"])

    def _told(self, *settings: str) -> None:
        names = {setting.partition("=")[0] for setting in settings}
        kept = tuple(s for s in self.settings if s.partition("=")[0] not in names)
        self.settings = (*kept, *settings)

    def _options(self, *more: str) -> list[str]:
        return [
            part
            for setting in (*self.settings, *more)
            for part in ("--set-json" if "=[" in setting or "={" in setting else "--set", setting)
        ]

    def _run(self, *arguments: str) -> str:
        done = self._try(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _try(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        folders = {f"HELM_{kind}_HOME": str(self.folder / kind) for kind in ("CACHE", "CONFIG", "DATA")}
        return subprocess.run(
            [self.helm, *arguments, "--namespace", self.namespace],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env={"KUBECONFIG": str(self.folder / "kubeconfig"), "HOME": str(self.folder), **folders},
        )

    def _path(self) -> str:
        return f"/apis/argoproj.io/v1alpha1/namespaces/{self.namespace}/rollouts/{NAME}"

    def _collection(self, manifest: Manifest) -> str:
        version, kind = manifest["apiVersion"], manifest["kind"].lower()
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        plural = f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"
        return f"{root}/namespaces/{self.namespace}/{plural}"


def versions_in(template: Manifest) -> set[str]:
    """Every version that a pod template names.

    Label, environment, registry reference, sub-path, the model image's tag.
    """
    found: set[str] = {template["metadata"]["labels"].get(VERSION_LABEL, "none")}
    for container in containers(template["spec"]):
        told = environment(template, container)
        for name in ("LEADSCORE_MODEL_VERSION", "LEADSCORE_VERSION_LABEL", "LEADSCORE_ARTEFACT_VERSION"):
            found |= {told[name]} if name in told else set()
        found |= {told["LEADSCORE_MODEL"].rpartition("/")[2]} if "LEADSCORE_MODEL" in told else set()
        for mount in container.get("volumeMounts", []):
            if mount["name"] == "model" and "subPathExpr" in mount:
                found.add(expanded(mount["subPathExpr"], told).rpartition("/")[2])
        if container["name"] == "model" and "LEADSCORE_ARTEFACT_VERSION" in told:
            found.add(container["image"].rpartition(":")[2])
    return found
