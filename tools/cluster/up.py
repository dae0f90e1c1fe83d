"""`up` and `down`: the order of things. What is decided here comes from `machine.plan`."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.cluster import docker, kind
from tools.cluster.addons.catalogue import ADDONS, Addon
from tools.cluster.addons.install import Cluster, apply, is_foreign, wait_until_ready
from tools.cluster.build import build, cache_root, is_built
from tools.cluster.errors import ClusterError
from tools.cluster.images import PUBLIC_NODE_IMAGE
from tools.cluster.machine import Plan, inspect, plan
from tools.cluster.pins import KIND, PROGRAMS, Program
from tools.cluster.steps import Steps
from tools.offline.node import ensure_node_image

INGRESS_PORT = 31800
PROMETHEUS_PORT = 31990
PORTS = {30800: INGRESS_PORT, 30990: PROMETHEUS_PORT}


@dataclass(frozen=True, slots=True)
class Target:
    """The cluster that is meant.

    Attributes:
        cluster: How to talk to it.
        given: It is the one that the caller's KUBECONFIG names: nothing of it is made or deleted.
    """

    cluster: Cluster
    given: bool


def target() -> Target:
    """The caller's cluster if KUBECONFIG names one, else ours."""
    ours, named = kind.kubeconfig_path(), os.environ.get("KUBECONFIG", "")
    given = bool(named) and Path(named).expanduser() != ours
    return Target(Cluster(kind.kubectl(), named if given else str(ours)), given)


def up(steps: Steps) -> Target:
    """Make the cluster, or keep a healthy one, and install the add-ons."""
    chosen = target()
    if chosen.given:
        steps.console.print(
            "KUBECONFIG is set: nothing is created, the add-ons are installed on that cluster."
        )
        _require_answer(chosen.cluster)
        _install_addons(steps, chosen, local=False)
        return chosen
    with _lock():
        machine = inspect(PUBLIC_NODE_IMAGE, docker_is_ours=docker.is_running())
        todo = plan(machine)
        for note in todo.notes:
            steps.console.print(f"• {note}", highlight=False)
        _make_cluster(steps, todo)
        # kubectl may have been built only now.
        chosen = target()
        _install_addons(steps, chosen, local=todo.build_node_image)
    return chosen


def down(steps: Steps) -> bool:
    """Delete the cluster and stop the daemon that was started for it; whether there was anything of ours."""
    if target().given:
        steps.console.print("KUBECONFIG is set to a cluster that was not made here: it is left alone.")
        return False
    with _lock():
        found = False
        if kind.exists():
            with steps.step("Cluster deleted"):
                found = kind.delete()
        if docker.is_running() or docker.left_something():
            with steps.step("Docker daemon stopped, network as before"):
                docker.stop()
            found = True
    return found


def _make_cluster(steps: Steps, todo: Plan) -> None:
    if todo.install:
        with steps.step("Distribution packages installed"):
            docker.install_packages(todo.install)
    if todo.start_docker:
        with steps.step("Docker daemon started"):
            docker.start(todo)
    for program in _to_build(todo):
        if not is_built(program):
            with steps.step(f"{program.name} {program.version} built") as part:
                build(program, part)
    image = PUBLIC_NODE_IMAGE
    if todo.build_node_image:
        with steps.step("Node image ready") as part:
            image = ensure_node_image(todo, part).reference
    wanted = kind.configuration(todo, image, PORTS)
    if kind.is_healthy(wanted):
        steps.console.print("• The cluster is up and healthy: it is kept.")
        return
    if kind.exists():
        steps.console.print("• A cluster that is incomplete, unhealthy or made differently is replaced.")
    with steps.step("Cluster created, node ready"):
        kind.create(wanted)


def _to_build(todo: Plan) -> tuple[Program, ...]:
    """Everything, where nothing can be pulled; where a registry answers at most `kind` itself."""
    if todo.build_node_image:
        return PROGRAMS
    return () if kind.installed() else (KIND,)


def _install_addons(steps: Steps, chosen: Target, *, local: bool) -> None:
    installed: list[Addon] = []
    for addon in ADDONS:
        if is_foreign(chosen.cluster, addon):
            steps.console.print(
                f"• {addon.name} is there already, installed by somebody else: it is kept as it is."
            )
            continue
        with steps.step(f"{addon.name} applied"):
            apply(chosen.cluster, addon, local=local)
        installed.append(addon)
    with steps.step("Add-ons ready"):
        wait_until_ready(chosen.cluster, installed)


def _require_answer(cluster: Cluster) -> None:
    if not cluster.succeeds("get", "--raw", "/readyz"):
        raise ClusterError(
            "KUBECONFIG is set, but its cluster does not answer.",
            hint="Unset KUBECONFIG to get a local cluster, or check `kubectl get nodes`.",
        )


@contextmanager
def _lock() -> Iterator[None]:
    """Two runs at once would take each other's cluster apart."""
    path = cache_root() / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ClusterError(
                "Another run is working on the cluster.", hint="Wait until it has ended."
            ) from error
        yield
