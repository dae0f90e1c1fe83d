"""Run a command while the cluster is up.

`make test` and CI, on machines that can have one and on those that cannot.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tools.cluster import docker, kind
from tools.cluster.errors import ClusterError
from tools.cluster.images import PUBLIC_NODE_IMAGE
from tools.cluster.machine import inspect, plan
from tools.cluster.steps import Steps
from tools.cluster.up import down, target, up


@dataclass(frozen=True, slots=True)
class Choice:
    """What to do about a machine: `run`, `skip` with the reason, or `fail` with it."""

    action: Literal["run", "skip", "fail"]
    reason: str = ""


def choose(impossible: ClusterError | None, environ: Mapping[str, str]) -> Choice:
    """Skip where no cluster is possible, except in CI, where nothing may go untested; pure."""
    if impossible is None:
        return Choice("run")
    reason = " ".join(filter(None, (impossible.message, impossible.hint)))
    if environ.get("CI", "").lower() in ("", "0", "false"):
        return Choice("skip", reason)
    return Choice("fail", reason)


def impossible() -> ClusterError | None:
    """Why this machine cannot have a cluster; None if it can, or if KUBECONFIG names one."""
    if target().given:
        return None
    try:
        plan(inspect(PUBLIC_NODE_IMAGE, docker_is_ours=docker.is_running()))
    except ClusterError as error:
        return error
    return None


def run_during(steps: Steps, command: Sequence[str]) -> int:
    """Bring the cluster up, run the command, take the cluster down unless it was up before.

    The command's exit code.
    """
    # Somebody who works with the cluster wants it back as it was.
    keep = target().given or (kind.exists() and target().cluster.succeeds("get", "--raw", "/readyz"))
    try:
        up(steps)
        return subprocess.run(command, check=False).returncode
    finally:
        if not keep:
            down(steps)
