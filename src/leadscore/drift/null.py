"""What a two-sample statistic does when nothing has changed: its exact conditional null, sampled in the tail.

If window and reference are draws of one population then, given the pooled counts, the window's counts are
multivariate hypergeometric, whatever the population is. That null needs no asymptotics, knows both sample sizes,
and holds for rare categories and small windows. Cuts of a false-alarm budget lie at probabilities of 1e-3 to 1e-7,
where plain sampling sees nothing: draws come from a mixture that reaches there (Dirichlet-multinomial draws are
overdispersed in all directions, tilted ones in the direction of a shift) and carry the ratio of both probabilities as
weight, with the balance heuristic of Veach and Guibas (1995). Both probabilities are closed forms, so the weights
are exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import special

from leadscore.drift.statistics import Counts, Floats, rank_scores

_DRAWS: Final = 350
_TILTED_DRAWS: Final = 150
# Dispersion of the draws relative to the null, and how many standard deviations they are shifted.
_DISPERSIONS: Final = (1.0, 2.5, 5.0, 9.0)
_SHIFTS: Final = (-5.0, -3.5, -2.0, 2.0, 3.5, 5.0)
# Hits within so many standard deviations are enumerated, and at least so many to either side.
_SUPPORT: Final = 12.0
_LEAST_SUPPORT: Final = 60


@dataclass(frozen=True, slots=True, eq=False)
class Tail:
    """Null distribution of a statistic that grows with the evidence.

    Attributes:
        values: Distinct values, increasing (v,).
        tail: P(statistic >= value) of each (v,).
    """

    values: Floats
    tail: Floats

    @classmethod
    def of(cls, statistic: Floats, weights: Floats) -> Tail:
        """From draws and their weights; `weights` sum to the probability that they represent."""
        # Values that differ by rounding alone are one value: a tie must count as "at least as large".
        values, inverse = np.unique(np.round(statistic, 9), return_inverse=True)
        mass = np.bincount(inverse, weights=weights, minlength=len(values))
        return cls(values, np.minimum(1.0, np.cumsum(mass[::-1])[::-1]))

    def p_value(self, statistic: float) -> float:
        """P(statistic >= this), never 0: beyond the last draw it is that draw's."""
        if len(self.values) == 0:
            return 1.0
        index = int(np.searchsorted(self.values, round(statistic, 9) - 2e-9))
        return float(max(self.tail[min(index, len(self.tail) - 1)], 1e-300))

    def cut(self, level: float) -> tuple[float, float]:
        """Smallest value whose tail is at most `level`, and that tail: (inf, 0) if no value is rare enough."""
        rare = int(np.searchsorted(-self.tail, -level))
        if rare == len(self.tail):
            return math.inf, 0.0
        return float(self.values[rare]), float(self.tail[rare])

    def achieved(self, level: float) -> float:
        """P(p-value <= level): at most `level`, less where the statistic is discrete."""
        return self.cut(level)[1]


@dataclass(frozen=True, slots=True, eq=False)
class CellsNull:
    """Weighted draws of the window's counts given the pooled ones.

    Attributes:
        window: Counts per draw (draws, cells), int64.
        reference: The rest of the pool per draw (draws, cells).
        weights: Of each draw; they sum to about 1 (draws,).
        scores: `rank_scores` of the pool (cells,).
    """

    window: Counts
    reference: Counts
    weights: Floats
    scores: Floats

    def g(self) -> Tail:
        """Of `statistics.g_statistic`."""
        n, m = float(self.reference[0].sum()), float(self.window[0].sum())
        pooled = self.window[0] + self.reference[0]
        constant = special.xlogy(pooled, pooled).sum() + special.xlogy(n, n) + special.xlogy(m, m)
        constant -= special.xlogy(n + m, n + m)
        cells = special.xlogy(self.window, self.window) + special.xlogy(self.reference, self.reference)
        return Tail.of(np.maximum(0.0, 2.0 * (cells.sum(axis=1) - constant)), self.weights)

    def shift(self) -> Tail:
        """Of the absolute value of `statistics.rank_sum`."""
        n, m = int(self.reference[0].sum()), int(self.window[0].sum())
        spread = math.sqrt(m * n / (n + m - 1))
        return Tail.of(np.abs(self.window @ self.scores) / spread, self.weights)


def sample_cells(
    reference: Counts, window: Counts, rng: np.random.Generator, *, ordered: bool, effort: int = 1
) -> CellsNull | None:
    """Draws of the null of two samples over the same cells; None if there is nothing that could differ.

    Args:
        reference: Counts (cells,).
        window: Counts (cells,).
        rng: Source of the draws: the same seed gives the same cuts.
        ordered: Also reach into the tails of a shift along the cells' order.
        effort: Times the usual number of draws, whose error of a tail probability is a tenth of it.
    """
    pooled = reference + window
    used = pooled > 0
    pooled = pooled[used]
    n, m = int(reference.sum()), int(window.sum())
    if n == 0 or m == 0 or len(pooled) < 2:
        return None
    size = min(n, m)
    scores = rank_scores(pooled)
    draws, proposal = _propose(pooled, size, scores if ordered else None, rng, effort)
    fits = np.asarray((draws <= pooled).all(axis=1))
    draws, proposal = draws[fits], proposal[fits]
    log_null = _log_hypergeometric(pooled, draws, size)
    # The largest ratio is bounded by the mixture's part near the null, so no weight can run away.
    weights = np.exp(log_null - proposal) / len(fits)
    rest = pooled - draws
    return CellsNull(
        window=draws if m <= n else rest, reference=rest if m <= n else draws, weights=weights, scores=scores
    )


