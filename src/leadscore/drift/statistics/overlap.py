"""Estimate how much the tests of one window overlap, as correlated features alarm together.

The chance that any of many tests alarms is less than the sum of their chances. How much less depends
on how the features hang together, which a sample of reference rows tells. Under no change the
standardised test scores of a window are sums over its rows, so jointly about normal with the rows' own
covariance. The union's probability is then the sum of the tests' probabilities times the mean, over a
test picked in proportion to its probability and a draw *given that it alarms*, of 1 / (number of tests
that alarm): the importance-sampling identity of Adler, Blanchet and Liu (2012), "Efficient Monte Carlo
for high excursions of Gaussian random fields". It has small error at any level, so one alarm in 5,000
windows costs no more to calibrate than one in 50.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import stats

from leadscore.drift.statistics.distances import Counts, Floats, rank_scores

_BASE_DRAWS: Final = 1_500
_DRAWS_PER_TEST: Final = 160
_INDEPENDENT_ROWS: Final = 8_000
# Added to the variances: scores that say the same (a shift is part of a distribution) make the covariance
# singular.
_JITTER: Final = 1e-9

# Cell of each row of a sample per feature, -1 for missing: int (rows, features).
CellMatrix = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class ScoreBlocks:
    """Standardised score functions of all tests over a sample of rows.

    Attributes:
        covariance: Of the scores, (d, d); identity within the block of a test.
        starts: First column of each test's block (tests,).
        names: Per test (feature index, test name); a test without dependence has an own independent column.
    """

    covariance: Floats
    starts: npt.NDArray[np.int64]
    names: tuple[tuple[int, str], ...]

    @property
    def degrees(self) -> npt.NDArray[np.int64]:
        """Degrees of freedom of each test (tests,)."""
        return np.diff(np.append(self.starts, len(self.covariance)))


def score_blocks(cells: CellMatrix, tests: tuple[tuple[int, str], ...]) -> ScoreBlocks:
    """Score functions of the tests `(feature, "distribution" | "shift" | "missing" | other)`.

    Args:
        cells: Sampled rows (rows, features).
        tests: In the order of the probabilities given to `union_ratio`. Tests of other names count as
            independent.
    """
    rng = np.random.default_rng(0)
    blocks: list[Floats] = []
    names: list[tuple[int, str]] = []
    for feature, name in tests:
        score = _SCORES.get(name)
        block = None if score is None else score(cells[:, feature])
        if block is None:
            # A column of its own that hangs together with nothing.
            block = rng.standard_normal((len(cells), 1))
        blocks.append(block)
        names.append((feature, name))
    widths = [block.shape[1] for block in blocks]
    scores = np.concatenate(blocks, axis=1)
    covariance = scores.T @ scores / max(len(scores), 1)
    starts = np.concatenate([[0], np.cumsum(widths)[:-1]]).astype(np.int64)
    return ScoreBlocks(covariance=covariance, starts=starts, names=tuple(names))


def independent_cells(counts: tuple[Counts, ...], missing: tuple[int, ...]) -> CellMatrix:
    """Rows of features that do not hang together: what is assumed where no sample of rows is at hand."""
    rng = np.random.default_rng(0)
    columns: list[npt.NDArray[np.int64]] = []
    for cells, absent in zip(counts, missing, strict=True):
        weights = np.append(cells, absent).astype(np.float64)
        total = weights.sum()
        drawn = rng.choice(len(weights), _INDEPENDENT_ROWS, p=weights / total) if total else None
        columns.append(
            np.full(_INDEPENDENT_ROWS, -1)
            if drawn is None
            else np.where(drawn == len(cells), -1, drawn).astype(np.int64)
        )
    return np.stack(columns, axis=1)


def base_draws(blocks: ScoreBlocks, seed: int) -> Floats:
    """Draws of all scores under no change (draws, d): what `union_ratio` conditions on its alarms."""
    # Not by eigenvectors: of some 300 scores they cost a hundred times as much, and more where cores are
    # shared.
    root = np.linalg.cholesky(blocks.covariance + _JITTER * np.eye(len(blocks.covariance)))
    return np.random.default_rng(seed).standard_normal((_BASE_DRAWS, len(root))) @ root.T


def union_ratio(blocks: ScoreBlocks, base: Floats, probabilities: Floats, seed: int) -> float:
    """P(any test alarms) / sum of the tests' probabilities (tests,).

    1 if they exclude each other, 1/n if they are one.

    Args:
        blocks: Of the tests.
        base: From `base_draws`; the same for every level that is tried.
        probabilities: That each test alarms (tests,).
        seed: Of the draws given an alarm.
    """
    live = np.flatnonzero(probabilities > 0.0)
    if len(live) == 0:
        return 1.0
    rng = np.random.default_rng([seed, 1])
    degrees = blocks.degrees
    limits = np.full(len(probabilities), np.inf)
    limits[live] = stats.chi2.isf(probabilities[live], degrees[live])
    share = 0.0
    for test in live:
        draws = _given_alarm(blocks, int(test), float(probabilities[test]), base, rng)
        alarms = np.add.reduceat(draws**2, blocks.starts, axis=1) > limits
        # The test itself alarms by construction; rounding must not say otherwise.
        alarms[:, test] = True
        share += float(probabilities[test]) * float(np.mean(1.0 / alarms.sum(axis=1)))
    return share / float(probabilities.sum())


def _given_alarm(
    blocks: ScoreBlocks, test: int, probability: float, base: Floats, rng: np.random.Generator
) -> Floats:
    """Draws of all scores given that this test alarms: its own block redrawn, the others moved along."""
    start, width = int(blocks.starts[test]), int(blocks.degrees[test])
    own = slice(start, start + width)
    rows = base[rng.integers(0, len(base), _DRAWS_PER_TEST)]
    radius = np.sqrt(stats.chi2.isf(probability * rng.uniform(0.0, 1.0, _DRAWS_PER_TEST), width))
    direction = rng.standard_normal((_DRAWS_PER_TEST, width))
    target = direction * (radius / np.linalg.norm(direction, axis=1))[:, None]
    gain = np.linalg.solve(blocks.covariance[own, own], blocks.covariance[own])
    return rows + (target - rows[:, own]) @ gain


def _distribution(column: npt.NDArray[np.int64]) -> Floats | None:
    """Orthonormal contrasts of the cells, 0 for missing: their squares sum to the chi-square statistic."""
    counts = np.bincount(column[column >= 0])
    used = np.flatnonzero(counts)
    if len(used) < 2:
        return None
    p = counts[used] / counts.sum()
    root = np.sqrt(p)
    complement = np.linalg.qr(np.column_stack([root, np.eye(len(p))[:, : len(p) - 1]]))[0][:, 1:]
    functions = np.zeros((len(counts) + 1, len(p) - 1))
    functions[used] = complement / root[:, None]
    present = counts.sum() / len(column)
    return functions[column] / np.sqrt(present)


def _shift(column: npt.NDArray[np.int64]) -> Floats | None:
    counts = np.bincount(column[column >= 0])
    scores = np.append(rank_scores(counts), 0.0)
    if not scores.any():
        return None
    return (scores[column] / np.sqrt(counts.sum() / len(column)))[:, None]


def _missing(column: npt.NDArray[np.int64]) -> Floats | None:
    absent = column < 0
    rate = float(absent.mean())
    if not 0.0 < rate < 1.0:
        return None
    return ((absent - rate) / np.sqrt(rate * (1.0 - rate)))[:, None]


_SCORES: Final = {"distribution": _distribution, "shift": _shift, "missing": _missing}
