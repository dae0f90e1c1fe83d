"""Talking to the environment.

kubectl and Helm, with what they could not tell kept apart from what is not there.
"""

from __future__ import annotations

import json
import os
import re
import selectors
import subprocess
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from leadscore.errors import NotFoundError, UnavailableError
from tools.cluster.build import built_folder
from tools.cluster.pins import HELM, KUBERNETES, Program
from tools.deploy.errors import DeploymentFailedError
from tools.deploy.reasons import HASH_LABEL
from tools.deploy.verdict import VERSION_LABEL

_FORWARDING = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+)")
_FORWARD_SECONDS = 20


def _program(program: Program, name: str) -> str:
    """The pinned build if this machine has it, else the one on PATH."""
    pinned = built_folder(program) / name
    return str(pinned) if pinned.exists() else name


@dataclass(frozen=True, slots=True)
class Namespace:
    """One namespace of the cluster that KUBECONFIG names."""

    name: str

    def kubectl(self, *arguments: str, timeout: float = 60) -> str:
        """Run kubectl in the namespace.

        Raises:
            NotFoundError: The API server says that there is no such thing.
            UnavailableError: Nothing is known: no answer, no right, a bad request.
        """
        command = [_program(KUBERNETES, "kubectl"), "--namespace", self.name, *arguments]
        done = _run(command, timeout)
        if done.returncode == 0:
            return done.stdout
        said = done.stderr.strip()
        if "(NotFound)" in said:
            raise NotFoundError(said)
        raise UnavailableError(f"kubectl {' '.join(arguments[:3])}: {said or 'failed'}")

    def get(self, *arguments: str) -> dict[str, Any]:
        """One object (or a list object) as JSON."""
        return cast("dict[str, Any]", json.loads(self.kubectl("get", *arguments, "--output", "json")))

    def items(self, kind: str, selector: str = "") -> list[dict[str, Any]]:
        """All objects of a kind, those of a label selector if given."""
        chosen = ["--selector", selector] if selector else []
        return cast("list[dict[str, Any]]", self.get(kind, *chosen)["items"])

    def logs(self, pod: str) -> str:
        """The latest lines of a pod's containers; empty while none of them runs."""
        try:
            return self.kubectl("logs", pod, "--all-containers", "--tail=500")
        except UnavailableError as error:
            if "waiting to start" in str(error) or "not available" in str(error):
                return ""
            raise

    def workload(self, release: str) -> dict[str, Any]:
        """The Rollout, or else the Deployment, of a release's scoring pods.

        Raises:
            NotFoundError: The release has neither.
        """
        selector = f"app.kubernetes.io/instance={release},app.kubernetes.io/component=scoring"
        found = self._rollouts(selector) or self.items("deployments.apps", selector)
        if len(found) != 1:
            raise NotFoundError(
                f"Release {release} has {len(found)} scoring workloads in {self.name}.",
                hint=f"`helm --namespace {self.name} list` shows the releases.",
            )
        return found[0]

    def _rollouts(self, selector: str) -> list[dict[str, Any]]:
        try:
            return self.items("rollouts.argoproj.io", selector)
        except UnavailableError as error:
            # A cluster without Argo Rollouts knows no such kind; everything else stays an error.
            if "doesn't have a resource type" in str(error):
                return []
            raise

    def serving_version(self, release: str) -> int | None:
        """Model version that has the traffic (during a canary, and after an aborted one: stable's).

        None: its pods do not say one. NotFoundError: there is no such release.
        """
        workload = self.workload(release)
        labels: dict[str, str] = workload["spec"]["template"]["metadata"].get("labels", {})
        stable = workload.get("status", {}).get("stableRS", "")
        if workload["kind"] == "Rollout" and stable:
            sets = self.items("replicasets.apps", f"{HASH_LABEL}={stable}")
            labels = sets[0]["metadata"].get("labels", {}) if sets else {}
        said = labels.get(VERSION_LABEL, "")
        return int(said) if said.isdigit() else None

    @contextmanager
    def forward(self, service: str, port: int) -> Generator[str]:
        """An address on this machine that leads to a Service, while the block runs.

        Raises:
            UnavailableError: No way leads there.
        """
        command = [
            _program(KUBERNETES, "kubectl"), "--namespace", self.name,
            "port-forward", "--address", "127.0.0.1", f"service/{service}", f":{port}",
        ]  # fmt: skip
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            yield f"http://127.0.0.1:{_forwarded_port(process, service)}"
        finally:
            process.terminate()
            process.wait(timeout=10)


def helm(arguments: Sequence[str]) -> str:
    """Run Helm; DeploymentFailedError with its last lines if it fails (refused value, failed migration)."""
    done = _run([_program(HELM, "helm"), *arguments], timeout=900)
    if done.returncode != 0:
        lines = tuple(done.stderr.strip().splitlines()[-8:])
        raise DeploymentFailedError(
            f"helm {arguments[0]} failed; what ran before runs on.", reasons=lines, hint="See docs/ci-cd.md."
        )
    return done.stdout


def check_programs() -> None:
    """UnavailableError if kubectl or Helm is missing."""
    for program, name in ((KUBERNETES, "kubectl"), (HELM, "helm")):
        _run([_program(program, name), *(("version", "--client") if name == "kubectl" else ("version",))], 60)


def _forwarded_port(process: subprocess.Popen[str], service: str) -> int:
    assert process.stdout is not None
    assert process.stderr is not None
    deadline = time.monotonic() + _FORWARD_SECONDS
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while process.poll() is None and time.monotonic() < deadline:
            if selector.select(timeout=0.2):
                match = _FORWARDING.search(process.stdout.readline())
                if match:
                    return int(match[1])
    process.terminate()
    said = process.stderr.read().strip()
    raise UnavailableError(
        f"Service {service} cannot be reached: {said or 'no answer'}",
        hint="Is MLflow running, and may this account port-forward?",
    )


def _run(command: Sequence[str | Path], timeout: float) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=timeout, env=dict(os.environ), check=False
        )
    except FileNotFoundError as error:
        raise UnavailableError(
            f"{command[0]} is not installed.", hint="Install kubectl and Helm 3.18+."
        ) from error
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(f"{command[0]} did not answer within {timeout:.0f} s.") from error
