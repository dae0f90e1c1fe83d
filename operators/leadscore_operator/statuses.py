"""Typed statuses of the custom resources. A new field goes here and into the schema; a test compares them.

On the wire a field has its name in camelCase, a time is RFC 3339 to the second, and what is None is left
out, because a structural schema refuses null. Every default is what an object without the field means, so
that statuses of an operator before are read.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from leadscore.drift.verdict import DriftKind, Severity, Triage
from leadscore.durations import format_time
from leadscore.release.states import ReleaseStatus
from leadscore_operator.kube.resources import Manifest
from leadscore_operator.resources import Part

# In place of a severity: the check has run and could not judge. Worse than none, which is known.
UNKNOWN: Literal["unknown"] = "unknown"


class Condition(Part, frozen=True, kw_only=True):
    """A condition, as `kubectl wait` reads it; `Ready` is every kind's."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str = ""
    message: str = ""
    observed_generation: int | None = None
    last_transition_time: datetime


class Status(Part, frozen=True):
    """What every kind's status has."""

    observed_generation: int | None = None
    conditions: tuple[Condition, ...] = ()


# --- DriftDetector ----------------------------------------------------------------------------------------


class ScheduleStatus(Part, frozen=True):
    """A schedule, its CronJob and its newest run."""

    name: str
    cron_job: str | None = None
    cron: str | None = None
    since: datetime | None = None
    last_job: str | None = None
    last_run: datetime | None = None
    outcome: Literal["Verdict", "NotJudged", "Failed"] | None = None
    message: str | None = None
    next_run: datetime | None = None


class VerdictStatus(Part, frozen=True, kw_only=True):
    """A verdict, as policies read it."""

    job: str
    schedule: str
    finished: datetime
    model_version: str
    window_start: datetime
    window_end: datetime
    rows: int = 0
    severity: Severity | Literal["unknown"]
    drifted: bool
    triage: Triage
    kind: DriftKind
    since: datetime | None = None
    drop: float | None = None
    outcomes_end: datetime | None = None
    worst: str | None = None
    why: str | None = None


class DetectorStatus(Status, frozen=True):
    """What was found."""

    severity: Severity | Literal["unknown"] = UNKNOWN
    drifted: bool = False
    triage: Triage = "none"
    worst: str | None = None
    since: datetime | None = None
    message: str | None = None
    model_version: str | None = None
    consecutive_breaches: int = 0
    last_run: datetime | None = None
    next_run: datetime | None = None
    schedules: tuple[ScheduleStatus, ...] = ()
    verdicts: tuple[VerdictStatus, ...] = ()
    read_jobs: tuple[str, ...] = ()


# --- RetrainPolicy ----------------------------------------------------------------------------------------


class PolicyDecision(Part, frozen=True):
    """What was decided; `at` is since when it means the same."""

    action: str
    trigger: str | None = None
    key: str | None = None
    hold: str | None = None
    until: datetime | None = None
    reason: str = ""
    at: datetime | None = None


class PolicyRun(Part, frozen=True):
    """A retraining in a policy's status."""

    name: str
    key: str
    created: datetime
    finished: datetime | None = None
    outcome: str | None = None


class PolicyStatus(Status, frozen=True):
    """What was decided, and which runs came of it."""

    decision: PolicyDecision | None = None
    last_run: PolicyRun | None = None
    runs: tuple[PolicyRun, ...] = ()
    next_schedule: datetime | None = None


# --- RetrainRun -------------------------------------------------------------------------------------------


class Candidate(Part, frozen=True):
    """What was trained."""

    ref: str
    version: int
    digest: str = ""


class GateResult(Part, frozen=True):
    """Whether it may replace the champion."""

    result: Literal["Passed", "Refused"]
    summary: str = ""
    champion: str | None = None


class RunStatus(Status, frozen=True):
    """How far a retraining is."""

    phase: str | None = None
    message: str | None = None
    attempt: int | None = None
    not_before: datetime | None = None
    job: str | None = None
    started: datetime | None = None
    finished: datetime | None = None
    candidate: Candidate | None = None
    gate: GateResult | None = None
    metrics: dict[str, float] | None = None
    release: str | None = None


# --- ModelRelease -----------------------------------------------------------------------------------------


class ModelReleaseStatus(ReleaseStatus, frozen=True, kw_only=True, rename="camel"):
    """The release machine's own status, and since when a person is asked."""

    observed_generation: int | None = None
    asked_since: datetime | None = None
    conditions: tuple[Condition, ...] = ()


# --- On the wire ------------------------------------------------------------------------------------------


def condition_now(
    old: Status | ModelReleaseStatus,
    now: datetime,
    *,
    ready: bool | None,
    reason: str,
    message: str,
    generation: int,
    kind: str = "Ready",
) -> tuple[Condition]:
    """Return the one condition, `Ready` or another, as it is now; None is unknown.

    Its time moves only when its status does.
    """
    status = "Unknown" if ready is None else "True" if ready else "False"
    before = next((c for c in old.conditions if (c.type, c.status) == (kind, status)), None)
    since = now if before is None else before.last_transition_time
    return (
        Condition(
            type=kind,
            status=status,
            reason=reason,
            message=message,
            observed_generation=generation,
            last_transition_time=since,
        ),
    )


def to_wire(value: msgspec.Struct) -> Manifest:
    """Return a status, or a part of one, as the API server keeps it."""
    return _wire(msgspec.to_builtins(value, builtin_types=(datetime,)))


def _wire(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _wire(item) for key, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [_wire(item) for item in value]
    return format_time(value.astimezone(UTC)) if isinstance(value, datetime) else value
