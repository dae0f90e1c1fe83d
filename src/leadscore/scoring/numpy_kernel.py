"""The evaluator that always works.

NumPy only, exact, fast enough to serve with and to test the native one against.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt

from leadscore.scoring.forest import Doubles, Forest, Missing, Singles
from leadscore.scoring.paths import Paths, quadrature
from leadscore.scoring.slots import ZERO_BOUND, Slots, Words, sortable

_BLOCK = 256
_FILL = np.zeros(len(Missing), np.float32)
_FILL[[Missing.LEFT, Missing.OR_ZERO_LEFT, Missing.ONLY_LEFT]] = -np.inf
_FILL[[Missing.RIGHT, Missing.OR_ZERO_RIGHT]] = np.inf


class NumpyKernel:
    """Margins and Shapley values of one forest.

    See `leadscore.scoring.kernel.Kernel` for the methods' meaning.
    """

    def __init__(self, forest: Forest, slots: Slots, paths: Paths) -> None:
        self.backend: Literal["native", "numpy"] = "numpy"
        self._forest = forest
        self._slots = slots
        self._paths = paths
        starts = forest.roots[:-1]
        self._starts = starts.astype(np.int64)
        self._left = self._slots.left.astype(np.int64) + np.repeat(self._starts, np.diff(forest.roots))
        self._slot = self._slots.slot.astype(np.int64)
        self._steps = int(forest.depth.max())
        self._value = forest.value if forest.double else forest.value.astype(np.float32)
        self._base = self._value.dtype.type(forest.base)
        self._levels = [np.flatnonzero(forest.depth == depth) for depth in range(self._steps + 1)]
        self._point, self._weight = quadrature(int(self._paths.points.max()))

    @property
    def nbytes(self) -> int:
        """Bytes of all prepared arrays."""
        own = (self._left, self._slot, self._value, *self._levels)
        return self._slots.nbytes + self._paths.nbytes + sum(array.nbytes for array in own)

    def margin(self, row: Singles) -> float:
        """Log-odds of one row."""
        return float(self.margins(np.asarray(row).reshape(1, -1))[0])

    def margins(self, matrix: Singles) -> Singles:
        """Log-odds of each row."""
        matrix = _checked(matrix, self._slots.features)
        margins = np.empty(len(matrix), np.float32)
        for start in range(0, len(matrix), _BLOCK):
            margins[start : start + _BLOCK] = self._block(matrix[start : start + _BLOCK])
        return margins

    def shapley(self, row: Singles) -> Doubles:
        """Exact path-dependent Shapley values of one row; the last entry is the base value."""
        row = _checked(np.asarray(row).reshape(1, -1), self._slots.features)[0]
        return self._contributions(self._expand(row.reshape(1, -1))[0])

    def shapley_many(self, matrix: Singles) -> Doubles:
        """Exact path-dependent Shapley values of each row."""
        matrix = _checked(matrix, self._slots.features)
        values = np.empty((len(matrix), self._slots.features + 1))
        for index in range(len(matrix)):
            values[index] = self._contributions(self._expand(matrix[index : index + 1])[0])
        return values

    def shapley_between(self, before: Singles, after: Singles) -> Doubles:
        """Exact Shapley values of the way from one row to another.

        Each feature's effect of taking its value in `after` instead of that in `before`, averaged over all
        orders in which the features can change (interventional TreeSHAP with one baseline row: Lundberg et
        al. 2020). Of a leaf only features on its path count: it is reached when all features that only
        `after` passes by have changed and none of those that only `before` does.

        float64 of shape (k,); they sum to the difference of the margins, up to float32's rounding of
        margins. A feature with the same value in both has 0.
        """
        rows = _checked(np.stack((before, after)), self._slots.features)
        forest, earlier = self._forest, self._paths.earlier
        slots = self._expand(rows)
        nodes = np.arange(len(forest.left))
        left_before, left_after = (self._goes_left(nodes, row[self._slot]) for row in slots)
        # Of the edge into a node, and all above it on the same feature: which of the two rows passes.
        passes_before = np.ones(len(nodes), np.bool_)
        passes_after = np.ones(len(nodes), np.bool_)
        closed = np.zeros(len(nodes), np.bool_)
        gains, losses = np.zeros(len(nodes), np.int64), np.zeros(len(nodes), np.int64)
        for level in self._levels[1:]:
            parent = forest.parent[level]
            above = earlier[parent]
            is_left = forest.left[parent] == level
            first = above < 0
            passes_before[level] = (left_before[parent] == is_left) & (first | passes_before[above])
            passes_after[level] = (left_after[parent] == is_left) & (first | passes_after[above])
            now_gain, now_loss = _gain_and_loss(passes_before[level], passes_after[level])
            was_gain, was_loss = _gain_and_loss(passes_before[above], passes_after[above])
            closed[level] = closed[parent] | ~(passes_before[level] | passes_after[level])
            gains[level] = gains[parent] + now_gain - (was_gain & ~first)
            losses[level] = losses[parent] + now_loss - (was_loss & ~first)
        leaf = forest.left < 0
        gain_weight, loss_weight = _order_weights(int(gains.max()), int(losses.max()))
        reached = np.where(leaf & ~closed, forest.value, 0.0)
        gain_sum, loss_sum = reached * gain_weight[gains, losses], reached * loss_weight[gains, losses]
        for level in reversed(self._levels[:-1]):
            inner = level[~leaf[level]]
            for sums in (gain_sum, loss_sum):
                sums[inner] = sums[forest.left[inner]] + sums[forest.left[inner] + 1]
        gain, loss = _gain_and_loss(passes_before, passes_after)
        effect = gain * gain_sum - loss * loss_sum
        inner = np.flatnonzero(~leaf)
        above = earlier[inner]
        parts = effect[forest.left[inner]] + effect[forest.left[inner] + 1]
        # A deeper decision on the same feature takes over from the one above it.
        parts -= np.where(above >= 0, gain[above] * gain_sum[inner] - loss[above] * loss_sum[inner], 0.0)
        values = np.zeros(forest.features)
        values += np.bincount(forest.feature[inner], parts, minlength=forest.features)
        return values

    def _expand(self, rows: Singles) -> Words:
        """The slots of each row; shape (rows, slots)."""
        plan = self._slots
        slots = np.empty((len(rows), plan.count), np.uint32)
        slots[:, 0] = 0
        values = rows[:, plan.numeric_feature]
        kind = plan.numeric_missing
        missing = np.isnan(values) | (
            ((kind == Missing.OR_ZERO_LEFT) | (kind == Missing.OR_ZERO_RIGHT))
            & (np.abs(values) <= ZERO_BOUND)
        )
        present = np.where(kind == Missing.ONLY_LEFT, np.float32(np.inf), values)
        slots[:, 1 : len(kind) + 1] = sortable(np.where(missing, _FILL[kind], present))
        for index, feature in enumerate(plan.category_feature.tolist()):
            value, known = rows[:, feature], int(plan.category_codes[index])
            valid = (value > plan.lowest_code) & (value < known)
            code = np.where(valid, value, np.where(np.isnan(value), known + 1, known)).astype(np.int64)
            first, width = int(plan.category_slot[index]), int(plan.category_width[index])
            begin = int(plan.category_start[index])
            table = plan.category_table[begin : begin + (known + 2) * width].reshape(-1, width)
            slots[:, first : first + width] = table[code]
        return slots

    def _goes_left(self, nodes: npt.NDArray[np.int64], contents: Words) -> npt.NDArray[np.bool_]:
        """Outcome of the nodes' tests on the contents of their slots."""
        return (contents & self._slots.mask[nodes]) < self._slots.test[nodes]

    def _block(self, rows: Singles) -> npt.NDArray[np.generic]:
        slots = self._expand(rows)
        lane = np.arange(len(rows))
        nodes = np.repeat(self._starts[:, None], len(rows), axis=1)
        for _ in range(self._steps):
            nodes = self._left[nodes] + ~self._goes_left(nodes, slots[lane, self._slot[nodes]])
        total = np.full(len(rows), self._base)
        for leaf_values in self._value[nodes]:
            total += leaf_values
        return total

    def _contributions(self, slots: Words) -> Doubles:
        """Shapley values of one expanded row; see `leadscore.scoring.paths` for the method."""
        forest, share, earlier = self._forest, self._paths.share, self._paths.earlier
        point, absent = self._point, 1 - self._point
        nodes = np.arange(len(forest.left))
        hot_left = self._goes_left(nodes, slots[self._slot])
        carried = np.empty((len(nodes), len(point)))
        factor = np.ones((len(nodes), len(point)))
        passed = np.ones(len(nodes), np.bool_)
        carried[self._starts] = self._weight
        for level in self._levels[1:]:
            parent = forest.parent[level]
            before = earlier[parent]
            is_left = forest.left[parent] == level
            passed[level] = (hot_left[parent] == is_left) & ((before < 0) | passed[before])
            factor[level] = passed[level, None] * point + share[level, None] * absent
            undone = np.where(before[:, None] >= 0, factor[before], 1.0)
            carried[level] = carried[parent] * factor[level] / undone
        values = np.zeros(forest.features + 1)
        values[-1] = self._paths.expectation
        leaf = forest.left < 0
        carried[leaf] *= forest.value[leaf, None]
        inner_nodes = np.flatnonzero(~leaf)
        for level in reversed(self._levels[:-1]):
            inner = level[~leaf[level]]
            carried[inner] = carried[forest.left[inner]] + carried[forest.left[inner] + 1]
        effect = (passed - share) * (carried / factor).sum(axis=1)
        parts = effect[forest.left[inner_nodes]] + effect[forest.left[inner_nodes] + 1]
        before = earlier[inner_nodes]
        ended = (passed[before] - share[before]) * (carried[inner_nodes] / factor[before]).sum(axis=1)
        parts -= np.where(before >= 0, ended, 0.0)
        values[:-1] += np.bincount(forest.feature[inner_nodes], parts, minlength=forest.features)
        return values


def _gain_and_loss(
    before: npt.NDArray[np.bool_], after: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Edges that only the later row passes, and those that only the earlier one does."""
    return after & ~before, before & ~after


def _order_weights(gains: int, losses: int) -> tuple[Doubles, Doubles]:
    """Share of a leaf's value that each gain gets, and that each loss takes, by how many there are of both.

    (a - 1)! b! / (a + b)! and a! (b - 1)! / (a + b)!.
    """
    of_gain, of_loss = np.zeros((gains + 1, losses + 1)), np.zeros((gains + 1, losses + 1))
    for a in range(gains + 1):
        for b in range(losses + 1):
            orders = math.comb(a + b, a)
            of_gain[a, b] = 1.0 / (a * orders) if a else 0.0
            of_loss[a, b] = 1.0 / (b * orders) if b else 0.0
    return of_gain, of_loss


def _checked(matrix: Singles, features: int) -> Singles:
    if matrix.ndim != 2 or matrix.shape[1] != features or matrix.dtype != np.float32:
        raise ValueError(
            f"A float32 matrix with {features} columns is needed, not {matrix.dtype} {matrix.shape}."
        )
    return matrix
