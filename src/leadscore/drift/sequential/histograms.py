"""QT-EWMA: histograms of a stream, averaged with fading memory, compared with those of the reference.

Frittoli, Carrera & Boracchi (2021): bins hold equal shares of the reference (for one feature QuantTree's
bins are its quantile bins), an exponentially weighted mean of each window's bin shares is compared with
the reference's by Pearson's statistic, and the alarm levels depend on counts alone, so they hold whatever
the feature's distribution. Four things are ours: rows come in windows; several memories are watched at
once, a short one for leaps and a long one for creeping change; besides the shape of a histogram its mean
rank, its missing values and its rare and unseen cells are tested by themselves, since a change of one
share drowns among many bins; and every test is read on its own -log p scale, so that all of them share one
level and the chart answers with its most surprising test.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Final, Literal

import msgspec
import numpy as np
import numpy.typing as npt
from scipy.special import betainc, chdtrc

from leadscore.drift.sequential.boundary import Floats, StreamNumbers
from leadscore.errors import BadInputError
from leadscore.scoring.profile import ReferenceProfile, comparable_cells, feature_cells

HistogramTestKind = Literal["shape", "shift", "missing", "rare", "unseen"]

MEMORIES: Final = (0.05, 0.2, 1.0)

# Jeffreys' half lead per cell: a category that the reference never had is improbable, not impossible.
HALF: Final = 0.5
_LEAST: Final = 1e-300
# Cells that a window expects fewer rows of are too rare for Pearson's statistic.
_RARE: Final = 0.25
EXCESS: Final = frozenset(("rare", "unseen"))


class HistogramTest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One test of a histogram.

    Attributes:
        kind: `shape` (all frequent cells) and `missing` (against present): by Pearson's statistic; `shift`:
            by the mean rank of the bins (Wilcoxon's scores, of which median's, lower against upper half, lose
            a third of the information about a moved normal feature); `rare` and `unseen`: more rows than
            expected in cells that the reference has few or none of, by the tail of the negative binomial.
        groups: For each cell its group, -1 for cells that are not tested.
    """

    kind: HistogramTestKind
    groups: tuple[int, ...]


