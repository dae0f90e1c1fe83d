"""The cluster itself: a kind configuration made from the plan, created, recognised and deleted."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import yaml

from tools.cluster.build import build, built_folder, cache_root
from tools.cluster.machine import Plan
from tools.cluster.pins import KIND, KUBERNETES
from tools.cluster.shell import run, succeeds
from tools.offline.node import REPOSITORY, VOLUMES

NAME = "leadscore"
NODE = f"{NAME}-control-plane"
CREATE_SECONDS = 240


def kubeconfig_path() -> Path:
    """Where the cluster's kubeconfig is; the user's own is never touched."""
    return cache_root() / "kubeconfig"


def configuration(plan: Plan, image: str, ports: dict[int, int]) -> str:
    """The kind configuration as YAML; pure.

    Args:
        plan: Quirks of this machine.
        image: Node image.
        ports: NodePort → port on 127.0.0.1.
    """
    kubelet: dict[str, object] = {
        "kind": "KubeletConfiguration",
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
    }
    patches: list[dict[str, object]] = [kubelet]
    networking: dict[str, object] = {"podSubnet": "10.244.0.0/24"}
    if plan.cgroup_v1:
        kubelet |= {"failCgroupV1": False}
    if plan.build_node_image:
        # Of the two drivers, the one that does not depend on what systemd makes of the host's hierarchy.
        kubelet |= {"cgroupDriver": "cgroupfs"} if plan.cgroup_v1 else {}
        networking |= {"disableDefaultCNI": True}
        volumes = {
            "name": "volumes",
            "hostPath": VOLUMES,
            "mountPath": "/tmp/hostpath_pv",
            "pathType": "DirectoryOrCreate",
        }
        controllers = {"extraVolumes": [volumes]}
        patches.append(
            {"kind": "ClusterConfiguration", "imageRepository": REPOSITORY, "controllerManager": controllers}
        )
    mappings = [
        {"containerPort": inside, "hostPort": outside, "listenAddress": "127.0.0.1"}
        for inside, outside in ports.items()
    ]
    return yaml.safe_dump(
        {
            "kind": "Cluster",
            "apiVersion": "kind.x-k8s.io/v1alpha4",
            "name": NAME,
            "networking": networking,
            "nodes": [{"role": "control-plane", "image": image, "extraPortMappings": mappings}],
            "kubeadmConfigPatches": [yaml.safe_dump(patch) for patch in patches],
        }
    )


def installed() -> Path | None:
    """The `kind` on PATH if it is of the pinned version, whose node image is pulled; else None."""
    found = shutil.which("kind")
    if found is None or not succeeds([found, "version"]):
        return None
    return Path(found) if is_pinned(run([found, "version"])) else None


def is_pinned(said: str) -> bool:
    """Whether `kind version` names the pinned version (`kind v0.33.0 go1.26.8 linux/amd64`); pure."""
    return KIND.version in said.split()


def program() -> Path:
    """The `kind` to run: the one that is installed, else one built from its Go module."""
    return installed() or build(KIND, lambda _: None) / "kind"


def exists() -> bool:
    """Whether there is a cluster of this name, in whatever state."""
    return succeeds(["docker", "inspect", NODE])


def is_healthy(wanted: str) -> bool:
    """Whether the cluster was made completely, from this configuration, and its API server is ready."""
    marker = _marker()
    if not marker.exists() or marker.read_text() != _digest(wanted) or not kubeconfig_path().exists():
        return False
    return succeeds(
        ["docker", "exec", NODE, "kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", "get", "--raw=/readyz"]
    )


def create(wanted: str) -> None:
    """Make the cluster from a configuration and wait until its node is ready."""
    delete()
    target = kubeconfig_path()
    target.parent.mkdir(parents=True, exist_ok=True)
    run(
        [program(), "create", "cluster", "--config", "-", "--kubeconfig", target, "--wait", "120s"],
        timeout=CREATE_SECONDS, stdin=wanted, env=_environment(),
        hint="`docker logs leadscore-control-plane` and `kind export logs` say more.",
    )  # fmt: skip
    target.chmod(0o600)
    # Written last: a cluster without it was cut off half-way.
    _marker().write_text(_digest(wanted))


def delete() -> bool:
    """Delete the cluster and its kubeconfig; whether there was one."""
    _marker().unlink(missing_ok=True)
    found = exists()
    if found:
        # What `kind delete cluster` does, without needing kind: a cache may have been emptied meanwhile.
        run(["docker", "rm", "--force", "--volumes", NODE], timeout=120)
    kubeconfig_path().unlink(missing_ok=True)
    return found


def kubectl() -> Path | str:
    """The kubectl of the cluster's version where it was built, else the one on PATH."""
    ours = built_folder(KUBERNETES) / "kubectl"
    return ours if ours.exists() else "kubectl"


def _environment() -> dict[str, str]:
    # KUBECONFIG of the caller must not make kind merge into it.
    return {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}


def _marker() -> Path:
    return cache_root() / "created"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
