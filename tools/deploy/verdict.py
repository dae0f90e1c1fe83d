"""What became of a deployment, as pure functions over what the API server says.

Field meanings: Argo Rollouts' `rollout.status` (phase, message, pauseConditions, stableRS,
currentPodHash) and the Deployment conditions of apps/v1.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

VERSION_LABEL = "leadscore.dev/model-version"
TURN_ANNOTATION = "rollout.argoproj.io/revision"
# Pauses that end by themselves; every other one waits for a person.
_TIMED_PAUSES = {"CanaryPauseStep"}


class State(StrEnum):
    """Where a deployment stands."""

    HEALTHY = "healthy"
    PROGRESSING = "progressing"
    NEEDS_PERSON = "needs a person"
    FAILED = "failed"


class Verdict(msgspec.Struct, frozen=True):
    """A deployment as seen at one moment.

    Attributes:
        state: Where it stands.
        version: Model version of the pod template that is wanted; None if the template does not say.
        message: In the controller's words.
        weight: Percent of traffic that the new version gets; None where nothing routes by weight.
        revision: The pods' template hash, which tells the new version's pods from others.
        turn: The controller's count of changes, which tells this attempt's analyses from those of one before.
    """

    state: State
    version: int | None
    message: str = ""
    weight: int | None = None
    revision: str = ""
    turn: str = ""

    @property
    def line(self) -> str:
        """The verdict for people, without what changes from look to look."""
        weight = "" if self.weight is None or self.state is State.HEALTHY else f", {self.weight} % of traffic"
        message = f": {self.message}" if self.message else ""
        return f"version {self.version or '?'} {self.state}{weight}{message}"


class _Meta(msgspec.Struct):
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    generation: int = 0


class _Template(msgspec.Struct):
    metadata: _Meta = msgspec.field(default_factory=_Meta)


class _Spec(msgspec.Struct):
    template: _Template = msgspec.field(default_factory=_Template)
    paused: bool = False
    replicas: int = 1


class _Reason(msgspec.Struct):
    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""


class _Weight(msgspec.Struct):
    weight: int = 0


class _Weights(msgspec.Struct):
    canary: _Weight = msgspec.field(default_factory=_Weight)


class _Canary(msgspec.Struct):
    weights: _Weights | None = None


class _Status(msgspec.Struct, rename="camel"):
    observed_generation: str | int = ""
    phase: str = ""
    message: str = ""
    abort: bool = False
    stable_rs: str = msgspec.field(default="", name="stableRS")
    current_pod_hash: str = ""
    pause_conditions: list[_Reason] = []
    conditions: list[_Reason] = []
    canary: _Canary = msgspec.field(default_factory=_Canary)
    replicas: int = 0
    updated_replicas: int = 0
    available_replicas: int = 0


class _Workload(msgspec.Struct):
    kind: str
    metadata: _Meta
    spec: _Spec
    status: _Status = msgspec.field(default_factory=_Status)


def judge(workload: dict[str, Any]) -> Verdict:
    """Judge a Rollout or a Deployment as `kubectl get -o json` gives it.

    Raises:
        msgspec.ValidationError: It is neither: nothing is known, which is not "healthy".
    """
    known = msgspec.convert(workload, _Workload)
    label = known.spec.template.metadata.labels.get(VERSION_LABEL, "")
    version = int(label) if label.isdigit() else None
    status = known.status
    # A status of an older spec says nothing about this one: right after an upgrade the old version is
    # "Healthy".
    if str(status.observed_generation) != str(known.metadata.generation):
        return Verdict(State.PROGRESSING, version, "the controller has not seen it yet")
    if known.kind == "Deployment":
        return _deployment(known, version)
    weights = status.canary.weights
    weight = None if weights is None else weights.canary.weight
    turn = known.metadata.annotations.get(TURN_ANNOTATION, "")
    return Verdict(_rollout(known), version, status.message, weight, status.current_pod_hash, turn)


def _rollout(known: _Workload) -> State:
    status = known.status
    if status.abort or status.phase == "Degraded":
        return State.FAILED
    if known.spec.paused or any(pause.reason not in _TIMED_PAUSES for pause in status.pause_conditions):
        return State.NEEDS_PERSON
    if status.phase == "Healthy" and status.stable_rs == status.current_pod_hash != "":
        return State.HEALTHY
    return State.PROGRESSING


def _deployment(known: _Workload, version: int | None) -> Verdict:
    status, wanted = known.status, known.spec.replicas
    for condition in status.conditions:
        if condition.type == "Progressing" and condition.status == "False":
            return Verdict(State.FAILED, version, condition.message)
    done = status.updated_replicas == status.available_replicas == status.replicas == wanted
    return Verdict(State.HEALTHY if done else State.PROGRESSING, version)
