"""kubectl, helm and the Rollouts plugin in one namespace of the cluster that is meant."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tools.cluster.addons.install import Cluster
from tools.cluster.build import built_folder
from tools.cluster.errors import ClusterError
from tools.cluster.pins import ARGO_ROLLOUTS, HELM
from tools.cluster.shell import run

# What the API server answers; its shape is Kubernetes'.
Object = dict[str, Any]

WORKER = "leadscore_service.server_adapter"
MONITOR = "app.kubernetes.io/component=monitor"


@dataclass(frozen=True, slots=True)
class Kube:
    """One namespace.

    Attributes:
        cluster: How to talk to the API server.
        namespace: Where the scenario happens.
    """

    cluster: Cluster
    namespace: str

    @property
    def environment(self) -> Mapping[str, str]:
        """For programs that read KUBECONFIG."""
        return {**os.environ, "KUBECONFIG": self.cluster.kubeconfig}

    def command(self, *arguments: str) -> list[str]:
        """A kubectl command line in this namespace."""
        return [str(self.cluster.kubectl), "--namespace", self.namespace, *arguments]

    def run(self, *arguments: str, stdin: str | None = None, timeout: float = 60) -> str:
        """kubectl's output; ClusterError if it fails."""
        return run(self.command(*arguments), stdin=stdin, timeout=timeout, env=self.environment)

    def get(self, what: str, name: str) -> Object:
        """One object."""
        return json.loads(self.run("get", what, name, "--output=json"))

    def list(self, what: str, selector: str = "") -> list[Object]:
        """Objects of a kind, by labels."""
        options = [f"--selector={selector}"] if selector else []
        return json.loads(self.run("get", what, *options, "--output=json"))["items"]

    def cluster_list(self, what: str, *options: str) -> list[Object]:
        """Objects of a kind, of this or of other namespaces."""
        return json.loads(self.cluster.run("get", what, *options, "--output=json"))["items"]

    def raw(self, path: str) -> Object:
        """What the API server answers at a path."""
        return json.loads(self.cluster.run("get", "--raw", path))

    def helm(self, *arguments: str, timeout: float = 180) -> str:
        """Helm in this namespace."""
        command = [program(built_folder(HELM) / "helm"), "--namespace", self.namespace, *arguments]
        return run(command, timeout=timeout, env=self.environment)

    def rollouts(self, *arguments: str, timeout: float = 60) -> str:
        """`kubectl argo rollouts …`."""
        tool = program(built_folder(ARGO_ROLLOUTS) / "kubectl-argo-rollouts")
        return run([tool, "--namespace", self.namespace, *arguments], timeout=timeout, env=self.environment)

    def python(self, pod: str, code: str, container: str = "scoring", timeout: float = 60) -> str:
        """Run Python inside a container."""
        return self.run("exec", pod, f"--container={container}", "--", "python", "-c", code, timeout=timeout)

    def evict(self, pod: str) -> bool:
        """Ask the eviction API, as `kubectl drain` does; False if a PodDisruptionBudget forbids it now."""
        eviction = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod, "namespace": self.namespace},
        }
        path = f"/api/v1/namespaces/{self.namespace}/pods/{pod}/eviction"
        try:
            self.run("create", "--raw", path, "--filename=-", stdin=json.dumps(eviction))
        except ClusterError as error:
            if "disruption budget" in error.message:
                return False
            raise
        return True

    def pod_get(self, pod: str, path: str) -> str:
        """GET from one scoring pod, through the API server."""
        return self.run("get", "--raw", f"/api/v1/namespaces/{self.namespace}/pods/{pod}:3000/proxy{path}")

    def service_get(self, service: str, path: str) -> str:
        """GET from inside, through the API server: paths that the ingress does not route."""
        return self.run(
            "get", "--raw", f"/api/v1/namespaces/{self.namespace}/services/{service}:80/proxy{path}"
        )


def program(built: Path) -> str:
    """A pinned program that was built here, else the one of that name on PATH."""
    return str(built) if built.exists() else built.name


def is_ready(pod: Object) -> bool:
    """Whether a pod takes traffic and is not on its way out."""
    conditions = pod.get("status", {}).get("conditions", [])
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]


def restarts(pod: Object) -> int:
    """How often the pod's containers were started anew."""
    return sum(status["restartCount"] for status in pod["status"].get("containerStatuses", []))


def mebibytes(metrics: Object) -> float:
    """Memory of a pod from the metrics API, which writes whole mebibytes as such (`129Mi`, `132097Ki`)."""
    quantities = [container["usage"]["memory"] for container in metrics["containers"]]
    units = {"": 1, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
    return sum(int(q.rstrip("KMGi")) * units[q.lstrip("0123456789")] for q in quantities) / 2**20


def seconds_to_ready(pod: Object) -> float:
    """From the start of the pod (kubelet has taken it) to Ready, as the API server says (whole seconds)."""
    started = _time(pod["status"]["startTime"])
    ready = next(c for c in pod["status"]["conditions"] if c["type"] == "Ready" and c["status"] == "True")
    return _time(ready["lastTransitionTime"]) - started


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
