"""Estimate the model's performance before outcomes are known.

CBPE (confidence-based performance estimation; NannyML): if the probabilities are calibrated, a lead with
probability p is a positive with weight p and a negative with weight 1 - p, so the AUC of a window follows
from its probabilities alone. It sees covariate shift; it cannot see concept drift, which breaks the very
calibration that it rests on. The interval says how far the realised AUC may lie from the estimate by chance
and by what is not known about the calibration, never by concept drift.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from leadscore.drift.statistics.odds import EDGE, log_odds
from leadscore.errors import BadInputError
from leadscore.intervals import Estimate, Floats, auc_of_counts, placements
from leadscore.reliability import CalibrationBin

_LEAST_ROWS = 20
_DRAWS = 200


class ExpectedPerformance(msgspec.Struct, frozen=True, kw_only=True):
    """The expected performance.

    Attributes:
        rows: Leads.
        auc: Expected AUC, and the interval in which the realised one should lie.
        conversion_rate: Expected share of conversions, with its interval.
        confidence: Of the intervals.
    """

    rows: int
    auc: Estimate
    conversion_rate: Estimate
    confidence: float


def expected_performance(
    probabilities: Floats,
    *,
    reliability: Sequence[CalibrationBin] = (),
    confidence: float = 0.95,
    draws: int = _DRAWS,
    seed: int = 0,
) -> ExpectedPerformance:
    """Label-free estimate of AUC and conversion rate.

    Args:
        probabilities: Of the window's leads (n,).
        reliability: The bins of the model's hold-out: in each, chance alone leaves open how often such leads
            convert (Beta with Jeffreys' prior); the interval takes it in. Without them, calibration is taken
            as certain.
        confidence: Of the intervals.
        draws: Simulated outcomes of the window.
        seed: Of the simulation.

    Raises:
        BadInputError: Fewer than 20 leads, or something that is not a probability.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    if len(p) < _LEAST_ROWS or not bool(((p >= 0) & (p <= 1)).all()):
        raise BadInputError(
            f"An estimate of AUC needs {_LEAST_ROWS} probabilities between 0 and 1; "
            f"there are {len(p)} values."
        )
    rng = np.random.default_rng(seed)
    truths = _truths(p, reliability, draws, rng)
    aucs, rates = np.empty(draws), np.empty(draws)
    for index, truth in enumerate(truths):
        converted = rng.random(len(p)) < truth
        rates[index] = converted.mean()
        aucs[index] = placements(converted, p)[0] if 0 < converted.sum() < len(p) else np.nan
    return ExpectedPerformance(
        rows=len(p),
        auc=_around(expected_auc(p), aucs, confidence),
        conversion_rate=_around(float(p.mean()), rates, confidence),
        confidence=confidence,
    )


def expected_from_bins(
    leads: npt.NDArray[np.integer],
    sum_probability: Floats,
    sum_variance: Floats,
    *,
    reliability: Sequence[CalibrationBin] = (),
    confidence: float = 0.95,
    draws: int = _DRAWS,
    seed: int = 0,
) -> ExpectedPerformance | None:
    """The same of leads that are known by bin only, bins by rising probability.

    Args:
        leads: Per bin.
        sum_probability: Of p, per bin.
        sum_variance: Of p (1 - p), per bin: what a lead would be worth as a pair with itself.
        reliability: As `expected_performance`.
        confidence: Of the intervals.
        draws: Simulated outcomes.
        seed: Of the simulation.

    Returns:
        The estimate; None for fewer than 20 leads.
    """
    n, won, self_pairs = (np.asarray(a, dtype=np.float64) for a in (leads, sum_probability, sum_variance))
    total = float(n.sum())
    if total < _LEAST_ROWS:
        return None
    lost = n - won
    filled = n > 0
    rng = np.random.default_rng(seed)
    aucs, rates = np.empty(draws), np.empty(draws)
    for index, truth in enumerate(_truths(won[filled] / n[filled], reliability, draws, rng)):
        converted = rng.binomial(n[filled].astype(np.int64), truth)
        found = auc_of_counts(converted, n[filled].astype(np.int64) - converted)
        aucs[index] = np.nan if found is None else found[0].value
        rates[index] = converted.sum() / total
    pairs = float(won.sum() * lost.sum() - self_pairs.sum())
    concordant = float(won @ (np.cumsum(lost) - lost / 2) - self_pairs.sum() / 2)
    return ExpectedPerformance(
        rows=int(total),
        auc=_around(concordant / pairs if pairs > 0 else 0.5, aucs, confidence),
        conversion_rate=_around(float(won.sum()) / total, rates, confidence),
        confidence=confidence,
    )


def expected_auc(probabilities: Floats) -> float:
    """AUC of leads that convert with exactly their probability; 0.5 where all are alike or certain.

    The ratio of expected concordant pairs to expected pairs over all pairs of different leads; ties count
    half.
    """
    p = np.sort(probabilities)
    _, start, count = np.unique(p, return_index=True, return_counts=True)
    group = np.repeat(np.arange(len(start)), count)
    negative = 1.0 - p
    below = np.concatenate([[0.0], np.cumsum(negative)])[start][group]
    tied = np.add.reduceat(negative, start)[group] - negative
    pairs = float(p @ (negative.sum() - negative))
    return float(p @ (below + tied / 2)) / pairs if pairs > 0 else 0.5


def _truths(
    p: Floats, bins: Sequence[CalibrationBin], draws: int, rng: np.random.Generator
) -> Iterator[Floats]:
    """Draws of each lead's true probability (n,): its own moved as its bin's observed rate may be off.

    The move is on the log-odds and centred on the bin's mean prediction, interpolated between bins.
    """
    if not bins:
        yield from (p for _ in range(draws))
        return
    leads = np.array([b.leads for b in bins], dtype=np.float64)
    said = np.clip(np.array([b.predicted for b in bins]), EDGE, 1 - EDGE)
    won = np.array([b.observed for b in bins]) * leads
    rate = rng.beta(won + 0.5, leads - won + 0.5, (draws, len(bins)))
    moved = log_odds(rate) - log_odds(said)
    order = np.argsort(said)
    logit = log_odds(p)
    for move in moved:
        yield 1.0 / (1.0 + np.exp(-(logit + np.interp(p, said[order], move[order]))))


def _around(value: float, draws: Floats, confidence: float) -> Estimate:
    kept = draws[np.isfinite(draws)]
    if len(kept) == 0:
        return Estimate(value, 0.0, 1.0)
    low, high = np.quantile(kept, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Estimate(value, min(value, float(low)), max(value, float(high)))
