"""Distances and tests between two samples given as counts over the same cells.

`reference` and `window` are counts per cell, float or int arrays (cells,); for ordered statistics
(Wasserstein, KS, rank sum) cells are in the order of their values. With one cell per distinct
value the results are those of the raw samples.

Empty cells are handled by name, never by a small constant: a cell empty on both sides says nothing and is
left out; Jensen-Shannon, chi-square and G are finite by definition; PSI and KL, which are infinite where one
side is empty, take half a row for the empty side (Krichevsky-Trofimov's estimate for that cell), so the
result depends on the number of rows and not on a chosen constant.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from leadscore.arrays import Counts, Floats

_HALF_ROW: Final = 0.5


def largest_gap(first: npt.NDArray[np.floating], second: npt.NDArray[np.floating]) -> float:
    """Return the two-sample KS statistic of raw values: the largest gap of the distribution functions."""
    both = np.concatenate([first, second])
    below = [np.searchsorted(np.sort(values), both, side="right") / len(values) for values in (first, second)]
    return float(np.abs(below[0] - below[1]).max())


def psi(reference: Counts, window: Counts) -> float:
    """Population stability index Σ (q - p) ln(q / p): the symmetric KL divergence of the shares, in nats.

    0 or more.
    """
    p, q = _shares(reference, window)
    return float(np.sum((q - p) * np.log(q / p))) if len(p) else 0.0


def half_row_psi(reference: npt.NDArray[np.integer], window: npt.NDArray[np.integer]) -> Floats:
    """Each bin's part of the PSI with half a row in every bin, which keeps empty ones finite.

    (…, bins), to be summed.
    """
    p, q = ((c + _HALF_ROW) / (c + _HALF_ROW).sum(axis=-1, keepdims=True) for c in (reference, window))
    return (q - p) * np.log(q / p)


def kl(reference: Counts, window: Counts) -> float:
    """Kullback-Leibler divergence of the window from the reference, Σ q ln(q / p), in nats; 0 or more."""
    p, q = _shares(reference, window)
    # Half rows make the shares add up to a little more than 1; renormalised, the result stays >= 0.
    return float(np.sum(_relative_entropy(q / q.sum(), p / p.sum()))) if len(p) else 0.0


def jensen_shannon(reference: Counts, window: Counts) -> float:
    """Jensen-Shannon divergence in nats: 0 to ln 2 (SciPy gives its root, the distance)."""
    n, m = reference.sum(), window.sum()
    if n == 0 or m == 0:
        return 0.0
    p, q = reference / n, window / m
    middle = (p + q) / 2
    return float(max(0.0, np.sum(_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2))


def kolmogorov_smirnov(reference: Counts, window: Counts) -> float:
    """Largest difference of the two distribution functions at the cells' borders, 0 to 1.

    On bins it can only be smaller than that of the raw values.
    """
    n, m = reference.sum(), window.sum()
    if n == 0 or m == 0:
        return 0.0
    return float(np.abs(np.cumsum(reference) / n - np.cumsum(window) / m).max())


def kolmogorov_smirnov_p(statistic: float, n: int, m: int) -> float:
    """Asymptotic two-sided p-value of the two-sample statistic; on bins or tied values it is conservative."""
    if n == 0 or m == 0:
        return 1.0
    from scipy import stats  # noqa: PLC0415 (the console shows distances, and has no SciPy)

    return float(stats.kstwo.sf(statistic, max(1, round(n * m / (n + m)))))


def wasserstein(reference: Counts, window: Counts, positions: Floats) -> float:
    """First Wasserstein (earth mover's) distance of the two samples, in the unit of `positions` (cells,)."""
    n, m = reference.sum(), window.sum()
    if n == 0 or m == 0:
        return 0.0
    gap = np.abs(np.cumsum(reference) / n - np.cumsum(window) / m)[:-1]
    return float(np.sum(gap * np.diff(positions)))


def chi_square(reference: Counts, window: Counts) -> tuple[float, int]:
    """Pearson's statistic of the 2 x cells table, and its degrees of freedom (0: nothing to compare)."""
    reference, window = _occupied(reference, window)
    n, m = int(reference.sum()), int(window.sum())
    if n == 0 or m == 0 or len(reference) < 2:
        return 0.0, 0
    # Equal to the usual sum over both rows of the table, with one division per cell.
    scaled = (math.sqrt(n / m) * window - math.sqrt(m / n) * reference) ** 2
    return float(np.sum(scaled / (reference + window))), len(reference) - 1


def chi_square_p(statistic: float, degrees: int) -> float:
    """Its asymptotic p-value."""
    from scipy import special  # noqa: PLC0415

    return float(special.chdtrc(degrees, statistic)) if degrees else 1.0


def g_statistic(reference: Counts, window: Counts) -> float:
    """Likelihood-ratio statistic of the 2 x cells table.

    Twice the rows times the (weighted) Jensen-Shannon divergence: finite whatever cells are empty.
    """
    n, m = float(reference.sum()), float(window.sum())
    if n == 0 or m == 0:
        return 0.0
    pooled = reference + window
    total = _x_log_x(reference) + _x_log_x(window) - _x_log_x(pooled)
    margins = n * math.log(n) + m * math.log(m) - (n + m) * math.log(n + m)
    return float(max(0.0, 2.0 * (np.sum(total) - margins)))


def rank_scores(pooled: Counts) -> Floats:
    """Midrank of each cell of the pooled sample, centred and scaled to mean 0 and variance 1 over its rows.

    All zero if every row is in one cell.
    """
    total = pooled.sum()
    if total == 0:
        return np.zeros(len(pooled))
    ranks = np.cumsum(pooled) - pooled / 2
    centred = ranks - np.sum(ranks * pooled) / total
    spread = math.sqrt(np.sum(centred**2 * pooled) / total)
    return centred / spread if spread > 0 else np.zeros(len(pooled))


def rank_sum(reference: Counts, window: Counts) -> float:
    """Wilcoxon-Mann-Whitney statistic as a z score, positive where the window's values are larger."""
    n, m = int(reference.sum()), int(window.sum())
    if n == 0 or m == 0:
        return 0.0
    # Variance of a sum of m draws without replacement from n + m scores of variance 1.
    spread = math.sqrt(m * n / (n + m - 1))
    return float(np.sum(window * rank_scores(reference + window)) / spread)


def _relative_entropy(p: Floats, q: Floats) -> Floats:
    """P ln(p / q) of each cell; 0 where p is 0."""
    return p * np.log(np.divide(p, q, out=np.ones_like(p), where=p > 0))


def _x_log_x(x: Counts) -> Floats:
    values = x.astype(np.float64)
    return values * np.log(np.where(values > 0, values, 1.0))


def _occupied(reference: Counts, window: Counts) -> tuple[Counts, Counts]:
    some = (reference + window) > 0
    return reference[some], window[some]


def _shares(reference: Counts, window: Counts) -> tuple[Floats, Floats]:
    """Shares of both in the cells that either fills; empty if one of them has no rows at all."""
    n, m = reference.sum(), window.sum()
    if n == 0 or m == 0:
        return np.empty(0), np.empty(0)
    reference, window = _occupied(reference, window)
    p = np.where(reference == 0, _HALF_ROW, reference) / n
    q = np.where(window == 0, _HALF_ROW, window) / m
    return p, q
