"""Typed custom resources. Defaults are the schema's: the API server has filled them in already."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, TypeVar

import msgspec

from leadscore.drift.methods import MAX_DROP
from leadscore.errors import BadInputError
from leadscore.policy.spec import RetrainRules

T = TypeVar("T")


class Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A part of a custom resource: fields have their names in camelCase there."""


# --- DriftDetector ----------------------------------------------------------------------------------------


class Schedule(Part, frozen=True):
    """When to check, over how much of the past."""

    name: str
    cron: str
    window: str
    methods: tuple[str, ...] | None = None
    args: tuple[str, ...] = ()


class FalseAlarmsSpec(Part, frozen=True):
    """False alarms accepted on an unchanged stream."""

    expected: float = 1.0
    per: str = "30d"


class PerformanceSpec(Part, frozen=True):
    """How outcomes are judged."""

    window: str = "30d"
    maturity: str = "30d"
    max_drop: float = MAX_DROP


class CheckJob(Part, frozen=True):
    """How a check runs."""

    deadline_seconds: int = 1800
    retries: int = 1
    resources: dict[str, Any] = {}


class DetectorSpec(Part, frozen=True):
    """A DriftDetector's declared."""

    model: str
    schedules: tuple[Schedule, ...]
    suspend: bool = False
    time_zone: str = "Etc/UTC"
    methods: tuple[str, ...] = ("univariate",)
    performance: PerformanceSpec | None = None
    false_alarms: FalseAlarmsSpec | None = None
    mode: Literal["budget", "thresholds"] = "budget"
    hysteresis: str = "1/1"
    job: CheckJob = CheckJob()

    @property
    def model_name(self) -> str:
        """The model without alias or version."""
        return self.model.replace("@", "/").split("/", maxsplit=1)[0]


# --- RetrainPolicy ----------------------------------------------------------------------------------------


class RunTemplate(Part, frozen=True):
    """How a training runs."""

    data: str = ""
    trials: int = 50
    min_records: int = 10_000
    min_completeness: float = 0.8
    delay_aware: bool = False
    seed: int = 0
    attempts: int = 3
    retry_delay: str = "30s"
    deadline_seconds: int = 14_400
    args: tuple[str, ...] = ()
    resources: dict[str, Any] = {}


class PolicySpec(RetrainRules, frozen=True, kw_only=True, rename="camel"):
    """A RetrainPolicy's declared: the rules that decide, and how a training and a release are made."""

    run: RunTemplate = RunTemplate()
    release: dict[str, Any] | None = None


# --- RetrainRun -------------------------------------------------------------------------------------------


class RunWindow(Part, frozen=True):
    """Leads to train on."""

    start: datetime
    end: datetime


class RunSpec(Part, frozen=True):
    """A RetrainRun's declared."""

    policy: str
    trigger: str = "manual"
    reason: str = ""
    key: str = ""
    window: RunWindow | None = None


# --- ModelRelease -----------------------------------------------------------------------------------------


class ShadowSpec(Part, frozen=True):
    """How long a shadow runs, how many leads it must share with the champion, and how long it waits."""

    for_: str = msgspec.field(default="24h", name="for")
    minimum_leads: int = 1_000
    extend_for: str = "72h"


class ModelReleaseSpec(Part, frozen=True):
    """A ModelRelease's declared."""

    model: str
    version: int
    rollout: str
    evaluation: Literal["replay", "shadow", "none"] = "replay"
    replay_window: str = "14d"
    shadow: ShadowSpec | None = None
    approval_for: str = "7d"
    soak_for: str = msgspec.field(default="48h", name="watchFor")
    soak_every: str = msgspec.field(default="1h", name="watchEvery")
    soak_exposure: str = msgspec.field(default="24h", name="watchExposure")
    soak_minimum_leads: int = msgspec.field(default=200, name="watchMinimumLeads")
    abort: bool = False


def decode(value: object, kind: type[T], what: str) -> T:
    """The typed form of a part of an object.

    Raises:
        BadInputError: It does not have that form; the sentence names the field.
    """
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        raise BadInputError(f"{what} cannot be read: {error}.", hint="Correct the object.") from error
