"""Judge the figures of a window: is the model worse than allowed, beyond chance?"""

from __future__ import annotations

from datetime import datetime
from statistics import NormalDist

import msgspec
import numpy as np

from leadscore.drift.options import PerformanceThresholds
from leadscore.drift.performance.cbpe import ExpectedPerformance
from leadscore.drift.performance.measure import LabelCounts, PerformanceMetrics, conversions_ratio
from leadscore.drift.verdict import (
    SEVERITIES,
    DriftVerdict,
    FeatureVerdict,
    Severity,
    VerdictState,
    worst_severity,
)
from leadscore.intervals import Estimate


class PerformanceVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """The answer about one window.

    Attributes:
        judged: False where outcomes are too few or too incomplete; nothing else is then said.
        drop: Relative loss of AUC with its two-sided interval (at `confidence` per side); negative is a gain.
        p_value: Of a loss at least as large if the model were as good as its baseline.
        dropped: Whether the loss is above the limit and real: the trigger of a retraining.
        ranking: Severity of the loss.
        calibration: Severity of observed against expected conversions.
        reasons: Sentences for people, most important first.
        silent: Whether leads are old enough for an outcome and none of them has one.
    """

    judged: bool
    drop: Estimate | None
    p_value: float | None
    dropped: bool
    ranking: Severity
    calibration: Severity
    reasons: tuple[str, ...]
    silent: bool = False

    @property
    def state(self) -> VerdictState:
        """In the words of every detector."""
        return "judged" if self.judged else "silent" if self.silent else "not_judged"


def judge_performance(
    figures: PerformanceMetrics | None,
    labels: LabelCounts,
    baseline: Estimate,
    limits: PerformanceThresholds | None = None,
    *,
    baseline_confidence: float = 0.95,
) -> PerformanceVerdict:
    """Judge a window against the model's hold-out.

    Args:
        figures: From `measure_window`; None where no mature lead has an outcome.
        labels: How complete the window is.
        baseline: AUC on the hold-out, with its interval: its uncertainty counts as the window's does.
        limits: The defaults if None.
        baseline_confidence: Of the baseline's interval.
    """
    limits = limits or PerformanceThresholds()
    auc = None if figures is None else figures.auc
    missing = _unjudgeable(figures, labels, limits)
    if missing or figures is None or auc is None:
        return PerformanceVerdict(
            judged=False,
            drop=None,
            p_value=None,
            dropped=False,
            ranking="none",
            calibration="none",
            reasons=(f"Not judged: {missing or 'one of the outcomes is missing'}.",),
            silent=labels.mature > 0 and labels.mature_labelled == 0,
        )
    spread = float(np.hypot(_deviation(auc, figures.confidence), _deviation(baseline, baseline_confidence)))
    loss = baseline.value - auc.value
    half = NormalDist().inv_cdf(limits.confidence) * spread
    drop = Estimate(*((loss + side * half) / baseline.value for side in (0, -1, 1)))
    ranking = _ranking(drop, limits)
    calibration = _calibration(figures, limits)
    return PerformanceVerdict(
        judged=True,
        drop=drop,
        p_value=float(1.0 - NormalDist().cdf(loss / spread)) if spread > 0 else float(loss <= 0),
        dropped=ranking in {"significant", "critical"},
        ranking=ranking,
        calibration=calibration,
        reasons=_reasons(figures, baseline, drop, ranking, calibration, limits),
    )


def performance_drift(
    verdict: PerformanceVerdict,
    figures: PerformanceMetrics | None,
    *,
    model: tuple[str, str],
    start: datetime,
    end: datetime,
    rows: int,
    expected: ExpectedPerformance | None = None,
) -> DriftVerdict:
    """The verdict in the words that every detector uses; `model` is name and version.

    A window that was not judged has severity none, confidence 0 and a reason that says so; with `expected`
    the reasons carry the label-free estimate in its place.
    """
    reasons = list(verdict.reasons)
    if expected is not None and not verdict.judged:
        auc = expected.auc
        reasons.append(
            f"Expected AUC from the probabilities alone: {auc.value:.3f} ({auc.low:.3f} to {auc.high:.3f}),"
            " if they are still calibrated."
        )
    severity = worst_severity((verdict.ranking, verdict.calibration))
    lost = verdict.drop is not None and verdict.drop.low > 0.0
    sure = 0.0 if verdict.p_value is None else max(verdict.p_value, 1.0 - verdict.p_value)
    return DriftVerdict(
        detector="performance",
        model_name=model[0],
        model_version=model[1],
        window_start=start,
        window_end=end,
        rows=rows,
        severity=severity,
        drifted=verdict.dropped or verdict.calibration in {"significant", "critical"},
        worst=() if figures is None or not verdict.judged else _worst(verdict, figures),
        since=start if severity != "none" else None,
        confidence=sure,
        triage="unclear" if severity != "none" else "none",
        reasons=tuple(reasons),
        kind="concept",
        drop=verdict.drop.value if verdict.drop is not None and lost else None,
        state=verdict.state,
    )


