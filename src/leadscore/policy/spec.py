"""What a RetrainPolicy says: its triggers and what holds them back. Field names as in the custom resource."""

from __future__ import annotations

import msgspec

from leadscore.drift.methods import MAX_DROP
from leadscore.drift.verdict import Severity


class _Spec(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    pass


class DriftTrigger(_Spec, frozen=True):
    """Retrain when the inputs or the scores have drifted.

    Attributes:
        detectors: DriftDetectors that count; empty: every one of the model.
        min_severity: Smallest severity that counts; the verdict must also say `drifted`.
        consecutive: Successive verdicts of one detector and schedule that must all count
            (hysteresis on top of the detector's own).
        hold: How long a trigger that had to wait stays due.
    """

    detectors: tuple[str, ...] = ()
    min_severity: Severity = "significant"
    consecutive: int = 1
    hold: str = "7d"


class PerformanceTrigger(_Spec, frozen=True):
    """Retrain when the model ranks worse than its reference.

    Attributes:
        detectors: As in `DriftTrigger`.
        max_drop: Relative loss of AUC tolerated.
        hold: As in `DriftTrigger`.
    """

    detectors: tuple[str, ...] = ()
    max_drop: float = MAX_DROP
    hold: str = "7d"


class RampStep(_Spec, frozen=True):
    """Retrain every so often, for so long (None: from then on)."""

    every: str
    for_: str | None = msgspec.field(default=None, name="for")


class ScheduleTrigger(_Spec, frozen=True):
    """Retrain by the calendar, often while the model is new and less often later."""

    ramp: tuple[RampStep, ...] = (RampStep(every="7d", for_="90d"), RampStep(every="30d"))


class Triggers(_Spec, frozen=True):
    """What may start a retraining; a trigger that is left out is off. A person always may (see `manual`)."""

    drift: DriftTrigger | None = None
    performance: PerformanceTrigger | None = None
    schedule: ScheduleTrigger | None = None


class Budget(_Spec, frozen=True):
    """At most `runs` retrainings in any `per`."""

    runs: int
    per: str


class RetrainRules(_Spec, frozen=True):
    """The part of a RetrainPolicy that decides; the defaults are the product's.

    Attributes:
        model: Name in the registry.
        suspend: Decide nothing but manual requests.
        triggers: What starts a retraining.
        cool_down: Time after a run has ended before triggers count again (a person need not wait).
        budget: Most runs in a period, those of people included; None: no bound.
        data_window: Leads to train on, back from the moment of the decision.
    """

    model: str
    suspend: bool = False
    triggers: Triggers = Triggers()
    cool_down: str = "24h"
    budget: Budget | None = Budget(runs=4, per="30d")
    data_window: str = "180d"
