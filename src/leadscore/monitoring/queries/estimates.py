"""From sums to measures: shares and means with intervals that hold however often one looks. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import numpy as np

from leadscore.monitoring.measures import Measure
from leadscore.monitoring.queries.counts import PredictionCounts
from leadscore.sequences import asymptotic_radius, share_bounds

# Probability that an interval of a page ever misses what it is of.
ALPHA: Final = 0.05
# Conversions with a value below which the interval of revenue would promise more than it can hold.
LEAST_PAID: Final = 20
# Leads at which the interval of revenue is tightest; a choice made before looking.
_HORIZON: Final = 5_000.0


def label_completeness(mature: PredictionCounts) -> float | None:
    """Return the share of predictions with an outcome among those that should have one; None without any."""
    return mature.labelled / mature.expected if mature.expected else None


def measure_shares(
    counts: Sequence[tuple[float, int]],
    *,
    as_of: datetime | None,
    completeness: Sequence[float | None] = (),
    missing: str = "No leads to count.",
    alpha: float = ALPHA,
) -> tuple[Measure, ...]:
    """Return shares with confidence sequences (Waudby-Smith & Ramdas 2023), all computed at once.

    Also means of values between 0 and 1: with their sum for the successes the interval is wider than it
    need be, and as valid, because the logarithm of the capital is concave in the value.

    Args:
        counts: Successes and trials of each.
        as_of: Until when records were read.
        completeness: Of each; none: labels play no part.
        missing: What to say of a share of nothing.
        alpha: Probability that one of them ever misses, however often one looks.
    """
    if not counts:
        return ()
    successes, trials = np.array(counts, dtype=np.float64).T
    lows, highs = share_bounds(successes, trials, alpha)
    known = completeness or [None] * len(counts)
    return tuple(
        Measure(value=k / n, n=n, as_of=as_of, low=float(low), high=float(high), completeness=share)
        if n
        else Measure(value=None, n=0, as_of=as_of, completeness=share, unknown=missing)
        for (k, n), low, high, share in zip(counts, lows, highs, known, strict=True)
    )


def measure_conversions(
    mature: Sequence[PredictionCounts], as_of: datetime | None, *, alpha: float = ALPHA
) -> tuple[Measure, ...]:
    """Return conversion rates of leads that are old enough to have an outcome and have one."""
    return tuple(
        measure
        if counts.labelled
        else Measure(
            value=None,
            n=0,
            as_of=as_of,
            completeness=label_completeness(counts),
            unknown=_no_labels(counts),
        )
        for counts, measure in zip(
            mature,
            measure_shares(
                [(t.converted, t.labelled) for t in mature],
                as_of=as_of,
                completeness=[label_completeness(t) for t in mature],
                alpha=alpha,
            ),
            strict=True,
        )
    )


def measure_revenue(mature: PredictionCounts, as_of: datetime | None, *, alpha: float = ALPHA) -> Measure:
    """Return revenue per lead with an asymptotic confidence sequence (Waudby-Smith et al. 2024).

    Leads that did not convert count as 0. Unknown where converted leads carry no value: leaving them out
    would be a smaller number that looks like a true one.
    """
    share = label_completeness(mature)
    n = mature.labelled
    if not n:
        return Measure(value=None, n=0, as_of=as_of, completeness=share, unknown=_no_labels(mature))
    if mature.valued < mature.converted:
        why = f"{mature.converted - mature.valued} of {mature.converted} converted leads have no value."
        return Measure(value=None, n=n, as_of=as_of, completeness=share, unknown=why)
    mean = mature.sum_value / n
    low = high = None
    if mature.converted >= LEAST_PAID:
        spread = math.sqrt(max(mature.sum_squared_value / n - mean**2, 0.0))
        radius = float(asymptotic_radius(np.array(n), np.array(spread), alpha, _HORIZON))
        low, high = max(0.0, mean - radius), mean + radius
    return Measure(value=mean, n=n, as_of=as_of, low=low, high=high, completeness=share)


def _no_labels(mature: PredictionCounts) -> str:
    if not mature.predictions:
        return "No lead of this time is old enough to have an outcome."
    return f"None of {mature.predictions} leads that are old enough has an outcome."
