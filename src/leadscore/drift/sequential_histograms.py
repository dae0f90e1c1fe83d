"""QT-EWMA: histograms of a stream, averaged with fading memory, compared with those of the reference.

Frittoli, Carrera & Boracchi (2021): bins hold equal shares of the reference (for one feature QuantTree's bins are
its quantile bins), an exponentially weighted mean of each window's bin shares is compared with the reference's by
Pearson's statistic, and the alarm levels depend on counts alone, so they hold whatever the feature's distribution.
Three things are ours: rows come in windows; several memories are watched at once, a short one for leaps and a long
one for creeping change; and each feature's statistic is read on its chi-square scale, so that features with few
and many bins share one level and the chart speaks with its most surprising feature.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc

from leadscore.drift.sequential import Floats, Rows
from leadscore.errors import BadInputError
from leadscore.scoring.profile import FeatureProfile, ReferenceProfile

MEMORIES: Final = (0.05, 0.2, 1.0)

# Jeffreys' half lead per bin: a category that the reference never had is improbable, not impossible.
_HALF: Final = 0.5
_LEAST: Final = 1e-300


class Histogram(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One feature's reference as the chart sees it.

    Attributes:
        name: Of the feature; `score` for the model's probability.
        cells: For each count that a window brings (bins or categories, then missing), the bin it falls into.
        counts: Reference rows per bin.
    """

    name: str
    cells: tuple[int, ...]
    counts: tuple[int, ...]


def histograms_of(profile: ReferenceProfile, window_rows: int) -> tuple[Histogram, ...]:
    """The chart's histograms: every feature with its missing values, and the score last.

    Cells that a window expects less than one row of are counted together: their sum is watched.
    """
    features = tuple(_histogram(f.name, cells_of(f), window_rows) for f in profile.features)
    return (*features, _histogram("score", profile.score_counts, window_rows))


def cells_of(feature: FeatureProfile) -> tuple[int, ...]:
    """A feature's reference counts in the order in which windows bring theirs: bins, then missing."""
    return (*feature.counts, feature.missing)


def _histogram(name: str, counts: Sequence[int], window_rows: int) -> Histogram:
    total = sum(counts)
    rare = [count * window_rows < total for count in counts]
    frequent = [i for i, few in enumerate(rare) if not few]
    place = {cell: i for i, cell in enumerate(frequent)}
    cells = tuple(place.get(i, len(frequent)) for i in range(len(counts)))
    merged = np.bincount(cells, weights=counts, minlength=len(frequent) + any(rare))
    return Histogram(name, cells, tuple(int(c) for c in merged))


class Layout:
    """Where each histogram's bins are in one flat row, and the reference's shares.

    Args:
        histograms: With at least two bins each, or the feature cannot change and is left out of the maximum.
        memories: Weights of the newest window, each within (0, 1].
    """

    def __init__(self, histograms: Sequence[Histogram], memories: Sequence[float]) -> None:
        if not histograms or not memories or not all(0.0 < m <= 1.0 for m in memories):
            raise BadInputError(
                "A chart needs at least one histogram, and memories above 0 and up to 1.",
                hint=f"The usual memories are {MEMORIES}.",
            )
        self.names = tuple(h.name for h in histograms)
        sizes = [len(h.counts) for h in histograms]
        self.offsets = np.concatenate([[0], np.cumsum(sizes)])
        self.slices = tuple(
            slice(int(a), int(b)) for a, b in zip(self.offsets, self.offsets[1:], strict=False)
        )
        self.freedom = np.maximum(np.array(sizes) - 1, 1)
        self.counts = np.concatenate([np.array(h.counts, dtype=np.float64) for h in histograms])
        self.reference_rows = float(sum(histograms[0].counts))
        self.shares = np.concatenate(
            [
                (self.counts[s] + _HALF) / (self.counts[s].sum() + _HALF * (s.stop - s.start))
                for s in self.slices
            ]
        )
        self.memories = np.array(memories)

    def noise(self, spread: Floats) -> Floats:
        """Variance of a mean bin share over p(1-p): of the windows' part `spread`, plus the reference's."""
        return spread + 1.0 / self.reference_rows

    def surprise(self, means: Floats, spread: Floats) -> Floats:
        """-log p of each memory and histogram, (..., memories, histograms), of means (..., memories, bins)."""
        squares = (means - self.shares) ** 2 / self.shares
        pearson = np.add.reduceat(squares, self.offsets[:-1], axis=-1)
        return -np.log(np.maximum(chdtrc(self.freedom, pearson / self.noise(spread)[:, None]), _LEAST))


class HistogramPaths:
    """Streams without change whose chart is simulated: their truth is drawn from what the reference leaves open.

    The reference is finite, so the truth behind it is not its shares but a draw from their posterior (Dirichlet
    with half a lead per bin; for quantile bins of a continuous feature the spacings of order statistics are
    Dirichlet as well). Features are drawn independently, which makes the level of correlated ones a little too
    high: fewer false alarms than asked for, never more.

    Args:
        layout: The chart.
        window_rows: Rows per window.
        size: Streams.
        rng: Source of the truths.
    """

    def __init__(self, layout: Layout, window_rows: int, size: int, rng: np.random.Generator) -> None:
        self.layout, self.window_rows = layout, window_rows
        gamma = rng.standard_gamma(layout.counts + _HALF, (size, len(layout.counts)))
        self.truth = np.concatenate(
            [gamma[:, s] / gamma[:, s].sum(axis=1, keepdims=True) for s in layout.slices], axis=1
        )
        self.means = np.broadcast_to(layout.shares, (size, len(layout.memories), len(layout.shares))).copy()
        self.spread = np.zeros(len(layout.memories))

    def step(self, rng: np.random.Generator) -> Floats:
        """Largest surprise of each stream after one more window, (streams,)."""
        window = np.concatenate(
            [rng.multinomial(self.window_rows, self.truth[:, s]) for s in self.layout.slices], axis=1
        )
        self.means, self.spread = faded(
            self.means, self.spread, window / self.window_rows, self.window_rows, self.layout.memories
        )
        return self.layout.surprise(self.means, self.spread).max(axis=(1, 2))

    def take(self, rows: Rows) -> None:
        """Make stream i a copy of stream rows[i]."""
        self.truth, self.means = self.truth[rows], self.means[rows]


def faded(
    means: Floats, spread: Floats, shares: Floats, rows: int, memories: npt.NDArray[np.float64]
) -> tuple[Floats, Floats]:
    """Means and their variance factors after a window.

    Args:
        means: Before, (..., memories, bins).
        spread: Sum of squared weights over rows, (memories,).
        shares: The window's bin shares, (..., bins).
        rows: Rows of the window.
        memories: Weight of the newest window, (memories,).
    """
    weight = memories[:, None]
    mixed = means + weight * (shares[..., None, :] - means)
    return mixed, (1 - memories) ** 2 * spread + memories**2 / rows