def _unjudgeable(
    figures: PerformanceMetrics | None, labels: LabelCounts, limits: PerformanceThresholds
) -> str:
    share = labels.share
    if share is None:
        return f"none of the {labels.predictions:,} leads is old enough for its outcome to be known"
    if not labels.mature_labelled:
        return f"the feed of outcomes is silent. None of the {labels.mature:,} mature leads has one"
    if share < limits.completeness:
        return (
            f"only {share:.0%} of the {labels.mature:,} mature leads have an outcome"
            f" ({limits.completeness:.0%} are needed)"
        )
    fewest = 0 if figures is None else min(figures.positives, figures.rows - figures.positives)
    if fewest < limits.positives:
        return f"{fewest} mature leads of the rarer outcome ({limits.positives} are needed)"
    return ""


def _ranking(drop: Estimate, limits: PerformanceThresholds) -> Severity:
    if drop.value > limits.max_drop:
        if drop.low <= 0.0:
            return "moderate"
        return "critical" if drop.value > 2 * limits.max_drop else "significant"
    return "moderate" if drop.low > 0.0 and drop.value > limits.max_drop / 2 else "none"


def _calibration(figures: PerformanceMetrics, limits: PerformanceThresholds) -> Severity:
    # The same ratio as in the figures, at the confidence that decides.
    expected = figures.positives / figures.observed_expected.value
    ratio = conversions_ratio(figures.positives, figures.rows, expected, limits.confidence)
    certain = not ratio.low <= 1.0 <= ratio.high
    # On the log scale: half as many and twice as many count alike.
    distance = abs(float(np.log(max(ratio.value, 1e-9))))
    allowed = float(np.log1p(limits.miscalibration))
    if not certain or distance <= allowed:
        return "none"
    return "significant" if distance > 2 * allowed else "moderate"


def _reasons(
    figures: PerformanceMetrics,
    baseline: Estimate,
    drop: Estimate,
    ranking: Severity,
    calibration: Severity,
    limits: PerformanceThresholds,
) -> tuple[str, ...]:
    auc, ratio, labels = figures.auc, figures.observed_expected, figures.labels
    now = auc.value if auc else float("nan")
    what, size = loss_or_gain(drop)
    change = f"AUC {now:.3f} against {baseline.value:.3f}: a {what} of {size.value:.1%}"
    between = f"({size.low:+.1%} to {size.high:+.1%})"
    within = f", within the limit of a loss of {limits.max_drop:.0%}" if what == "loss" else ""
    chance = "beyond chance, but within" if drop.low > 0.0 else "may be chance, but is beyond"
    sentences = {
        "none": f"{change} {between}{within}.",
        "moderate": f"{change} {between}: {chance} the limit of {limits.max_drop:.0%}.",
        "significant": f"{change} {between}, above the limit of {limits.max_drop:.0%}.",
        "critical": f"{change} {between}, more than twice the limit of {limits.max_drop:.0%}.",
    }
    came = f"{ratio.value:.2f} conversions came for each one predicted ({ratio.low:.2f} to {ratio.high:.2f})"
    complete = f"{labels.mature_labelled:,} of {labels.mature:,} mature leads have an outcome"
    ordered = (sentences[ranking], came + ("." if calibration == "none" else ": miscalibrated."))
    first = ordered if _ranking_first(ranking, calibration) else ordered[::-1]
    rest = labels.predictions - labels.mature
    # A lead that was scored again before its outcome has it at the newer score.
    return (*first, f"{complete}{f'; {rest:,} younger or rescored leads were left out' if rest else ''}.")


def loss_or_gain(drop: Estimate) -> tuple[str, Estimate]:
    """What a relative loss of AUC is, `loss` or `gain`, and how large.

    The interval is of that, and may reach below 0.
    """
    if drop.value >= 0.0:
        return "loss", drop
    return "gain", Estimate(-drop.value, -drop.high, -drop.low)


def _worst(verdict: PerformanceVerdict, figures: PerformanceMetrics) -> tuple[FeatureVerdict, ...]:
    ratio = figures.observed_expected
    drop = verdict.drop or Estimate(0.0, 0.0, 0.0)
    # An insignificant loss is named otherwise.
    lost = FeatureVerdict(
        feature="score",
        statistic="auc_drop" if drop.low > 0.0 else "auc_drop_uncertain",
        value=drop.value,
        effect=drop.value,
        p_value=verdict.p_value,
        severity=verdict.ranking,
    )
    off = FeatureVerdict(
        feature="score",
        statistic="observed_expected",
        value=ratio.value,
        effect=abs(ratio.value - 1.0),
        severity=verdict.calibration,
    )
    return (lost, off) if _ranking_first(verdict.ranking, verdict.calibration) else (off, lost)


def _ranking_first(ranking: Severity, calibration: Severity) -> bool:
    return SEVERITIES.index(ranking) >= SEVERITIES.index(calibration)


def _deviation(estimate: Estimate, confidence: float) -> float:
    return (estimate.high - estimate.low) / 2 / NormalDist().inv_cdf(0.5 + confidence / 2)
