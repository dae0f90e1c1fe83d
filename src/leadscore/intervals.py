"""Confidence intervals: DeLong for ranking, stratified bootstrap for the rest."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import NormalDist

import msgspec
import numpy as np
import numpy.typing as npt

from leadscore.arrays import Flags, Floats

# Cells (replicates times rows) drawn in one go: small enough for the cache, large enough to be worth a call.
_CHUNK_CELLS = 2_000_000
# Cells in all: bounds the time on large windows, where fewer replicates say as much.
_BUDGET_CELLS = 20_000_000


class Estimate(msgspec.Struct, frozen=True):
    """A figure with its interval (two-sided, at the confidence its record states)."""

    value: float
    low: float
    high: float


def replicates_for(rows: int) -> int:
    """Bootstrap replicates for that many rows: 1,000, fewer (never under 200) on large windows."""
    return int(np.clip(_BUDGET_CELLS // max(rows, 1), 200, 1000))


def percentile_estimate(value: float, draws: Floats, confidence: float) -> Estimate:
    """Percentile bootstrap interval; draws that are NaN (figure undefined in the resample) are left out."""
    kept = draws[np.isfinite(draws)]
    if len(kept) == 0:
        return Estimate(value, float("-inf"), float("inf"))
    tail = (1 - confidence) / 2
    low, high = np.quantile(kept, [tail, 1 - tail])
    return Estimate(value, float(low), float(high))


def centred_estimate(value: float, draws: Floats, confidence: float) -> Estimate:
    """Bootstrap interval of a figure that cannot be negative and that resampling inflates, such as the ECE.

    A mean of absolute deviations grows with every bit of noise, so a resample of a
    well-calibrated sample looks worse than the sample itself and the percentile interval may
    leave the figure out. The draws are therefore moved back by their bias before the percentiles
    are taken (Efron & Tibshirani 1993, section 10.6).
    """
    kept = draws[np.isfinite(draws)]
    bias = float(kept.mean()) - value if len(kept) else 0.0
    estimate = percentile_estimate(value, kept - bias, confidence)
    return Estimate(value, max(0.0, estimate.low), estimate.high)


def stratified_weights(
    converted: Flags, rng: np.random.Generator, replicates: int
) -> Iterator[npt.NDArray[np.float32]]:
    """Bootstrap weights in chunks (some, n): how often each row was drawn, classes resampled apart.

    Keeping the number of positives fixed suits figures that are stated for this window's base rate, and no
    resample lacks a class.
    """
    n = len(converted)
    classes = [np.flatnonzero(converted), np.flatnonzero(~converted)]
    size = max(1, _CHUNK_CELLS // max(n, 1))
    for begin in range(0, replicates, size):
        count = min(size, replicates - begin)
        weights = np.zeros(count * n, dtype=np.float32)
        for members in classes:
            if len(members):
                drawn = members[rng.integers(0, len(members), (count, len(members)), dtype=np.int32)]
                drawn += (np.arange(count) * n)[:, None]
                weights += np.bincount(drawn.ravel(), minlength=count * n)
        yield weights.reshape(count, n)


def placements(converted: Flags, scores: npt.NDArray[np.floating]) -> tuple[float, Floats, Floats]:
    """AUC and each lead's placement among the other class (Sun & Xu 2014: DeLong in O(n log n)).

    Returns:
        The AUC; for each positive the share of negatives below it (ties count half); for each negative the
        share of positives above it.
    """
    positives, negatives = scores[converted], scores[~converted]
    among_all = _midranks(np.concatenate([positives, negatives]))
    p, n = len(positives), len(negatives)
    above = (among_all[:p] - _midranks(positives)) / n
    below = 1.0 - (among_all[p:] - _midranks(negatives)) / p
    return float(above.mean()), above, below


def auc_estimate(
    converted: Flags, scores: npt.NDArray[np.floating], confidence: float = 0.95
) -> Estimate | None:
    """AUC with DeLong's interval (DeLong et al. 1988), within 0 and 1; None if a class is missing.

    Where the classes are separated completely the variance is 0; the bound is then the one at which such a
    separation of the smaller class would still be seen with probability (1 - confidence) / 2.
    """
    smaller = min(int(converted.sum()), int((~converted).sum()))
    if smaller == 0:
        return None
    auc, above, below = placements(converted, scores)
    spread = _quantile(confidence) * np.sqrt(_variance(above) + _variance(below))
    if spread == 0.0:
        slack = 1.0 - ((1 - confidence) / 2) ** (1 / smaller)
        return Estimate(auc, max(0.0, auc - slack), min(1.0, auc + slack))
    return Estimate(auc, max(0.0, auc - float(spread)), min(1.0, auc + float(spread)))


def auc_of_counts(
    converted: npt.NDArray[np.integer], others: npt.NDArray[np.integer], confidence: float = 0.95
) -> tuple[Estimate, float] | None:
    """AUC of leads that are known by cell only, cells by rising score, with DeLong's interval.

    Pairs within a cell count half, as ties do.

    Args:
        converted: Converted leads per cell.
        others: Other leads per cell.
        confidence: Of the interval.

    Returns:
        The estimate, and how far the AUC of the single scores may lie from it at most; None if a class is
        missing.
    """
    won, lost = converted.astype(np.float64), others.astype(np.float64)
    p, n = float(won.sum()), float(lost.sum())
    if p == 0 or n == 0:
        return None
    above = (np.cumsum(lost) - lost / 2) / n
    below = (p - np.cumsum(won) + won / 2) / p
    auc = float(won @ above) / p
    variance = sum(
        float(counts @ (placed - auc) ** 2) / (size - 1) / size
        for counts, placed, size in ((won, above, p), (lost, below, n))
        if size > 1
    )
    spread = _quantile(confidence) * float(np.sqrt(variance))
    resolution = float(won @ lost) / (2 * p * n)
    return Estimate(auc, max(0.0, auc - spread), min(1.0, auc + spread)), resolution


def auc_difference(
    converted: Flags,
    first: npt.NDArray[np.floating],
    second: npt.NDArray[np.floating],
    confidence: float = 0.95,
) -> Estimate | None:
    """AUC of `second` minus AUC of `first` on the same leads, with DeLong's paired interval."""
    if min(int(converted.sum()), int((~converted).sum())) == 0:
        return None
    auc_1, above_1, below_1 = placements(converted, first)
    auc_2, above_2, below_2 = placements(converted, second)
    spread = _quantile(confidence) * np.sqrt(_variance(above_2 - above_1) + _variance(below_2 - below_1))
    gain = auc_2 - auc_1
    return Estimate(gain, gain - float(spread), gain + float(spread))


def mean_estimate(differences: Floats, converted: Flags, confidence: float = 0.95) -> Estimate:
    """Mean of a per-lead quantity with the normal interval of class-stratified sampling."""
    n = len(differences)
    parts = [differences[converted], differences[~converted]]
    variance = sum((len(p) / n) ** 2 * _variance(p) for p in parts if len(p))
    mean = float(differences.mean())
    spread = _quantile(confidence) * float(np.sqrt(variance))
    return Estimate(mean, mean - spread, mean + spread)


def _quantile(confidence: float) -> float:
    return NormalDist().inv_cdf(0.5 + confidence / 2)


def _variance(values: Floats) -> float:
    """Variance of the mean of `values`; 0 for a single one."""
    return float(values.var(ddof=1)) / len(values) if len(values) > 1 else 0.0


def _midranks(values: npt.NDArray[np.floating]) -> Floats:
    _, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2.0)[index]
