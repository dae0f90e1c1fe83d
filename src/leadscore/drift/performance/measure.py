"""Measure ranking and calibration on leads with known outcomes, to find concept drift.

Only mature leads are judged, those old enough that their outcome should be known: among
younger ones wins come in before losses are admitted, and any figure of them would flatter the
model. Every result says how complete its labels are; a window with too few labels is not judged, and that is
no "fine".
"""

from __future__ import annotations

from statistics import NormalDist
from typing import Final

import msgspec
import numpy as np

from leadscore.drift.statistics.odds import EDGE, log_odds
from leadscore.errors import BadInputError
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
from leadscore.reliability import CALIBRATION_BINS, bin_codes

_NEWTON_STEPS: Final = 40


class LabelCounts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many labels of a window are known.

    Attributes:
        predictions: In the window.
        labelled: Of these, with an outcome.
        mature: Of these, old enough for their outcome to be known, and not superseded without one.
        mature_labelled: Of the mature ones, with an outcome.
    """

    predictions: int
    labelled: int
    mature: int
    mature_labelled: int

    @property
    def share(self) -> float | None:
        """Labelled share of the mature predictions; None when there are none."""
        return self.mature_labelled / self.mature if self.mature else None


class PerformanceMetrics(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Figures of the model from a window's outcomes.

    Attributes:
        labels: How complete they are.
        rows: Mature labelled leads: what the figures are about.
        positives: Converted ones.
        confidence: Of the intervals.
        auc: Area under the ROC curve (DeLong); None if one of the outcomes is missing.
        brier: Mean squared error of the probability (bootstrap).
        ece: Expected calibration error over ten bins of equal size (bias-centred bootstrap).
        observed_expected: Conversions over the sum of probabilities (Wilson's interval of the rate); 1 is
            right.
        intercept: Calibration in the large: shift of the log-odds at slope 1 (Wald); 0 is right.
        slope: Of the outcome's log-odds over the predicted ones (Wald); 1 is right, 0 is no ranking at all.
            Intercept and slope are None where they cannot be estimated.
    """

    labels: LabelCounts
    rows: int
    positives: int
    confidence: float
    auc: Estimate | None
    brier: Estimate
    ece: Estimate
    observed_expected: Estimate
    intercept: Estimate | None
    slope: Estimate | None


def measure_window(
    converted: Flags,
    probabilities: Floats,
    labels: LabelCounts,
    *,
    confidence: float = 0.95,
    seed: int = 0,
) -> PerformanceMetrics:
    """Figures of the mature labelled leads of a window.

    Args:
        converted: Outcomes of the mature labelled leads (n,).
        probabilities: What had been predicted for them (n,).
        labels: How complete the window is.
        confidence: Of the intervals.
        seed: Of the bootstrap.

    Raises:
        BadInputError: No lead, lengths that differ, or another number of leads than `labels` says.
    """
    if len(converted) == 0 or not len(converted) == len(probabilities) == labels.mature_labelled:
        raise BadInputError(
            f"{len(converted)} outcomes and {len(probabilities)} probabilities of"
            f" {labels.mature_labelled} mature labelled leads.",
            hint=(
                "Give exactly the mature leads whose outcome is known; without any "
                "there is nothing to measure."
            ),
        )
    p = np.asarray(probabilities, dtype=np.float64)
    brier, ece = _bootstrapped(converted, p, confidence, seed)
    return PerformanceMetrics(
        labels=labels,
        rows=len(converted),
        positives=int(converted.sum()),
        confidence=confidence,
        auc=auc_estimate(converted, p, confidence),
        brier=brier,
        ece=ece,
        observed_expected=observed_over_expected(converted, p, confidence),
        intercept=calibration_intercept(converted, p, confidence),
        slope=calibration_slope(converted, p, confidence),
    )


def observed_over_expected(converted: Flags, probabilities: Floats, confidence: float = 0.95) -> Estimate:
    """Observed over predicted conversions with Wilson's interval of the observed rate."""
    expected = max(float(probabilities.sum()), EDGE)
    return conversions_ratio(int(converted.sum()), len(converted), expected, confidence)


def conversions_ratio(won: int, n: int, expected: float, confidence: float) -> Estimate:
    """`won` of `n` leads converted where `expected` were: the ratio with Wilson's interval of the rate."""
    z = _z(confidence)
    rate = won / n
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * float(np.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n)))
    low, high = max(0.0, centre - half), min(1.0, centre + half)
    return Estimate(won / expected, low * n / expected, high * n / expected)


def calibration_intercept(
    converted: Flags, probabilities: Floats, confidence: float = 0.95
) -> Estimate | None:
    """Shift of the log-odds that makes the mean prediction right; None if all outcomes are alike."""
    logit = log_odds(probabilities)
    found = _logistic(np.ones((len(logit), 1)), logit, converted)
    return None if found is None else _wald(found[0][0], found[1][0, 0], confidence)


def calibration_slope(converted: Flags, probabilities: Floats, confidence: float = 0.95) -> Estimate | None:
    """Cox's calibration slope; None if all outcomes or all probabilities are alike, or they separate."""
    logit = log_odds(probabilities)
    if float(logit.std()) < EDGE:
        return None
    centred = np.column_stack([np.ones(len(logit)), logit - logit.mean()])
    found = _logistic(centred, np.zeros(len(logit)), converted)
    return None if found is None else _wald(found[0][1], found[1][1, 1], confidence)


def _bootstrapped(converted: Flags, p: Floats, confidence: float, seed: int) -> tuple[Estimate, Estimate]:
    off = p - converted
    member = np.eye(CALIBRATION_BINS)[bin_codes(p)] * off[:, None]
    columns = np.column_stack([off**2, member]).astype(np.float32)

    def figures(weights: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> Floats:
        sums = (weights @ columns).astype(np.float64) / len(p)
        return np.stack([sums[:, 0], np.abs(sums[:, 1:]).sum(axis=1)])

    point = figures(np.ones((1, len(p)), dtype=np.float32))[:, 0]
    rng = np.random.default_rng(seed)
    draws = np.concatenate(
        [figures(w) for w in stratified_weights(converted, rng, replicates_for(len(p)))], axis=1
    )
    return (
        percentile_estimate(float(point[0]), draws[0], confidence),
        centred_estimate(float(point[1]), draws[1], confidence),
    )


def _logistic(x: Floats, offset: Floats, converted: Flags) -> tuple[Floats, Floats] | None:
    """Maximum likelihood of a logistic regression and its covariance, by Newton; None where there is none."""
    if bool(converted.all()) or not bool(converted.any()):
        return None
    beta = np.zeros(x.shape[1])
    for _ in range(_NEWTON_STEPS):
        p = 1.0 / (1.0 + np.exp(-np.clip(x @ beta + offset, -35, 35)))
        information = (x * (p * (1 - p))[:, None]).T @ x
        if np.linalg.cond(information) > 1e12:
            return None
        step = np.linalg.solve(information, x.T @ (converted - p))
        # Far from the maximum a full step may overshoot.
        beta = beta + step * min(1.0, 4.0 / max(float(np.abs(step).max()), 1e-12))
        if float(np.abs(step).max()) < 1e-9:
            return beta, np.asarray(np.linalg.inv(information), dtype=np.float64)
    return None


def _wald(value: float, variance: float, confidence: float) -> Estimate:
    half = _z(confidence) * float(np.sqrt(variance))
    return Estimate(float(value), float(value) - half, float(value) + half)


def _z(confidence: float) -> float:
    return NormalDist().inv_cdf(0.5 + confidence / 2)