class Histogram(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One feature's reference as the chart sees it.

    Attributes:
        name: Of the feature; `score` for the model's probability.
        counts: Reference rows per cell: bins or categories, then missing.
        tests: How it is tested.
    """

    name: str
    counts: tuple[int, ...]
    tests: tuple[HistogramTest, ...] = msgspec.field(name="looks")


def histograms_of(profile: ReferenceProfile, window_rows: int) -> tuple[Histogram, ...]:
    """The chart's histograms: every feature with its missing values as the last cell, and the score last."""
    features = tuple(
        make_histogram(
            f.name,
            comparable_cells(f.kind, f.counts, f.missing),
            window_rows,
            ordered=f.kind == "numeric",
            missing=True,
        )
        for f in profile.features
    )
    return (*features, make_histogram("score", profile.score_counts, window_rows, ordered=True))


def cell_codes(
    profile: ReferenceProfile, matrix: npt.NDArray[np.float32], probabilities: Floats
) -> StreamNumbers:
    """Cell of each lead in each of `histograms_of`'s histograms, (rows, histograms).

    Args:
        profile: Whose bins and categories they are.
        matrix: Encoded leads (rows, features).
        probabilities: Their scores (rows,).
    """
    columns = [
        feature_cells(feature, np.array(feature.edges), matrix[:, i])
        for i, feature in enumerate(profile.features)
    ]
    scores = np.searchsorted(profile.score_edges, probabilities, side="right")
    return np.stack([*columns, scores], axis=1).astype(np.intp)


def make_histogram(
    name: str, counts: Sequence[int], window_rows: int, *, ordered: bool, missing: bool = False
) -> Histogram:
    """Make a histogram with every test that its cells allow.

    Args:
        name: Of the feature.
        counts: Reference rows per cell.
        window_rows: Rows that a window usually has.
        ordered: Cells (but a last one for missing) are bins of a number, in order.
        missing: The last cell counts missing values.
    """
    total = sum(counts)
    frequent = [count * window_rows >= _RARE * total for count in counts]
    place = {cell: i for i, cell in enumerate(c for c, often in enumerate(frequent) if often)}
    tests: list[HistogramTest] = []
    if len(place) > 1:
        tests.append(HistogramTest("shape", tuple(place.get(i, -1) for i in range(len(counts)))))
    bins = len(counts) - missing
    if ordered and bins > 2:
        tests.append(HistogramTest("shift", (*(0,) * bins, -1)[: len(counts)]))
    if missing and frequent[-1] and len(place) > 2:
        tests.append(HistogramTest("missing", (*(0,) * bins, 1)))
    rare = tuple(0 if count and not often else -1 for count, often in zip(counts, frequent, strict=True))
    unseen = tuple(-1 if count else 0 for count in counts)
    tests += [
        test for test in (HistogramTest("rare", rare), HistogramTest("unseen", unseen)) if 0 in test.groups
    ]
    return Histogram(name, tuple(counts), tuple(tests))


class HistogramLayout:
    """Where each histogram's cells and tests are in flat rows, and the reference's shares.

    Args:
        histograms: With at least one test each.
        memories: Weights of the newest window, each within (0, 1].
    """

    def __init__(self, histograms: Sequence[Histogram], memories: Sequence[float]) -> None:
        if not histograms or not memories or not all(0.0 < m <= 1.0 for m in memories):
            raise BadInputError(
                "A chart needs at least one histogram, and memories above 0 and up to 1.",
                hint=f"The usual memories are {MEMORIES}.",
            )
        edges = np.concatenate([[0], np.cumsum([len(h.counts) for h in histograms])])
        self.slices = tuple(slice(int(a), int(b)) for a, b in itertools.pairwise(edges))
        self.counts = np.concatenate([np.array(h.counts, dtype=np.float64) for h in histograms])
        self.reference_rows = float(sum(histograms[0].counts))
        self.shares = np.concatenate(
            [
                (self.counts[s] + HALF) / (self.counts[s].sum() + HALF * (s.stop - s.start))
                for s in self.slices
            ]
        )
        # Of the Dirichlet posterior of the true shares.
        self.weights = np.concatenate([_posterior(self.counts[s]) for s in self.slices])
        self.memories = np.array(memories)
        self.tests = tuple((i, test) for i, h in enumerate(histograms) for test in h.tests)
        self._grouping = tuple(_grouping(h) for h in histograms)
        sizes = [max(test.groups) + 1 for _, test in self.tests]
        self._starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.intp)
        self._freedom = np.maximum(np.array(sizes) - 1, 1)
        self._expected = self._grouped(self.shares)
        # A mean rank has variance 1 per row and no share of its own to be measured by.
        moved = np.repeat([test.kind == "shift" for _, test in self.tests], sizes)
        self._scale = np.where(moved, 1.0, self._expected)
        self._excess = np.flatnonzero([test.kind in EXCESS for _, test in self.tests])
        held = self._grouped(self.counts)[self._starts[self._excess]]
        # Rare cells are few in the reference: what it leaves open about them is not normal.
        self._successes = held + HALF
        ordinary = np.setdiff1d(np.arange(len(self.tests)), self._excess)
        self._alike = _same(self._freedom[ordinary], ordinary)
        self._alike_excess = _same(self._successes, np.arange(len(self._excess)))

    def surprise(self, means: Floats, spread: Floats) -> Floats:
        """-log p of each memory and test, (..., memories, tests), of means (..., memories, cells).

        Args:
            means: Faded cell shares.
            spread: Sum of squared weights over rows, (..., memories): a share p then varies by p(1-p) times
                that, and the reference's own by p(1-p) over its rows.
        """
        pearson, seen = self._read(means, spread)
        p_value = chdtrc(self._freedom, pearson)
        p_value[..., self._excess] = self._rarer(seen, spread, self._successes)
        return _surprise(p_value)

    def loudest(self, means: Floats, spread: Floats) -> Floats:
        """Largest of `surprise` over memories and tests, (...), for a fraction of its cost.

        p-values fall as the statistic rises, so among tests of the same degrees of freedom, or of as many
        reference rows, only the largest statistic is turned into one.
        """
        pearson, seen = self._read(means, spread)
        p_value = np.ones(means.shape[:-2])
        for freedom, tests in self._alike:
            np.minimum(p_value, chdtrc(freedom, pearson[..., tests].max(axis=(-1, -2))), out=p_value)
        for successes, tests in self._alike_excess:
            rarest = self._rarer(seen[..., tests].max(axis=-1, keepdims=True), spread, successes)
            np.minimum(p_value, rarest.min(axis=(-1, -2)), out=p_value)
        return _surprise(p_value)

    def _read(self, means: Floats, spread: Floats) -> tuple[Floats, Floats]:
        """Pearson's statistics over their noise of all evaluations.

        Rows in the cells of those that count rare ones.
        """
        grouped = self._grouped(means)
        squares = (grouped - self._expected) ** 2 / self._scale
        noise = (spread + 1.0 / self.reference_rows)[..., None]
        seen = grouped[..., self._starts[self._excess]] / spread[..., None]
        return np.add.reduceat(squares, self._starts, axis=-1) / noise, seen

    def _rarer(self, seen: Floats, spread: Floats, successes: Floats | float) -> Floats:
        """Chance of at least so many rows in rare cells, given what the reference holds of them."""
        rows = (1.0 / spread)[..., None]
        return betainc(np.maximum(seen, 1e-9), successes, rows / (rows + self.reference_rows))

    def distances(self, means: Floats) -> Floats:
        """Chi-square distance, sum (z - p)^2 / p, of means (cells,) of each histogram (histograms,)."""
        squares = (means - self.shares) ** 2 / self.shares
        return np.array([float(squares[piece].sum()) for piece in self.slices])

    def _grouped(self, cells: Floats) -> Floats:
        parts = [cells[..., s] @ g for s, g in zip(self.slices, self._grouping, strict=True)]
        return np.concatenate(parts, axis=-1)


