"""How well one column alone tells the outcome: what is too good to be known when a lead comes in."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SUSPICIOUS_AUC = 0.95
MIN_PER_CLASS = 20
MAX_ROWS = 200_000
BINS = 32


def auc(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """Area under the ROC curve by the Mann-Whitney statistic, ties counted half; NaN with one class only."""
    hits = int(positive.sum())
    misses = len(positive) - hits
    if hits == 0 or misses == 0:
        return float("nan")
    _, inverse, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    ends = np.cumsum(sizes)
    ranks = (ends - (sizes - 1) / 2.0)[inverse]
    return float((ranks[positive].sum() - hits * (hits + 1) / 2.0) / (hits * misses))


def single_column_auc(codes: NDArray[np.float64], target: NDArray[np.float64]) -> float | None:
    """AUC of the conversion rate per value (or per quantile bin) of one column, missing being a value too.

    Rates are learnt on the even rows and judged on the odd ones, and the other way round, so that a column of
    many values gains nothing by chance. Needs no monotone relation.

    Args:
        codes: Numbers or category codes, NaN for missing; shape (n,).
        target: 1, 0 or NaN (unknown); shape (n,).

    Returns:
        The smaller of both AUCs, or None with fewer than `MIN_PER_CLASS` rows of either class in either half.
    """
    known = np.flatnonzero(~np.isnan(target))
    known = known[:: max(1, len(known) // MAX_ROWS)]
    cells, positive = _cells(codes[known]), target[known] > 0.5
    found: list[float] = []
    for learn in (0, 1):
        seen, judged = slice(learn, None, 2), slice(1 - learn, None, 2)
        hits = int(positive[seen].sum())
        if min(hits, len(positive[seen]) - hits) < MIN_PER_CLASS:
            return None
        size = int(cells.max()) + 1
        prior = positive[seen].mean()
        total = np.bincount(cells[seen], minlength=size)
        converted = np.bincount(cells[seen], weights=positive[seen], minlength=size)
        found.append(auc(((converted + prior) / (total + 1.0))[cells[judged]], positive[judged]))
    return None if any(np.isnan(found)) else min(found)


def _cells(codes: NDArray[np.float64]) -> NDArray[np.intp]:
    missing = np.isnan(codes)
    present = codes[~missing]
    cells = np.zeros(len(codes), dtype=np.intp)
    if len(present) == 0:
        return cells
    distinct = np.unique(present)
    if len(distinct) > 4 * BINS:
        edges = np.unique(np.quantile(present, np.linspace(0.0, 1.0, BINS + 1)[1:-1]))
        cells[~missing] = 1 + np.searchsorted(edges, present, side="right")
    else:
        cells[~missing] = 1 + np.searchsorted(distinct, present)
    return cells
