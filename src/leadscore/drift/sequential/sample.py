"""Streams without change, of leads drawn from the reference sample.

Features hang together in them as they do in the sample.

Features that are correlated alarm together: levels simulated for independent ones are too
high for them, and the chart is slower than it has to be. Here a simulated lead is a whole row
of the sample. Two kinds of chance are drawn:

- What the finite reference leaves open. Each stream has a truth of its own, drawn by the Bayesian bootstrap
  (Rubin 1981): rows of the sample get Dirichlet weights, so the truths of features that hang together err
  together. Cells with hardly any reference rows have truths of their own (`HistogramLayout.weights`).
- The leads of each window. Drawing every lead of thousands of streams would take minutes, so a window is put
  together from four blocks of leads, drawn with replacement from a pool of tens of thousands of such blocks.
  The stream's truth is added as a shift of the window's shares; rare cells are drawn binomially with their
  true share, as a shift of a count that is mostly zero would not do.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from leadscore.arrays import Codes
from leadscore.drift.sequential.boundary import Floats, StreamNumbers
from leadscore.drift.sequential.histograms import EXCESS, HistogramLayout, faded
from leadscore.errors import BadInputError

SampleCounts = npt.NDArray[np.int32]

# A row has one cell per feature; more rows than these tell nothing new about how features hang together.
_MOST_ROWS: Final = 10_000
_LEAST_ROWS: Final = 100
_BLOCKS: Final = 4
# Blocks of more rows are put together from smaller blocks themselves.
_DRAWN: Final = 128
# Numbers in a pool: enough blocks that their own chance moves no level, few enough to be drawn in a second.
_POOL: Final = 6_000_000
_POOL_BLOCKS: Final = (16_384, 131_072)
_CHUNK: Final = 2_000_000
# Streams whose numbers stay in the processor's cache from one operation to the next.
_TOGETHER: Final = 200


class SamplePaths:
    """Simulated streams without change, drawn from a sample of the reference.

    Args:
        layout: The chart.
        sample: Cell of each row in each histogram, in the layout's order, (rows, histograms).
        window_rows: Rows per window.
        size: Streams.
        rng: Source of the truths and of the pool of blocks.

    Raises:
        BadInputError: The sample does not fit the chart, or is too small to say how features hang together.
    """

    def __init__(
        self, layout: HistogramLayout, sample: Codes, window_rows: int, size: int, rng: np.random.Generator
    ) -> None:
        cells = flat_cells(layout, sample)
        if len(cells) > _MOST_ROWS:
            cells = cells[rng.choice(len(cells), _MOST_ROWS, replace=False)]
        self.layout, self.window_rows = layout, window_rows
        self._windows = WindowPool(cells, len(layout.shares), window_rows, rng)
        self._rare = rare_cells(layout)
        self._common, self._owners = _common_cells(layout, self._rare)
        truth = drawn_truths(layout, cells, size, rng)
        self._truth_of_rare = truth[:, self._rare]
        self._shift = truth - self._windows.shares
        self.means = np.broadcast_to(layout.shares, (size, len(layout.memories), len(layout.shares))).copy()
        self.spread = np.zeros(len(layout.memories))

    def step(self, rng: np.random.Generator) -> Floats:
        """Largest surprise of each stream after one more window, (streams,)."""
        size, rows = len(self.means), self.window_rows
        statistic, spread = np.empty(size), self.spread
        for at in range(0, size, _TOGETHER):
            piece = slice(at, min(at + _TOGETHER, size))
            shares = self._windows.draw(piece.stop - at, rng) / rows + self._shift[piece]
            rare = rng.binomial(rows, self._truth_of_rare[piece]) / rows
            # What a histogram's rare cells gain is lost by its most frequent one.
            shares[:, self._common] -= (rare - shares[:, self._rare]) @ self._owners
            shares[:, self._rare] = rare
            self.means[piece], spread = faded(
                self.means[piece], self.spread, shares, rows, self.layout.memories
            )
            statistic[piece] = self.layout.loudest(self.means[piece], spread)
        self.spread = spread
        return statistic

    def take(self, rows: StreamNumbers) -> None:
        """Make stream i a copy of stream rows[i]."""
        if len(rows) < len(self.means):
            self.means, self._shift = self.means[rows], self._shift[rows]
            self._truth_of_rare = self._truth_of_rare[rows]
            return
        # Most streams stay what they are: copying all of them would cost as much as a window.
        other = np.flatnonzero(rows != np.arange(len(rows)))
        for values in (self.means, self._shift, self._truth_of_rare):
            values[other] = values[rows[other]]


class WindowPool:
    """Windows of the sample's rows, drawn fast: each is the sum of a few blocks from a pool.

    Args:
        cells: Flat cells of the sample's rows, (rows, histograms).
        width: Number of cells.
        window_rows: Rows per window.
        rng: Source of the pool.

    Attributes:
        shares: Expected shares of the cells: the pool's, which by chance are not quite the sample's.
    """

    def __init__(self, cells: Codes, width: int, window_rows: int, rng: np.random.Generator) -> None:
        self._size = int(np.clip(_POOL // width, *_POOL_BLOCKS))
        self._width = width
        block, rest = divmod(window_rows, _BLOCKS)
        single = np.zeros((len(cells), width), dtype=np.int32)
        np.put_along_axis(single, cells, 1, axis=1)
        self._parts: list[tuple[SampleCounts, int]] = [(single, rest)] if rest else []
        if block:
            self._parts.append((self._pool(cells, single, block, rng), _BLOCKS))
        self.shares = sum(times * pool.mean(axis=0) for pool, times in self._parts) / window_rows

    def draw(self, size: int, rng: np.random.Generator) -> SampleCounts:
        """Rows per cell of so many windows, (size, cells)."""
        return _summed(self._parts, size, rng)

    def _pool(self, cells: Codes, single: SampleCounts, rows: int, rng: np.random.Generator) -> SampleCounts:
        if rows > _DRAWN:
            smaller, rest = divmod(rows, _BLOCKS)
            parts = [(self._pool(cells, single, smaller, rng), _BLOCKS), (single, rest)]
            step = max(1, _CHUNK // self._width)
            return np.concatenate(
                [_summed(parts, min(step, self._size - at), rng) for at in range(0, self._size, step)]
            )
        step = max(1, _CHUNK // (rows * cells.shape[1]))
        made: list[SampleCounts] = []
        for at in range(0, self._size, step):
            count = min(step, self._size - at)
            drawn = cells[rng.integers(0, len(cells), (count, rows))]
            drawn += (np.arange(count) * self._width)[:, None, None]
            counted = np.bincount(drawn.ravel(), minlength=count * self._width)
            made.append(counted.reshape(count, self._width).astype(np.int32))
        return np.concatenate(made)


def _summed(parts: list[tuple[SampleCounts, int]], size: int, rng: np.random.Generator) -> SampleCounts:
    total = np.zeros((size, parts[0][0].shape[1]), dtype=np.int32)
    for pool, times in parts:
        for _ in range(times):
            total += pool[rng.integers(0, len(pool), size)]
    return total


def drawn_truths(layout: HistogramLayout, cells: Codes, size: int, rng: np.random.Generator) -> Floats:
    """Shares of the cells that could be behind the reference, (size, cells).

    Weights of the sample's rows are Dirichlet with as much in all as the reference has rows. Their errors are
    added to the reference's shares, of which the sample may be a part only.
    """
    held = np.zeros((len(cells), len(layout.shares)), dtype=np.float32)
    np.put_along_axis(held, cells, 1.0, axis=1)
    sampled = held.mean(axis=0, dtype=np.float64)
    truth = np.empty((size, len(layout.shares)))
    step = max(1, _CHUNK // len(cells))
    for at in range(0, size, step):
        count = min(step, size - at)
        weights = rng.standard_gamma(layout.reference_rows / len(cells), (count, len(cells)), np.float32)
        weights /= weights.sum(axis=1, keepdims=True)
        truth[at : at + count] = layout.shares + (weights @ held) - sampled
    rare = rare_cells(layout)
    truth[:, rare] = rng.standard_gamma(layout.weights[rare], (size, len(rare))) / layout.reference_rows
    return np.minimum(truth, 1.0)


def rare_cells(layout: HistogramLayout) -> StreamNumbers:
    """Cells that have tests of their own because a window hardly ever has a lead in them."""
    found = [
        layout.slices[owner].start + cell
        for owner, test in layout.tests
        if test.kind in EXCESS
        for cell, group in enumerate(test.groups)
        if group >= 0
    ]
    return np.array(sorted(found), dtype=np.intp)


def _common_cells(layout: HistogramLayout, rare: StreamNumbers) -> tuple[StreamNumbers, Floats]:
    """Most frequent cell of histograms with rare ones, and which rare cell is whose, (rare, histograms)."""
    pieces = [piece for piece in layout.slices if ((rare >= piece.start) & (rare < piece.stop)).any()]
    common = np.array([piece.start + int(layout.counts[piece].argmax()) for piece in pieces], dtype=np.intp)
    owners = [(rare >= piece.start) & (rare < piece.stop) for piece in pieces]
    return common, np.array(owners, dtype=np.float64).reshape(len(pieces), len(rare)).T


def flat_cells(layout: HistogramLayout, sample: Codes) -> Codes:
    """The sample's cells as places in the layout's flat rows, (rows, histograms).

    Raises:
        BadInputError: The sample does not fit the chart, or has fewer than 100 rows.
    """
    widths = np.array([s.stop - s.start for s in layout.slices])
    if sample.ndim != 2 or sample.shape[1] != len(widths) or len(sample) < _LEAST_ROWS:
        raise BadInputError(
            f"A sample of shape {sample.shape} for a chart of {len(widths)} histograms.",
            hint=f"It needs a column per histogram and at least {_LEAST_ROWS} rows.",
        )
    if (sample < 0).any() or (sample >= widths).any():
        raise BadInputError(
            "The sample has cells that the chart's histograms do not have.",
            hint="Cut it with the profile that the histograms are from (`cell_codes`).",
        )
    return sample.astype(np.intp) + np.array([s.start for s in layout.slices])