def rate_null(
    reference_hits: int, reference_rows: int, window_hits: int, window_rows: int, *, both_sides: bool
) -> tuple[Tail, float]:
    """Exact null of a rate, as the tail of -ln(p) of Fisher's test, and that statistic of this window.

    One-sided (only more hits count as evidence) or twice the smaller tail.
    """
    hits = reference_hits + window_hits
    total = reference_rows + window_rows
    if not 0 < hits < total or reference_rows == 0 or window_rows == 0:
        return Tail(np.empty(0), np.empty(0)), 0.0
    lowest, highest = max(0, window_rows - (total - hits)), min(hits, window_rows)
    mean = window_rows * hits / total
    spread = math.sqrt(mean * (1 - hits / total) * max(reference_rows, 1) / max(total - 1, 1))
    reach = max(_LEAST_SUPPORT, math.ceil(_SUPPORT * spread))
    support = np.arange(
        min(max(lowest, math.floor(mean) - reach), window_hits),
        max(min(highest, math.ceil(mean) + reach), window_hits) + 1,
    )
    log_mass = (
        _log_choose(hits, support)
        + _log_choose(total - hits, window_rows - support)
        - _log_choose(total, np.array(window_rows))
    )
    mass = np.exp(log_mass)
    above = np.minimum(1.0, np.cumsum(mass[::-1])[::-1])
    p = np.minimum(1.0, 2.0 * np.minimum(above, np.cumsum(mass))) if both_sides else above
    statistic = -np.log(np.maximum(p, 1e-300))
    return Tail.of(statistic, mass), float(statistic[window_hits - support[0]])


def _propose(
    pooled: Counts, size: int, scores: Floats | None, rng: np.random.Generator, effort: int
) -> tuple[Counts, Floats]:
    """Draws of the mixture and the log of their mixture probability, less the factor 1 / prod n!, which cancels."""
    total = int(pooled.sum())
    shares = pooled / total
    # Drawing without replacement varies by this factor less than a multinomial.
    correction = (total - size) / max(total - 1, 1)
    concentrations = [_concentration(size, relative * correction) for relative in _DISPERSIONS]
    plain = _DRAWS * effort
    draws: list[Counts] = []
    for concentration in concentrations:
        if concentration is None:
            draws.append(rng.multinomial(size, shares, plain))
        else:
            gammas = np.maximum(rng.standard_gamma(concentration * shares, (plain, len(shares))), 1e-300)
            draws.append(rng.multinomial(size, gammas / gammas.sum(axis=1, keepdims=True)))
    tilts = [] if scores is None else [_tilted(shares, scores, z, size, correction) for z in _SHIFTS]
    draws += [rng.multinomial(size, tilt, _TILTED_DRAWS * effort) for tilt in tilts]
    everything = np.concatenate(draws)
    parts = np.array([len(part) for part in draws]) / len(everything)
    logs = [_log_proposal(everything, shares, c, size) for c in concentrations]
    logs += [everything @ np.log(tilt) for tilt in tilts]
    mixture = special.logsumexp(np.stack(logs, axis=1), axis=1, b=parts)
    return everything, mixture + special.gammaln(size + 1)


def _concentration(size: int, dispersion: float) -> float | None:
    """Dirichlet concentration whose multinomial is so much overdispersed; None for a plain multinomial."""
    dispersion = min(dispersion, (size + 1) / 2)
    return None if dispersion <= 1.0 + 1e-9 else (size - dispersion) / (dispersion - 1.0)


def _tilted(shares: Floats, scores: Floats, z: float, size: int, correction: float) -> Floats:
    tilt = np.clip(z * math.sqrt(correction / size), -3.0, 3.0)
    weights = shares * np.exp(tilt * np.clip(scores, -5.0, 5.0))
    return weights / weights.sum()


def _log_proposal(draws: Counts, shares: Floats, concentration: float | None, size: int) -> Floats:
    if concentration is None:
        return draws.astype(np.float64) @ np.log(shares)
    start = concentration * shares
    ratio = (special.gammaln(draws + start) - special.gammaln(start)).sum(axis=1)
    return ratio + special.gammaln(concentration) - special.gammaln(size + concentration)


def _log_hypergeometric(pooled: Counts, draws: Counts, size: int) -> Floats:
    """Log of the multivariate hypergeometric probability, less the factor 1 / prod n! (see `_propose`)."""
    ways = special.gammaln(pooled + 1).sum() - special.gammaln(pooled - draws + 1).sum(axis=1)
    total = int(pooled.sum())
    return ways - special.gammaln(total + 1) + special.gammaln(size + 1) + special.gammaln(total - size + 1)


def _log_choose(n: int, k: npt.NDArray[np.int64]) -> Floats:
    """Log of the binomial coefficient, for 0 <= k <= n."""
    ways: Floats = special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1)
    return ways
