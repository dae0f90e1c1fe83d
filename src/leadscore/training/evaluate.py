"""Measure a model on leads it has not seen: each figure with its interval."""

from __future__ import annotations

import msgspec
import numpy as np

from leadscore.errors import RefusedError
from leadscore.intervals import (
    Estimate,
    Flags,
    Floats,
    auc_estimate,
    centred_estimate,
    percentile_estimate,
    replicates_for,
    stratified_weights,
)
from leadscore.reliability import CALIBRATION_BINS, CalibrationBin, bin_codes, calibration_bins, log_losses
from leadscore.training.ranking import Ranking, Weights, average_precision


class Estimates(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The figures of one model on one window, each with its interval.

    Attributes:
        auc: Area under the ROC curve (DeLong interval; the others are bootstrapped).
        average_precision: Area under the precision-recall curve.
        precision: Share of the leads called likely that converted.
        recall: Share of the converted leads that were called likely.
        f1: Harmonic mean of the two.
        brier: Mean squared error of the probability.
        log_loss: Mean negative log-likelihood, in nats.
        ece: Expected calibration error over ten bins of equal size.
        lift: Conversion rate in the top against the base rate.
        capture: Share of the converted leads that is in the top.
        revenue_captured: Share of the revenue that is in the top; None without revenue.
    """

    auc: Estimate
    average_precision: Estimate
    precision: Estimate
    recall: Estimate
    f1: Estimate
    brier: Estimate
    log_loss: Estimate
    ece: Estimate
    lift: Estimate
    capture: Estimate
    revenue_captured: Estimate | None = None


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured, and on what.

    Attributes:
        rows: Leads.
        positives: Converted leads.
        base_rate: Share that converted.
        mean_probability: Mean of what the model said.
        capacity: Share of leads that counts as the top.
        threshold: Probability from which a lead is called likely.
        revenue: Revenue of all leads; None without a value column.
        confidence: Of all intervals.
        replicates: Bootstrap resamples.
        calibration: The bins behind `ece`, leads weighted.
        estimates: The figures.
    """

    rows: int
    positives: int
    base_rate: float
    mean_probability: float
    capacity: float
    threshold: float
    revenue: float | None
    confidence: float
    replicates: int
    calibration: tuple[CalibrationBin, ...]
    estimates: Estimates


def evaluate(
    converted: Flags,
    probabilities: Floats,
    *,
    value: Floats | None = None,
    threshold: float,
    capacity: float = 0.10,
    confidence: float = 0.95,
    seed: int = 0,
    weights: Floats | None = None,
) -> Evaluation:
    """All figures of one model on one window.

    Args:
        converted: Labels (n,).
        probabilities: Calibrated probabilities (n,).
        value: Revenue of each lead (n,), NaN or 0 where none; None without a value column.
        threshold: Probability from which a lead is called likely.
        capacity: Share of leads in the top.
        confidence: Of the intervals.
        seed: Of the bootstrap.
        weights: How many leads each stands for (n,), so that rates count those still open; None: each for
            itself. The AUC needs none: it compares leads of different outcomes, whatever the share of each.

    Raises:
        RefusedError: No converted lead, or no other.
    """
    auc = auc_estimate(converted, probabilities, confidence)
    if auc is None:
        raise RefusedError(
            f"{len(converted):,} leads, {int(converted.sum()):,} of them converted: a model can be judged "
            "only where both outcomes occur.",
            hint="Take a longer window.",
        )
    figures = _Figures(converted, probabilities, _revenue(converted, value), threshold, capacity)
    each = np.ones(len(converted), dtype=np.float32) if weights is None else weights.astype(np.float32)
    point = figures.of(each[None, :])[:, 0]
    rng = np.random.default_rng(seed)
    count = replicates_for(len(converted))
    draws = np.concatenate([figures.of(w * each) for w in stratified_weights(converted, rng, count)], axis=1)
    named = {
        name: (centred_estimate if name == "ece" else percentile_estimate)(
            float(point[i]), draws[i], confidence
        )
        for i, name in enumerate(_FIGURES)
    }
    revenue = None if figures.revenue is None else float(figures.revenue.sum())
    if not revenue:
        del named["revenue_captured"]
    return Evaluation(
        rows=len(converted),
        positives=int(converted.sum()),
        base_rate=float(converted.mean()),
        mean_probability=float(probabilities.mean()),
        capacity=capacity,
        threshold=threshold,
        revenue=revenue,
        confidence=confidence,
        replicates=count,
        calibration=calibration_bins(converted, probabilities, weights),
        estimates=Estimates(auc=auc, **named),
    )


_FIGURES = (
    "average_precision",
    "precision",
    "recall",
    "f1",
    "brier",
    "log_loss",
    "ece",
    "lift",
    "capture",
    "revenue_captured",
)


class _Figures:
    """The bootstrapped figures as one function of row weights, everything weight-free prepared once."""

    def __init__(
        self,
        converted: Flags,
        probabilities: Floats,
        revenue: Floats | None,
        threshold: float,
        capacity: float,
    ) -> None:
        self.revenue = revenue
        self.converted = converted.astype(np.float64)
        self.capacity = capacity
        self.ranking = Ranking.of(probabilities)
        likely = (probabilities >= threshold).astype(np.float64)
        losses = [(probabilities - self.converted) ** 2, log_losses(converted, probabilities)]
        said = [likely * self.converted, likely * (1 - self.converted)]
        member = np.eye(CALIBRATION_BINS)[bin_codes(probabilities)]
        off = member * (probabilities - self.converted)[:, None]
        self.columns = np.column_stack([*losses, *said, off]).astype(np.float32)

    def of(self, weights: Weights) -> Floats:
        """The figures, (figures, r), in the order of `_FIGURES`."""
        sums = (weights @ self.columns).astype(np.float64)
        n = weights.sum(axis=1, dtype=np.float64)
        positives = (weights @ self.converted.astype(np.float32)).astype(np.float64)
        brier, log_loss, true_likely, false_likely = sums[:, 0] / n, sums[:, 1] / n, sums[:, 2], sums[:, 3]
        recall = true_likely / positives
        called = true_likely + false_likely
        precision = np.divide(true_likely, called, out=np.full(len(sums), np.nan), where=called > 0)
        f1 = 2 * true_likely / (called + positives)
        ece = np.abs(sums[:, 4:]).sum(axis=1) / n
        leads = self.ranking.cumulative(weights)
        won = self.ranking.cumulative(weights, self.converted)
        capture = self.ranking.in_top(leads, won, self.capacity) / positives
        return np.stack(
            [
                average_precision(leads, won),
                precision,
                recall,
                f1,
                brier,
                log_loss,
                ece,
                capture / self.capacity,
                capture,
                self._revenue_captured(weights, leads),
            ]
        )

    def _revenue_captured(self, weights: Weights, leads: Floats) -> Floats:
        if self.revenue is None:
            return np.full(len(weights), np.nan)
        earned = self.ranking.cumulative(weights, self.revenue)
        total = earned[:, -1]
        top = self.ranking.in_top(leads, earned, self.capacity)
        return np.divide(top, total, out=np.full(len(weights), np.nan), where=total > 0)


def _revenue(converted: Flags, value: Floats | None) -> Floats | None:
    """Return the revenue of converted leads, 0 for the others: for those tables may carry an estimate."""
    return None if value is None else np.where(converted, np.nan_to_num(value, nan=0.0), 0.0)
