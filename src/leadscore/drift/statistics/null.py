"""Exact conditional null distributions of two-sample statistics, sampled in the tail.

Two nulls, both free of the population and of asymptotics. Cells that were fixed beforehand (categories): if
window and reference are draws of one population then, given the pooled counts, the window's are
multivariate hypergeometric. Cells that end at the reference's own quantiles (numbers): the reference's counts
are no random numbers then, but the population's shares are, Dirichlet with the reference's counts as
parameters (uniform spacings, David and Nagaraja 2003 § 2), so the window's counts, given the reference and
the windows without drift before, are Dirichlet-multinomial. Taking the first for the second would alarm 3 %
too often at 5,000 reference and 100 window rows. Critical values of a false-alarm budget lie at
probabilities of 1e-3 to 1e-7, where plain sampling sees nothing: draws come from a mixture that reaches
there (Dirichlet-multinomial draws are overdispersed in all directions, tilted ones in the direction of a
shift) and carry the ratio of both probabilities as weight, with the balance heuristic of Veach and Guibas
(1995). Both probabilities are closed forms, so the weights are exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import special

from leadscore.drift.statistics.distances import Counts, Floats, rank_scores

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

    def critical_value(self, level: float) -> tuple[float, float]:
        """Smallest value whose tail is at most `level`, and that tail.

        (inf, 0) if no value is rare enough.
        """
        rare = int(np.searchsorted(-self.tail, -level))
        if rare == len(self.tail):
            return math.inf, 0.0
        return float(self.values[rare]), float(self.tail[rare])

    def achieved(self, level: float) -> float:
        """P(p-value <= level): at most `level`, less where the statistic is discrete."""
        return self.critical_value(level)[1]


@dataclass(frozen=True, slots=True, eq=False)
class CellsNull:
    """Weighted draws of the window's counts under no change.

    Attributes:
        window: Counts per draw (draws, cells), int64.
        reference: What each is compared with (draws, cells), or the same for all (1, cells).
        weights: Of each draw; they sum to about 1 (draws,).
    """

    window: Counts
    reference: Counts
    weights: Floats

    def g(self) -> Tail:
        """Of `statistics.g_statistic`."""
        n, m = float(self.reference[0].sum()), float(self.window[0].sum())
        pooled = self.window + self.reference
        cells = special.xlogy(self.window, self.window) + special.xlogy(self.reference, self.reference)
        margins = special.xlogy(n, n) + special.xlogy(m, m) - special.xlogy(n + m, n + m)
        total = (cells - special.xlogy(pooled, pooled)).sum(axis=1)
        return Tail.of(np.maximum(0.0, 2.0 * (total - margins)), self.weights)

    def shift(self) -> Tail:
        """Of the absolute value of `statistics.rank_sum`."""
        n, m = int(self.reference[0].sum()), int(self.window[0].sum())
        pooled = self.window + self.reference
        centred = np.cumsum(pooled, axis=1) - pooled / 2 - (n + m) / 2
        spread = np.sqrt((centred**2 * pooled).sum(axis=1) / (n + m))
        # All rows in one cell: there is no rank to speak of.
        sums = (self.window * centred).sum(axis=1) / np.where(spread > 0, spread, 1.0)
        return Tail.of(np.abs(sums) / math.sqrt(m * n / (n + m - 1)), self.weights)


def sample_cells(
    reference: Counts,
    window: Counts,
    rng: np.random.Generator,
    *,
    ordered: bool,
    quantile_bins: bool = False,
    effort: int = 1,
) -> CellsNull | None:
    """Draws of the null of two samples over the same cells; None if there is nothing that could differ.

    Args:
        reference: Counts (cells,).
        window: Counts (cells,).
        rng: Source of the draws: the same seed gives the same critical values.
        ordered: Also reach into the tails of a shift along the cells' order.
        quantile_bins: The cells end at quantiles of the reference (rows that it has gained since do not
            matter).
        effort: Times the usual number of draws, whose error of a tail probability is a tenth of it.
    """
    n, m = int(reference.sum()), int(window.sum())
    used = (reference + window) > 0
    reference, window = reference[used], window[used]
    if n == 0 or m == 0 or len(reference) < 2:
        return None
    if quantile_bins:
        # A cell that the reference lost (none is empty at first) keeps half a row: shares must be possible.
        concentrations = np.maximum(reference, 0.5)
        total = float(concentrations.sum())
        null = _Null(m, concentrations / total, (total + m) / (total + 1), total)
        draws, proposal = _propose(null, rng, effort=effort, ordered=ordered)
        weights = np.exp(_log_proposal(draws, null.shares, total, m) + special.gammaln(m + 1) - proposal)
        return CellsNull(window=draws, reference=reference[None, :], weights=weights / len(draws))
    pooled = reference + window
    size = min(n, m)
    # Drawing without replacement varies by this factor less than a multinomial.
    null = _Null(size, pooled / (n + m), (n + m - size) / max(n + m - 1, 1), None)
    draws, proposal = _propose(null, rng, effort=effort, ordered=ordered)
    fits = np.asarray((draws <= pooled).all(axis=1))
    draws, proposal = draws[fits], proposal[fits]
    # The largest ratio is bounded by the mixture's part near the null, so no weight can run away.
    weights = np.exp(_log_hypergeometric(pooled, draws, size) - proposal) / len(fits)
    rest = pooled - draws
    return CellsNull(window=draws if m <= n else rest, reference=rest if m <= n else draws, weights=weights)


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


@dataclass(frozen=True, slots=True, eq=False)
class _Null:
    """What draws are proposed around.

    Attributes:
        size: Rows drawn.
        shares: Mean share of each cell (cells,).
        dispersion: Variance relative to a multinomial's.
        concentration: Of the Dirichlet-multinomial, None for a hypergeometric null.
    """

    size: int
    shares: Floats
    dispersion: float
    concentration: float | None


def _propose(null: _Null, rng: np.random.Generator, *, effort: int, ordered: bool) -> tuple[Counts, Floats]:
    """Draws of the mixture and the log of their mixture probability.

    The factor 1 / prod n! is left out, as it cancels.
    """
    parts: list[tuple[Floats, float | None, int]] = [
        (null.shares, _concentration(null.size, relative * null.dispersion), _DRAWS * effort)
        for relative in _DISPERSIONS
    ]
    if ordered:
        scores = rank_scores(np.maximum(1, np.round(null.shares * 1e9)).astype(np.int64))
        parts += [(_tilted(null, scores, z), null.concentration, _TILTED_DRAWS * effort) for z in _SHIFTS]
    draws = np.concatenate([_draw(null.size, *part, rng) for part in parts])
    weights = np.array([count for _, _, count in parts]) / len(draws)
    logs = [_log_proposal(draws, shares, concentration, null.size) for shares, concentration, _ in parts]
    mixture = special.logsumexp(np.stack(logs, axis=1), axis=1, b=weights)
    return draws, mixture + special.gammaln(null.size + 1)


def _draw(
    size: int, shares: Floats, concentration: float | None, count: int, rng: np.random.Generator
) -> Counts:
    if concentration is None:
        return rng.multinomial(size, shares, count)
    gammas = np.maximum(rng.standard_gamma(concentration * shares, (count, len(shares))), 1e-300)
    return rng.multinomial(size, gammas / gammas.sum(axis=1, keepdims=True))


def _concentration(size: int, dispersion: float) -> float | None:
    """Dirichlet concentration whose multinomial is so much overdispersed; None for a plain multinomial."""
    dispersion = min(dispersion, (size + 1) / 2)
    return None if dispersion <= 1.0 + 1e-9 else (size - dispersion) / (dispersion - 1.0)


def _tilted(null: _Null, scores: Floats, z: float) -> Floats:
    tilt = np.clip(z * math.sqrt(null.dispersion / null.size), -3.0, 3.0)
    weights = null.shares * np.exp(tilt * np.clip(scores, -5.0, 5.0))
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
