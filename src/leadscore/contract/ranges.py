"""Propose a column's range, and find values that stand for none."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

SENTINELS = frozenset({-1.0, -9.0, -99.0, -999.0, -9999.0, 99.0, 999.0, 9999.0, 99999.0, 999999.0})


def widen(low: float, high: float, *, integer: bool) -> tuple[float, float]:
    """The expected range for observed extremes: a tenth of the span more on each side, rounded outwards.

    It does not cross zero where the data do not, and shares (0 to 1, not whole) stay within 0 to 1. Rounding
    is to a hundredth to a tenth of the span, and to whole numbers for integers.
    """
    span = high - low
    if span <= 0.0 or not math.isfinite(span):
        return low, high
    if not integer and low >= 0.0 and high <= 1.0:
        return 0.0, 1.0
    step = 10.0 ** (math.floor(math.log10(span)) - 1)
    step = max(step, 1.0) if integer else step
    wide_low = _rounded(math.floor(_clean((low - 0.1 * span) / step)) * step, step)
    wide_high = _rounded(math.ceil(_clean((high + 0.1 * span) / step)) * step, step)
    if low >= 0.0:
        wide_low = max(wide_low, 0.0)
    if high <= 0.0:
        wide_high = min(wide_high, 0.0)
    return min(wide_low, low), max(wide_high, high)


def _clean(steps: float) -> float:
    """A number of steps without the noise of binary fractions: 2.0000000000000004 must not become 3."""
    return round(steps, 9)


def _rounded(value: float, step: float) -> float:
    """The multiple without the noise of binary fractions (0.30000000000000004)."""
    return round(value, max(0, -math.floor(math.log10(step)))) + 0.0


def sentinel(finite: NDArray[np.float64]) -> str:
    """Why an extreme value may mean "unknown" (999 far from all others); empty if none does."""
    for extreme, inner in (
        (finite.max(), finite[finite < finite.max()]),
        (finite.min(), finite[finite > finite.min()]),
    ):
        if float(extreme) not in SENTINELS or len(inner) == 0:
            continue
        share = float((finite == extreme).mean())
        gap = float(min(abs(extreme - inner.max()), abs(extreme - inner.min())))
        if share >= 0.01 and gap > float(inner.max() - inner.min()):
            return (
                f"{extreme:g} stands far from the other values in {share:.0%} of the "
                "rows: it may mean 'unknown'"
            )
    return ""
