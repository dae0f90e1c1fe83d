"""What a person can set about drift checks."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from leadscore.drift.methods import ALIBI_METHODS, MAX_DROP, METHODS, SEQUENTIAL
from leadscore.drift.runlength import FalseAlarms, Hysteresis
from leadscore.drift.verdict import SEVERITIES, Severity

Mode = Literal["budget", "thresholds"]
Season = Literal["none", "week"]

# The name under which the model's probability is reported beside the features.
SCORE: Final = "score"


class EffectThresholds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The familiar thresholds, in nats; they name the severity in both modes and decide in mode `thresholds`.

    Attributes:
        moderate: PSI from which a change is moderate.
        significant: PSI from which it is significant.
        critical: PSI from which it is critical.
        kl: KL divergence from which a change is at least moderate.
        p: Chi-square p-value below which a change counts at all.
    """

    moderate: float = 0.1
    significant: float = 0.25
    critical: float = 0.5
    kl: float = 0.1
    p: float = 0.05

    def __post_init__(self) -> None:
        if not 0.0 < self.moderate < self.significant < self.critical:
            raise ValueError("thresholds must satisfy 0 < moderate < significant < critical")
        if not (0.0 < self.p < 1.0 and self.kl > 0.0):
            raise ValueError("kl must be positive and p between 0 and 1")

    def severity(self, effect: float) -> Severity:
        """Where a PSI lies."""
        thresholds = (self.moderate, self.significant, self.critical)
        return SEVERITIES[sum(effect >= threshold for threshold in thresholds)]


class PerformanceThresholds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is still acceptable of a model's performance.

    Attributes:
        max_drop: Relative loss of AUC against the hold-out that is significant; twice as much is critical.
        miscalibration: Relative distance of observed from predicted conversions that is reported.
        completeness: Labelled share of the mature leads below which the window is not judged.
        positives: Conversions, and as many other leads, that it takes to judge.
        confidence: Of a loss being real (one-sided), and of a miscalibration (two-sided), in mode
            `thresholds`; with a budget, the budget's.
    """

    max_drop: float = MAX_DROP
    miscalibration: float = 0.25
    completeness: float = 0.8
    positives: int = 20
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if not (0.0 < self.max_drop < 1.0 and 0.0 < self.completeness <= 1.0):
            raise ValueError("max_drop and completeness must be shares between 0 and 1")
        if self.miscalibration <= 0.0 or self.positives < 2 or not 0.5 < self.confidence < 1.0:
            raise ValueError("miscalibration must be positive, positives 2 or more, confidence in (0.5, 1)")


class PerformanceOptions(PerformanceThresholds, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the method `performance` judges.

    Attributes:
        window_hours: Length of the window of mature leads.
        maturity_hours: Age at which a lead's outcome should be known: the window ends so
            long before the checked one does.
    """

    window_hours: float = 720.0
    maturity_hours: float = 720.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.window_hours > 0.0 and self.maturity_hours >= 0.0):
            raise ValueError("window_hours must be positive, maturity_hours not negative")


class DriftOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How windows are judged.

    Attributes:
        methods: What is looked at: names of `METHODS` and `ALIBI_METHODS`, each once.
        performance: How outcomes are judged.
        mode: `budget`: critical values from a number of false alarms; `thresholds`: the fixed thresholds.
        false_alarms: The budget (mode `budget`).
        thresholds: The fixed ones.
        hysteresis: How many of the last windows must breach for an alarm.
        min_effect: Smallest PSI above noise that may breach in mode `budget`: with many rows everything is
            significant.
        act_at: Severity from which a window breaches; None: `moderate` with a budget, `significant` (0.25)
            with fixed thresholds.
        min_rows: Windows with fewer leads are not judged.
        season: `week`: features that follow the week are compared with the same hour of the week (windows of
            an hour or less) or the same day (up to a day) instead of with the training leads of all hours.
        seasonal_features: Which ones, `score` possibly among them; None: those that are seen to (see
            `seasonal`).
        compared_always: Features that are called like a part of a time (`renewal_month`) and do not say
            when a lead came: others of such names are not judged in windows shorter than their cycle.
        utc_offset_hours: Of the clock whose hours count.
        learn_windows: Windows without drift are added to the reference until it is so many times as large as
            a window; 0 compares with the reference alone.
        seed: Of everything random.
    """

    methods: tuple[str, ...] = ("univariate",)
    performance: PerformanceOptions = PerformanceOptions()
    mode: Mode = "budget"
    false_alarms: FalseAlarms = FalseAlarms()
    thresholds: EffectThresholds = msgspec.field(default=EffectThresholds(), name="lines")
    hysteresis: Hysteresis = Hysteresis()
    min_effect: float = 0.01
    act_at: Severity | None = None
    min_rows: int = 30
    season: Season = "week"
    seasonal_features: tuple[str, ...] | None = None
    compared_always: tuple[str, ...] = ()
    utc_offset_hours: float = 0.0
    learn_windows: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        unknown = [m for m in self.methods if m not in (*METHODS, *ALIBI_METHODS)]
        if unknown:
            known = ", ".join((*METHODS, *ALIBI_METHODS))
            raise ValueError(f"there is no method {unknown[0]!r}; there are {known}")
        if not self.methods or len(set(self.methods)) < len(self.methods):
            raise ValueError("methods must name at least one method, each once")
        if SEQUENTIAL in self.methods and len(self.methods) > 1:
            raise ValueError(
                "sequential has a budget and a memory of its own: name no other method beside it"
            )
        if self.methods == ("cbpe",):
            raise ValueError("cbpe estimates and never alarms: name another method beside it")
        if self.min_rows < 1 or self.min_effect < 0.0 or self.learn_windows < 0:
            raise ValueError("min_rows must be positive, min_effect and learn_windows not negative")
        if self.act_at == "none":
            raise ValueError("act_at must be moderate, significant or critical")

    @property
    def alarming_methods(self) -> int:
        """How many methods may raise an alarm, and so share the budget.

        An estimate without labels (CBPE) only informs.
        """
        return max(1, sum(1 for method in self.methods if method != "cbpe"))

    @property
    def breach_from(self) -> Severity:
        """Severity from which a window breaches."""
        return self.act_at or ("moderate" if self.mode == "budget" else "significant")