class HistogramPaths:
    """Streams without change whose chart is simulated.

    Their truth is drawn from what the reference leaves open.

    The reference is finite, so the truth behind it is not its shares but a draw from their posterior
    (Dirichlet; for quantile bins of a continuous feature the spacings of order statistics are Dirichlet as
    well). Features are drawn independently, which makes the level of correlated ones too high: fewer false
    alarms than asked for. `sample` draws them as they hang together.

    Args:
        layout: The chart.
        window_rows: Rows per window.
        size: Streams.
        rng: Source of the truths.
    """

    def __init__(
        self, layout: HistogramLayout, window_rows: int, size: int, rng: np.random.Generator
    ) -> None:
        self.layout, self.window_rows = layout, window_rows
        gamma = rng.standard_gamma(layout.weights, (size, len(layout.counts)))
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
        return self.layout.loudest(self.means, self.spread)

    def take(self, rows: StreamNumbers) -> None:
        """Make stream i a copy of stream rows[i]."""
        self.truth, self.means = self.truth[rows], self.means[rows]


def faded(
    means: Floats, spread: Floats, shares: Floats, rows: int, memories: npt.NDArray[np.float64]
) -> tuple[Floats, Floats]:
    """Means and their variance factors after a window.

    Args:
        means: Before, (..., memories, cells).
        spread: Sum of squared weights over rows, (memories,).
        shares: The window's cell shares, (..., cells).
        rows: Rows of the window.
        memories: Weight of the newest window, (memories,).
    """
    mixed = means + memories[:, None] * (shares[..., None, :] - means)
    return mixed, (1 - memories) ** 2 * spread + memories**2 / rows


def _posterior(counts: Floats) -> Floats:
    """Dirichlet weights of a histogram's true shares.

    Jeffreys' half lead for cells that the reference has leads in.

    Cells without any share what Good (1953) and Turing give to all that was never seen: as many leads as
    there are cells with exactly one. Half a lead for each of them would be too much: a contract has several
    cells per feature that never occur, and in the simulation their first leads would be most of the alarms.
    """
    never = counts == 0
    unseen = float((counts == 1).sum()) / max(int(never.sum()), 1)
    return np.where(never, unseen, counts + HALF)


def _surprise(p_value: Floats) -> Floats:
    """-log p. Values that differ by rounding alone are one value: one that equals its level is no alarm."""
    surprise: Floats = -np.log(np.maximum(p_value, _LEAST))
    return surprise.round(9)


def _same(values: npt.NDArray[np.generic], places: StreamNumbers) -> list[tuple[float, StreamNumbers]]:
    """Each distinct value with the places that have it."""
    return [(float(value), places[values == value]) for value in np.unique(values)]


def _grouping(histogram: Histogram) -> Floats:
    """Cells to groups of all evaluations as a matrix of zeros and ones, (cells, groups)."""
    if not histogram.tests:
        raise BadInputError(f"The histogram of {histogram.name!r} has no test: it cannot change.")
    parts: list[Floats] = []
    for test in histogram.tests:
        part = np.zeros((len(histogram.counts), max(test.groups) + 1))
        for cell, group in enumerate(test.groups):
            if group >= 0:
                part[cell, group] = 1.0
        parts.append(_ranks(histogram, part) if test.kind == "shift" else part)
    return np.concatenate(parts, axis=1)


def _ranks(histogram: Histogram, chosen: Floats) -> Floats:
    """Midranks of the chosen cells, (cells, 1), of mean 0 and such that a lead's has variance 1.

    0 for the others.
    """
    counts = (np.array(histogram.counts) + HALF)[:, None]
    held = counts * chosen
    ranks = chosen * (np.cumsum(held, axis=0) - held / 2 - held.sum() / 2)
    return ranks / np.sqrt((counts * ranks**2).sum() / counts.sum())
