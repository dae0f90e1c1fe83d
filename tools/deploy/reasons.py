"""Why a version was sent back: analyses and pods, one line each. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import msgspec

from tools.deploy.verdict import TURN_ANNOTATION

HASH_LABEL = "rollouts-pod-template-hash"
_SPOKEN = {"Failed", "Error", "Inconclusive"}


class _Measurement(msgspec.Struct):
    phase: str = ""
    value: str = ""
    message: str = ""


class _Metric(msgspec.Struct):
    name: str
    phase: str = ""
    message: str = ""
    measurements: list[_Measurement] = []


class _RunStatus(msgspec.Struct, rename="camel"):
    phase: str = ""
    message: str = ""
    metric_results: list[_Metric] = []


class _Named(msgspec.Struct):
    name: str


class _RunMeta(msgspec.Struct):
    name: str
    annotations: dict[str, str] = {}


class _Run(msgspec.Struct):
    metadata: _RunMeta
    status: _RunStatus = msgspec.field(default_factory=_RunStatus)


class _Ended(msgspec.Struct, rename="camel"):
    reason: str = ""
    message: str = ""
    exit_code: int = 0


class _ContainerState(msgspec.Struct):
    waiting: _Ended | None = None
    terminated: _Ended | None = None


class _Container(msgspec.Struct, rename="camel"):
    name: str
    ready: bool = False
    state: _ContainerState = msgspec.field(default_factory=_ContainerState)
    last_state: _ContainerState = msgspec.field(default_factory=_ContainerState)


class _PodStatus(msgspec.Struct, rename="camel"):
    init_container_statuses: list[_Container] = []
    container_statuses: list[_Container] = []


class _Pod(msgspec.Struct):
    metadata: _Named
    status: _PodStatus = msgspec.field(default_factory=_PodStatus)


class _Event(msgspec.Struct, rename="camel"):
    involved_object: _Named
    type: str = ""
    reason: str = ""
    message: str = ""
    count: int | None = None


def analysis_reasons(runs: Sequence[dict[str, Any]], turn: str) -> list[str]:
    """One line per metric that failed, erred or could not decide, with its last value.

    Args:
        runs: AnalysisRuns of the version.
        turn: Which attempt is meant: a version may have been sent back before.
    """
    lines: list[str] = []
    for raw in runs:
        run = msgspec.convert(raw, _Run)
        if run.metadata.annotations.get(TURN_ANNOTATION, "") != turn:
            continue
        spoken = [metric for metric in run.status.metric_results if metric.phase in _SPOKEN]
        for metric in spoken:
            values = [m.value for m in metric.measurements if m.phase in _SPOKEN and m.value]
            why = metric.message or next((m.message for m in metric.measurements if m.message), "")
            measured = f", measured {values[-1]}" if values else ""
            lines.append(
                f"{run.metadata.name}: {metric.name} {metric.phase}{measured}{f' ({why})' if why else ''}"
            )
        if not spoken and run.status.phase in _SPOKEN:
            lines.append(f"{run.metadata.name}: {run.status.phase} ({run.status.message})")
    return lines


def pod_reasons(pods: Sequence[dict[str, Any]]) -> list[str]:
    """One line per container that waits or ended badly."""
    lines: list[str] = []
    for raw in pods:
        pod = msgspec.convert(raw, _Pod)
        for container in (*pod.status.init_container_statuses, *pod.status.container_statuses):
            where = f"pod {pod.metadata.name}, container {container.name}"
            waiting = container.state.waiting
            ended = container.state.terminated or container.last_state.terminated
            if waiting is not None and waiting.reason not in {"", "PodInitializing", "ContainerCreating"}:
                lines.append(f"{where}: {waiting.reason}{_tail(waiting.message)}")
            if ended is not None and ended.exit_code != 0:
                lines.append(
                    f"{where}: ended with code {ended.exit_code} ({ended.reason}){_tail(ended.message)}"
                )
    return lines


def ready_pods(pods: Sequence[dict[str, Any]]) -> set[str]:
    """Names of the pods whose containers are all ready."""
    known = [msgspec.convert(raw, _Pod) for raw in pods]
    return {
        pod.metadata.name
        for pod in known
        if pod.status.container_statuses and all(c.ready for c in pod.status.container_statuses)
    }


class _LogLine(msgspec.Struct):
    level: str = ""
    event: str = ""
    error: str = ""
    hint: str = ""


def log_reasons(name: str, log: str, most: int = 3) -> list[str]:
    """The last errors that a pod of ours logged (JSON lines); lines of other programs are passed over."""
    found: dict[str, None] = {}
    for line in log.splitlines():
        try:
            said = msgspec.json.decode(line, type=_LogLine)
        except msgspec.MsgspecError:
            continue
        if said.level in {"error", "critical"}:
            found[f"pod {name} says: {said.event}{f': {said.error}' if said.error else ''}"[:400]] = None
    return list(found)[-most:]


def event_reasons(
    events: Sequence[dict[str, Any]], prefix: str, *, without: AbstractSet[str] = frozenset()
) -> list[str]:
    """Warnings about objects whose names start so (pods are outlived by their events), each said once.

    Args:
        events: Of the namespace.
        prefix: What the names start with.
        without: Names left out: a pod that is ready now has got over what its start met with.
    """
    found: dict[str, None] = {}
    for raw in events:
        event = msgspec.convert(raw, _Event)
        name = event.involved_object.name
        if event.type == "Warning" and name.startswith(prefix) and name not in without:
            found[f"{name}: {event.reason}{_tail(event.message)}"] = None
    return list(found)


def _tail(message: str) -> str:
    lines = [line for line in message.strip().splitlines() if line.strip()]
    return f": {lines[-1].strip()[:300]}" if lines else ""
