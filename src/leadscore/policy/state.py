"""Inputs and decisions of a policy: plain values, without clock or cluster."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from leadscore.drift.verdict import DriftKind, DriftVerdict, Severity, Triage

Trigger = Literal["manual", "performance", "drift", "schedule"]
Hold = Literal["no-drift", "suspended", "live-run", "release", "pipeline-bug", "cool-down", "budget"]


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """A detector's verdict about one window, as far as a policy needs it.

    Attributes:
        detector: Name of the DriftDetector.
        schedule: Which of its schedules made it.
        model_version: Version that was checked.
        window_start: First moment of the window.
        window_end: First moment after it.
        severity: Of the worst finding.
        drifted: Whether the detector asks to act.
        triage: What kind of change it is.
        kind: What changed.
        drop: Relative loss of AUC; None if the detector did not measure it, or it may be chance.
        outcomes_end: First moment after the leads whose outcomes were judged; None:
            none were, or those of the window.
        worst: Name of the worst feature; empty if there is none.
        why: The detector's first sentence.
        judged: False where the detector could not tell (too few leads or outcomes, or none): such a verdict
            neither asks for anything nor ends what an earlier one asks for.
    """

    detector: str
    schedule: str
    model_version: str
    window_start: datetime
    window_end: datetime
    severity: Severity
    drifted: bool
    triage: Triage
    kind: DriftKind = "data"
    drop: float | None = None
    outcomes_end: datetime | None = None
    worst: str = ""
    why: str = ""
    judged: bool = True

    @classmethod
    def of(cls, detector: str, schedule: str, verdict: DriftVerdict) -> Observation:
        """What the verdict of a detector's run means to a policy."""
        return cls(
            detector=detector,
            schedule=schedule,
            model_version=verdict.model_version,
            window_start=verdict.window_start,
            window_end=verdict.window_end,
            severity=verdict.severity,
            drifted=verdict.drifted,
            triage=verdict.triage,
            kind=verdict.kind,
            drop=verdict.drop,
            outcomes_end=verdict.outcomes_end,
            worst=verdict.worst[0].feature if verdict.worst else "",
            why=verdict.reasons[0] if verdict.reasons else "",
            judged=not verdict.unknown,
        )


class PastRun(msgspec.Struct, frozen=True, kw_only=True):
    """A retraining that was started, whether or not its object still exists.

    Attributes:
        key: The decision it came from.
        created: When it was started.
        finished: When it ended; None while it is live.
    """

    key: str
    created: datetime
    finished: datetime | None


class PolicyState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a decision may look at.

    Attributes:
        created: When the policy came into being: the schedule counts from there.
        observations: Verdicts of the model's detectors, in any order.
        runs: Retrainings of this policy, in any order.
        manual: Token of a person's request; None if there is none.
        release: Name of a release of this model that is on its way; None if there is none.
    """

    created: datetime
    observations: tuple[Observation, ...] = ()
    runs: tuple[PastRun, ...] = ()
    manual: str | None = None
    release: str | None = None


class RetrainWindow(msgspec.Struct, frozen=True):
    """The leads to train on: scored in [start, end)."""

    start: datetime
    end: datetime


class Retrain(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Start a retraining.

    Attributes:
        trigger: Which trigger.
        reason: A sentence for people.
        window: Leads to train on.
        key: Names this decision: the same trigger always has the same key, so acting twice is acting once.
    """

    trigger: Trigger
    reason: str
    window: RetrainWindow
    key: str


class Postpone(msgspec.Struct, frozen=True, kw_only=True, tag="Wait"):
    """Do nothing yet.

    Attributes:
        hold: What holds it back; `no-drift` if nothing asks for a retraining.
        reason: A sentence for people, naming the trigger that waits.
        until: When to look again at the latest; None: when something changes.
    """

    hold: Hold
    reason: str
    until: datetime | None


RetrainDecision = Retrain | Postpone
