"""Put the add-ons into a cluster, wait until they work, and say how they are."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tools.cluster.addons.catalogue import ADDONS, Addon, manifests
from tools.cluster.errors import ClusterError
from tools.cluster.images import Manifest
from tools.cluster.shell import run, succeeds

READY_SECONDS = 180
MANAGER = "leadscore-cluster"


@dataclass(frozen=True, slots=True)
class Cluster:
    """How to talk to a cluster.

    The kubectl program and KUBECONFIG (a file, or a list of files as kubectl takes it).
    """

    kubectl: Path | str
    kubeconfig: str

    def run(self, *arguments: str, stdin: str | None = None, timeout: float = 60) -> str:
        """Run kubectl and return its output."""
        return run([self.kubectl, *arguments], stdin=stdin, timeout=timeout, env=self._environment())

    def succeeds(self, *arguments: str) -> bool:
        """Whether kubectl succeeds."""
        return succeeds([self.kubectl, *arguments], env=self._environment())

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "KUBECONFIG": self.kubeconfig}


@dataclass(frozen=True, slots=True)
class AddonStatus:
    """One add-on on the cluster: what runs, and whether it is available."""

    name: str
    image: str
    available: bool


def is_foreign(cluster: Cluster, addon: Addon) -> bool:
    """Whether somebody else has installed this add-on: then it is theirs to configure."""
    if not addon.marker or not cluster.succeeds("get", addon.marker):
        return False
    managers = cluster.run(
        "get", addon.marker, "--show-managed-fields", "-o", "jsonpath={.metadata.managedFields[*].manager}"
    )
    return MANAGER not in managers.split()


def apply(cluster: Cluster, addon: Addon, *, local: bool) -> None:
    """Apply the add-on's manifests.

    The server keeps track of the fields, as its resource definitions need.
    """
    documents = manifests(addon, local=local)
    spaces = [document for document in documents if document["kind"] == "Namespace"]
    rest = [document for document in documents if document["kind"] != "Namespace"]
    for part in (spaces, rest):
        if part:
            options = (
                "--server-side",
                f"--field-manager={MANAGER}",
                "--namespace",
                addon.namespace,
                "--filename=-",
            )
            cluster.run("apply", *options, stdin=_as_list(part), timeout=120)


def wait_until_ready(cluster: Cluster, addons: Sequence[Addon]) -> None:
    """Wait for every Deployment, the cluster's DNS, and the metrics API's first answer.

    Raises:
        ClusterError: Something is not ready after `READY_SECONDS`; says what, and what its pods report.
    """
    targets = [("kube-system", "coredns"), *((addon.namespace, addon.name) for addon in addons)]
    with ThreadPoolExecutor(len(targets)) as pool:
        list(pool.map(lambda target: _wait_for(cluster, *target), targets))
    if any(addon.name == "metrics-server" for addon in addons):
        _wait_for_metrics(cluster)


def status(cluster: Cluster) -> list[AddonStatus]:
    """Each add-on as it is now; an absent one is not available."""
    found = json.loads(cluster.run("get", "deployments", "--all-namespaces", "-o", "json"))["items"]
    by_name = {(item["metadata"]["namespace"], item["metadata"]["name"]): item for item in found}
    places = [("kube-system", "coredns"), *((addon.namespace, addon.name) for addon in ADDONS)]
    return [_status_of(name, by_name.get((namespace, name))) for namespace, name in places]


def _status_of(name: str, deployment: dict | None) -> AddonStatus:  # type: ignore[type-arg]
    if deployment is None:
        return AddonStatus(name, "", available=False)
    image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    return AddonStatus(name, image, available=deployment.get("status", {}).get("availableReplicas", 0) > 0)


def _wait_for(cluster: Cluster, namespace: str, name: str) -> None:
    options = ("--namespace", namespace, f"deployment/{name}", f"--timeout={READY_SECONDS}s")
    try:
        cluster.run("rollout", "status", *options, timeout=READY_SECONDS + 10)
    except ClusterError as error:
        pods = cluster.run("get", "pods", "--namespace", namespace)
        raise ClusterError(
            f"{name} is not ready after {READY_SECONDS} s:\n{pods}",
            hint=f"kubectl --namespace {namespace} describe pods",
        ) from error


def _wait_for_metrics(cluster: Cluster) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not cluster.succeeds("get", "--raw", "/apis/metrics.k8s.io/v1beta1/nodes"):
        if time.monotonic() > deadline:
            raise ClusterError(
                f"The metrics API does not answer after {READY_SECONDS} s.",
                hint="kubectl --namespace kube-system logs deployment/metrics-server",
            )
        time.sleep(0.5)


def _as_list(documents: Sequence[Manifest]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(documents)})
