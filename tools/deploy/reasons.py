"""Why a version was sent back: analyses and pods, one line each. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

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


class _Run(msgspec.Struct):
    metadata: _Named
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


def analysis_reasons(runs: Sequence[dict[str, Any]]) -> list[str]:
    """One line per metric that failed, erred or could not decide, with its last value."""
    lines: list[str] = []
    for raw in runs:
        run = msgspec.convert(raw, _Run)
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


def event_reasons(events: Sequence[dict[str, Any]], prefix: str) -> list[str]:
    """Warnings about objects whose names start so (pods outlived by their events), each said once."""
    found: dict[str, None] = {}
    for raw in events:
        event = msgspec.convert(raw, _Event)
        if event.type == "Warning" and event.involved_object.name.startswith(prefix):
            found[f"{event.involved_object.name}: {event.reason}{_tail(event.message)}"] = None
    return list(found)


def _tail(message: str) -> str:
    lines = [line for line in message.strip().splitlines() if line.strip()]
    return f": {lines[-1].strip()[:300]}" if lines else ""
