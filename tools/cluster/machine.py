"""What this machine is, and what that means for a cluster on it: the one place that knows quirks."""

from __future__ import annotations

import os
import re
import shutil
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from tools.cluster.errors import ClusterError
from tools.cluster.shell import run, succeeds

# Linux capability numbers, capabilities(7).
CAP_SYS_RESOURCE = 24
REGISTRY = "https://registry-1.docker.io/v2/"

PACKAGES = (
    "docker.io", "containerd", "runc", "containernetworking-plugins", "debootstrap",
    "iptables", "iproute2", "conntrack", "socat", "ethtool", "kmod",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Machine:
    """Facts, read once.

    Attributes:
        is_root: Whether packages can be installed and a Docker daemon started.
        docker_answers: A Docker daemon is running and this user may talk to it.
        docker_is_ours: That daemon was started by an earlier `up`.
        has_dockerd: The daemon's program is installed.
        has_image_tools: What the node image is made with is installed (debootstrap and containerd).
        has_apt: The distribution's packages can be installed.
        has_sys_resource: CAP_SYS_RESOURCE is in the bounding set; privileged containers want it.
        cgroup_v1: The machine has no unified cgroup hierarchy.
        registry_answers: The public node image can be pulled.
    """

    is_root: bool
    docker_answers: bool
    docker_is_ours: bool
    has_dockerd: bool
    has_image_tools: bool
    has_apt: bool
    has_sys_resource: bool
    cgroup_v1: bool
    registry_answers: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do about it.

    Attributes:
        install: Distribution packages that are needed before anything else.
        start_docker: Start (and at the end stop) a Docker daemon of our own.
        drop_sys_resource: Give containers a runtime that asks for one capability less.
        build_node_image: Make the node image here instead of pulling it.
        cgroup_v1: Tell the kubelet and containerd to accept cgroup v1.
        notes: A sentence for each thing that is out of the ordinary.
    """

    install: tuple[str, ...]
    start_docker: bool
    drop_sys_resource: bool
    build_node_image: bool
    cgroup_v1: bool
    notes: tuple[str, ...]


def inspect(node_image: str, *, docker_is_ours: bool) -> Machine:
    """Read the facts.

    Args:
        node_image: The public image whose registry is asked.
        docker_is_ours: The Docker daemon that may be running was started by an earlier `up`.
    """
    docker_answers = succeeds(["docker", "info"])
    status = Path("/proc/self/status")
    return Machine(
        is_root=os.geteuid() == 0,
        docker_answers=docker_answers,
        docker_is_ours=docker_is_ours,
        has_dockerd=shutil.which("dockerd") is not None,
        has_image_tools=all(shutil.which(tool) for tool in ("debootstrap", "containerd", "ctr")),
        has_apt=shutil.which("apt-get") is not None,
        # Where there is no /proc, Docker runs its containers on a virtual machine of
        # its own, which has every capability.
        has_sys_resource=not status.exists() or has_capability(status.read_text(), CAP_SYS_RESOURCE),
        cgroup_v1=_has_cgroup_v1(docker_answers=docker_answers),
        registry_answers=_registry_answers(node_image, docker_answers=docker_answers),
    )


def _has_cgroup_v1(*, docker_answers: bool) -> bool:
    if docker_answers:
        return run(["docker", "info", "--format", "{{.CgroupVersion}}"]).strip() == "1"
    return not Path("/sys/fs/cgroup/cgroup.controllers").exists()


def _registry_answers(node_image: str, *, docker_answers: bool) -> bool:
    """Ask through Docker where it runs (it knows its mirrors), else the registry itself."""
    if docker_answers:
        return succeeds(["docker", "image", "inspect", node_image]) or succeeds(
            ["docker", "manifest", "inspect", node_image], timeout=15
        )
    try:
        with urllib.request.urlopen(REGISTRY, timeout=10):
            return True
    except urllib.error.HTTPError as answer:
        # A registry asks who we are; a proxy that forbids it says something else.
        return answer.code == 401
    except OSError:
        return False


def has_capability(status: str, number: int) -> bool:
    """Whether the bounding set in the text of /proc/PID/status has a capability."""
    found = re.search(r"^CapBnd:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return found is not None and bool(int(found.group(1), 16) >> number & 1)


def plan(machine: Machine) -> Plan:
    """Decide from the facts; pure.

    Raises:
        ClusterError: A cluster is not possible here; says what is missing.
    """
    notes: list[str] = []
    start_docker = not machine.docker_answers
    build_node_image = not machine.registry_answers
    install = _missing_packages(machine, start_docker=start_docker, build_node_image=build_node_image)
    if start_docker and not machine.is_root:
        raise ClusterError(
            "No Docker daemon answers, and without root none can be started.",
            hint="Start Docker, or run as root, or set KUBECONFIG to a cluster you have.",
        )
    if build_node_image and not machine.is_root:
        raise ClusterError(
            "No image registry answers, and without root the node image cannot be made here.",
            hint=(
                "Check Docker's connection to docker.io, or run as root, or set "
                "KUBECONFIG to a cluster you have."
            ),
        )
    if install and not machine.has_apt:
        raise ClusterError(
            f"This machine lacks {', '.join(install)}, and has no apt to install them with.",
            hint="Install them, or set KUBECONFIG to a cluster you have.",
        )
    if start_docker:
        notes.append("No Docker daemon is running: one is started for the cluster and stopped with it.")
    drop = not machine.has_sys_resource and (start_docker or machine.docker_is_ours)
    if drop:
        notes.append("This machine lacks CAP_SYS_RESOURCE: containers are started without asking for it.")
    if machine.cgroup_v1:
        notes.append(
            "This machine has cgroup v1: the kubelet is told to accept it (failCgroupV1: false, cgroupfs)."
        )
    if build_node_image:
        notes.append(
            "No image registry answers: the node image is built here from Go modules "
            "and distribution packages."
        )
    return Plan(
        install=install,
        start_docker=start_docker,
        drop_sys_resource=drop,
        build_node_image=build_node_image,
        cgroup_v1=machine.cgroup_v1,
        notes=tuple(notes),
    )


def _missing_packages(machine: Machine, *, start_docker: bool, build_node_image: bool) -> tuple[str, ...]:
    if start_docker and not machine.has_dockerd:
        return PACKAGES
    if build_node_image and not machine.has_image_tools:
        # A Docker from elsewhere conflicts with the distribution's; only what it does not bring is added.
        return ("debootstrap",)
    return ()
