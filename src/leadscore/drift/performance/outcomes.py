"""Run the method `performance`: judge mature leads with their outcomes against the hold-out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from leadscore.drift.options import DriftOptions, PerformanceThresholds
from leadscore.drift.performance.measure import LabelCounts, PerformanceMetrics, measure_window
from leadscore.drift.performance.verdict import (
    PerformanceVerdict,
    judge_performance,
)
from leadscore.drift.verdict import Severity, worst_severity
from leadscore.intervals import Estimate, Flags, Floats
from leadscore.reliability import CalibrationBin


@dataclass(frozen=True, slots=True, eq=False)
class PerformanceBaseline:
    """Figures of the model on its hold-out.

    Attributes:
        auc: With its interval.
        confidence: Of the interval.
        reliability: How often leads of each level of probability converted.
    """

    auc: Estimate
    confidence: float = 0.95
    reliability: Sequence[CalibrationBin] = ()


@dataclass(frozen=True, slots=True, eq=False)
class MatureOutcomes:
    """Leads of [start, end), all old enough for their outcome to be known.

    Attributes:
        start: First moment.
        end: First moment after them.
        labels: How many there are, and how many of them have an outcome.
        converted: Outcomes of those that have one (n,).
        probabilities: What had been predicted for them (n,).
    """

    start: datetime
    end: datetime
    labels: LabelCounts
    converted: Flags
    probabilities: Floats


class PerformanceReport(msgspec.Struct, frozen=True, kw_only=True):
    """What outcomes say.

    Attributes:
        start: First moment of the mature leads.
        end: First moment after them.
        labels: How complete their outcomes are.
        baseline: AUC on the hold-out, with its interval.
        level: Chance of an accidental breach that was allowed: half for the loss of AUC, half for the
            calibration.
        verdict: Whether there was enough to judge, and the judgement.
        figures: AUC, calibration and errors with intervals; None if no mature lead has an outcome.
    """

    start: datetime
    end: datetime
    labels: LabelCounts
    baseline: Estimate
    level: float
    verdict: PerformanceVerdict
    figures: PerformanceMetrics | None = None

    @property
    def certain(self) -> bool:
        """Whether AUC was lost beyond chance."""
        return self.verdict.drop is not None and self.verdict.drop.low > 0.0

    @property
    def severity(self) -> Severity:
        """Return the severity of a significant loss; others are reported and are no finding."""
        return worst_severity((self.verdict.ranking if self.certain else "none", self.verdict.calibration))


def judge_outcomes(
    outcomes: MatureOutcomes, baseline: PerformanceBaseline, options: DriftOptions, level: float | None
) -> PerformanceReport:
    """Measure and judge.

    Args:
        outcomes: The mature leads.
        baseline: Of the same model.
        options: Limits.
        level: Chance of an accidental breach that may be spent; None: that of
            `options.performance.confidence`.
    """
    wanted = options.performance
    # Two tests, of the ranking and of the calibration, share the chance.
    confidence = wanted.confidence if level is None else 1.0 - level / 2
    limits = PerformanceThresholds(
        max_drop=wanted.max_drop,
        miscalibration=wanted.miscalibration,
        completeness=wanted.completeness,
        positives=wanted.positives,
        confidence=confidence,
    )
    figures = None
    if len(outcomes.converted):
        figures = measure_window(
            outcomes.converted, outcomes.probabilities, outcomes.labels, seed=options.seed
        )
    verdict = judge_performance(
        figures, outcomes.labels, baseline.auc, limits, baseline_confidence=baseline.confidence
    )
    return PerformanceReport(
        start=outcomes.start,
        end=outcomes.end,
        labels=outcomes.labels,
        baseline=baseline.auc,
        level=2 * (1.0 - confidence),
        verdict=verdict,
        figures=figures,
    )
