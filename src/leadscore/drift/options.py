"""What a person can set about drift checks."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from leadscore.drift.runlength import FalseAlarms, Hysteresis
from leadscore.drift.verdict import SEVERITIES, Severity

Mode = Literal["budget", "thresholds"]
Season = Literal["none", "week"]

# The name under which the model's probability is reported beside the features.
SCORE: Final = "score"


class Lines(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The familiar lines, in nats; they name the severity in both modes and decide in mode `thresholds`.

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
            raise ValueError("lines must satisfy 0 < moderate < significant < critical")
        if not (0.0 < self.p < 1.0 and self.kl > 0.0):
            raise ValueError("kl must be positive and p between 0 and 1")

    def severity(self, effect: float) -> Severity:
        """Where a PSI lies."""
        lines = (self.moderate, self.significant, self.critical)
        return SEVERITIES[sum(effect >= line for line in lines)]


class DriftOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How windows are judged.

    Attributes:
        mode: `budget`: cuts from a number of false alarms; `thresholds`: the fixed lines.
        false_alarms: The budget (mode `budget`).
        lines: The lines.
        hysteresis: How many of the last windows must breach for an alarm.
        min_effect: Smallest PSI above noise that may breach in mode `budget`: with many rows everything is significant.
        act_at: Severity from which a window breaches; None: `moderate` with a budget, `significant` (0.25) with lines.
        min_rows: Windows with fewer leads are not judged.
        season: `week`: features that follow the week are compared with the same hour of the week (windows of an
            hour or less) or the same day (up to a day) instead of with the training leads of all hours.
        seasonal_features: Which ones, `score` possibly among them; None: those that are seen to (see `seasonal`).
        utc_offset_hours: Of the clock whose hours count.
        learn_windows: Calm windows are added to the reference until it is so many times as large as a window;
            0 compares with the reference alone.
        seed: Of everything random.
    """

    mode: Mode = "budget"
    false_alarms: FalseAlarms = FalseAlarms()
    lines: Lines = Lines()
    hysteresis: Hysteresis = Hysteresis()
    min_effect: float = 0.01
    act_at: Severity | None = None
    min_rows: int = 30
    season: Season = "week"
    seasonal_features: tuple[str, ...] | None = None
    utc_offset_hours: float = 0.0
    learn_windows: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        if self.min_rows < 1 or self.min_effect < 0.0 or self.learn_windows < 0:
            raise ValueError("min_rows must be positive, min_effect and learn_windows not negative")
        if self.act_at == "none":
            raise ValueError("act_at must be moderate, significant or critical")

    @property
    def breach_from(self) -> Severity:
        """Severity from which a window breaches."""
        return self.act_at or ("moderate" if self.mode == "budget" else "significant")
