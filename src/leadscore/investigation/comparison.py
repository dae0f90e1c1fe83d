"""How two spans differ: measures with how surely they differ, as standard scores. Pure, NumPy only.

An investigation looks at dozens of numbers at once, so each has to be beyond chance by far (`SURE`, one in
15,000 by itself) and large enough to matter.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from leadscore.arrays import Floats
from leadscore.drift.statistics.distances import chi_square, psi
from leadscore.intervals import auc_estimate

# Standard score from which a difference is taken for one.
SURE: Final = 4.0
# Leads and conversions that a rate needs on each side.
LEAST_LEADS: Final = 150
LEAST_CONVERTED: Final = 15


@dataclass(frozen=True, slots=True)
class DriftOfCells:
    """How the leads of two spans are spread over the cells of a feature.

    Attributes:
        psi: Population stability index, less what chance alone gives; 0 or more.
        score: Standard score of the difference.
        absent_before: Share of leads without a value, or with one that is not listed.
        absent_now: The same now.
        absent_score: Standard score of that difference.
    """

    psi: float
    score: float
    absent_before: float
    absent_now: float
    absent_score: float


@dataclass(frozen=True, slots=True, eq=False)
class PromiseSample:
    """Leads of the same least age, and whether they had converted by then.

    Attributes:
        probabilities: As answered (n,).
        won: 1 and 0 (n,).
    """

    probabilities: Floats
    won: Floats


@dataclass(frozen=True, slots=True)
class PerformanceChange:
    """How what became of leads, and what was promised of them, has changed.

    Attributes:
        conversion_before: Share of leads that had converted by the least age.
        conversion_now: The same now.
        promised_before: Mean probability of the same leads.
        promised_now: The same now.
        mix: Logarithm of promised now over promised before: other leads.
        relation: Logarithm of converted over promised, now over before: other outcomes of the same leads.
        relation_score: Its standard score.
        ranking_before: Chance that a lead which converts has the higher score (AUC); None: not known.
        ranking_now: The same now.
        ranking_score: Standard score of the difference.
        leads_before: How many leads that is of.
        leads_now: The same now.
        least_drop: Share by which conversions of the same leads must fall to be told from chance, 0 to 1.
    """

    conversion_before: float
    conversion_now: float
    promised_before: float
    promised_now: float
    mix: float
    relation: float
    relation_score: float
    ranking_before: float | None
    ranking_now: float | None
    ranking_score: float
    leads_before: int
    leads_now: int
    least_drop: float


def drift_of_cells(before: Sequence[int], now: Sequence[int]) -> DriftOfCells:
    """Compare counts over the same cells, the last of which holds absent values."""
    reference, window = np.array(before), np.array(now)
    n, m = int(reference.sum()), int(window.sum())
    if n == 0 or m == 0:
        return DriftOfCells(0.0, 0.0, 0.0, 0.0, 0.0)
    statistic, degrees = chi_square(reference, window)
    by_chance = degrees * (1 / n + 1 / m)
    absent = reference[-1] / n, window[-1] / m
    return DriftOfCells(
        max(0.0, psi(reference, window) - by_chance),
        chi_square_score(statistic, degrees),
        float(absent[0]),
        float(absent[1]),
        share_score(int(window[-1]), m, int(reference[-1]), n),
    )


def chi_square_score(statistic: float, degrees: int) -> float:
    """Return a chi-square statistic as a standard score (Wilson & Hilferty 1931)."""
    if degrees == 0:
        return 0.0
    spread = 2 / (9 * degrees)
    return float(((statistic / degrees) ** (1 / 3) - (1 - spread)) / math.sqrt(spread))


def share_score(hits: int, n: int, other_hits: int, other_n: int) -> float:
    """Return the standard score of the difference of two shares, pooled."""
    if n == 0 or other_n == 0:
        return 0.0
    pooled = (hits + other_hits) / (n + other_n)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / other_n))
    return (hits / n - other_hits / other_n) / spread if spread > 0 else 0.0


def performance_change(before: PromiseSample, now: PromiseSample) -> PerformanceChange | None:
    """Compare what became of leads within the same time after their score; None where they are too few.

    The span now may have lost all its conversions, which is a change: there the leads must be enough, and
    the conversions that were to be expected.
    """
    n, m = len(before.won), len(now.won)
    old, new = float(before.won.sum()), float(now.won.sum())
    if min(n, m) < LEAST_LEADS or old < LEAST_CONVERTED:
        return None
    ratio = old / max(float(before.probabilities.sum()), 1e-9)
    expected = ratio * float(now.probabilities.sum())
    if expected < LEAST_CONVERTED:
        return None
    # Half a conversion keeps a span without one finite. Binomials of one rate: more spread than there is.
    relation = math.log(max(new, 0.5) / expected)
    spread = math.sqrt((1 - old / n) / old + (1 - new / m) / max(new, 0.5))
    ranks = [auc_estimate(span.won == 1.0, span.probabilities) for span in (before, now)]
    score, values = 0.0, [None if rank is None else rank.value for rank in ranks]
    if ranks[0] is not None and ranks[1] is not None:
        errors = [(rank.high - rank.low) / (2 * 1.96) for rank in ranks if rank is not None]
        score = (ranks[1].value - ranks[0].value) / max(math.hypot(*errors), 1e-9)
    promised_before, promised_now = (float(span.probabilities.mean()) for span in (before, now))
    return PerformanceChange(
        conversion_before=old / n,
        conversion_now=new / m,
        promised_before=promised_before,
        promised_now=promised_now,
        mix=math.log(max(promised_now, 1e-9) / max(promised_before, 1e-9)),
        relation=relation,
        relation_score=relation / spread,
        ranking_before=values[0],
        ranking_now=values[1],
        ranking_score=score,
        leads_before=n,
        leads_now=m,
        least_drop=_least_drop(old, n, expected, m),
    )


def _least_drop(old: float, n: int, expected: float, m: int) -> float:
    """The smallest fall of the conversions that are expected which is beyond chance by `SURE`."""

    def sure(drop: float) -> bool:
        new = expected * (1 - drop)
        spread = math.sqrt((1 - old / n) / old + max(1 - new / m, 0.0) / max(new, 0.5))
        return -math.log1p(-drop) >= SURE * spread

    return next((percent / 100 for percent in range(1, 100) if sure(percent / 100)), 1.0)


def loss_difference(converted: Floats, answered: Floats, other: Floats) -> tuple[float, float, int]:
    """How much worse the answered probabilities were than others of the same leads, by log-loss.

    Returns:
        Mean difference in nats (positive: the answered ones were worse), its standard score, and the leads
        with an outcome.
    """
    known = ~np.isnan(converted)
    y = converted[known]
    p, q = (np.clip(x[known], 1e-6, 1 - 1e-6) for x in (answered, other))
    worse = np.where(y == 1.0, np.log(q) - np.log(p), np.log1p(-q) - np.log1p(-p))
    n = len(worse)
    if n < LEAST_LEADS:
        return 0.0, 0.0, n
    spread = float(worse.std(ddof=1)) / math.sqrt(n)
    mean = float(worse.mean())
    return mean, mean / spread if spread > 0 else 0.0, n


def unit_factor(
    before: Floats, now: Floats, edges: Sequence[float], factors: Sequence[float]
) -> float | None:
    """By which factor a number seems to be larger than it was; None: a change of unit does not explain it.

    Args:
        before: Known values (n,).
        now: Known values (m,).
        edges: Inner cut points by which both are compared.
        factors: Candidates, the usual ones first.
    """
    cuts = np.array(edges)
    positive = now[now != 0.0]
    # A zero stays zero in every unit.
    if len(before) < 50 or len(positive) < 50 or len(positive) < len(now) / 2 or not len(cuts):
        return None
    base = np.bincount(np.searchsorted(cuts, before, side="right"), minlength=len(cuts) + 1)

    def left(values: Floats) -> float:
        cells = np.bincount(np.searchsorted(cuts, values, side="right"), minlength=len(cuts) + 1)
        return max(0.0, psi(base, cells) - len(cuts) * (1 / len(before) + 1 / len(values)))

    change = left(now)
    if change < 0.25:
        return None
    tried = [(left(now / factor), factor) for factor in (*factors, *(1 / f for f in factors))]
    best = min(remains for remains, _ in tried)
    remains, factor = next(one for one in tried if one[0] <= best + 0.02)
    return factor if remains <= 0.2 * change else None
