"""Precomputed pieces of Shapley values, by the outcomes of a few decisions; paths.py derives the method.

A tree is cut into branches, groups and leaves. A group is a largest subtree of at most two levels of
decisions (up to four leaves); branches are the nodes above. What a row's decisions in a branch or a group
do to the products that come from above depends on few bits: the outcomes themselves, and for a feature
that the path has already decided on, whether the row passed until here. For each combination there is one
entry of four vectors over the quadrature points:

- branch: what to multiply the products by on the way left and right, and by what weights the leaf sums that
  come back from left and right add up to the effect of the branch's feature;
- group: what to multiply the products by to get the group's leaf sum, and the effects of its three features.

Going through a tree is then a few multiplications per piece, without a division or a branch to mispredict.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from leadscore.scoring.forest import Doubles, Forest, Ints
from leadscore.scoring.paths import Paths, quadrature
from leadscore.scoring.slots import Slots

MAX_TABLE_BYTES = 32 * 2**20
"""Forests whose entries would need more are evaluated without tables."""

UNIT = 16
"""Doubles of the smallest entry: four vectors of four points. Entries are counted in these."""

DECISION = np.dtype(
    [
        ("test", np.uint32),
        ("mask", np.uint32),
        ("slot", np.uint16),
        ("earlier", np.uint16),
        ("feature", np.uint16),
        ("stride", np.uint16),
    ]
)
BRANCH = np.dtype([("decision", DECISION), ("entry", np.uint32), ("left", np.uint16), ("right", np.uint16)])
GROUP_ROWS = np.dtype([("decision", DECISION, (3,)), ("entry", np.uint32)])

# Limits the memory that filling takes for a moment.
_FILLED_AT_ONCE = 256
_DOUBLE = 8
_CACHE_LINE = 64
_BRANCH, _GROUP, _LEAF = range(3)
_Bools = npt.NDArray[np.bool_]
_Nodes = npt.NDArray[np.int64]
_Structs = npt.NDArray[np.void]


@dataclass(frozen=True, slots=True)
class Tables:
    """Pieces and their entries.

    A piece's position counts its tree's branches first, then groups, then leaves.

    Attributes:
        parts: Where each tree's branches, groups and leaves start in the next three; shape (trees + 1, 3).
        branches: Breadth first; `left` and `right` are positions; the outcome adds 1 and a pass on the edge
            into the position `earlier` adds `stride` to the number of the entry, counted from `entry`.
        groups: Decisions of the top, the left and the right node: outcomes add 1, 2, 4. Absent ones always go
            left.
        leaves: Values of the leaves that no group holds.
        entries: All entries, from a cache line's start.
    """

    parts: Ints
    branches: _Structs
    groups: _Structs
    leaves: Doubles
    entries: Doubles


def plan_tables(forest: Forest, slots: Slots, paths: Paths, limit: int = MAX_TABLE_BYTES) -> Tables | None:
    """Cut the trees and fill the entries; None if these need more than `limit` bytes."""
    pieces = _cut(forest)
    is_branch, is_group = pieces.kind == _BRANCH, pieces.kind == _GROUP
    above, heads = pieces.nodes[is_branch], pieces.nodes[is_group]
    top = above[:, None]
    left = forest.left[heads].astype(np.int64)
    trios = np.stack((heads, left, left + 1), axis=1)
    branches, groups = np.zeros(len(top), BRANCH), np.zeros(len(trios), GROUP_ROWS)
    branches["left"], branches["right"] = (pieces.position[forest.left[above] + side] for side in (0, 1))
    decided = _decisions(forest, slots, paths, pieces.position, top)
    branches["decision"] = decided[:, 0]
    groups["decision"] = _decisions(forest, slots, paths, pieces.position, trios)
    points = paths.points[pieces.tree]
    units = np.zeros(len(pieces.nodes), np.int64)
    units[is_branch], units[is_group] = _state_count(decided), _state_count(groups["decision"])
    units *= points * 4 // UNIT
    starts = np.cumsum(units) - units
    total = int(units.sum()) * UNIT
    if total * _DOUBLE > limit:
        return None
    branches["entry"], groups["entry"] = starts[is_branch], starts[is_group]
    entries, filler = _aligned(total), _Filler(forest, paths)
    # An edge without cover, many times over, has no share that a double holds; the kernel's self-test finds
    # it.
    with np.errstate(all="ignore"):
        filler.fill(entries, starts[is_branch], points[is_branch], decided["stride"] > 0, top)
        filler.fill(entries, starts[is_group], points[is_group], groups["decision"]["stride"] > 0, trios)
    return Tables(pieces.parts, branches, groups, forest.value[pieces.nodes[pieces.kind == _LEAF]], entries)


class _Pieces(NamedTuple):
    """All trees' pieces: the node that each starts with, its kind and tree.

    Parts and positions as in `Tables`.
    """

    nodes: _Nodes
    kind: _Nodes
    tree: _Nodes
    parts: Ints
    position: _Nodes


def _cut(forest: Forest) -> _Pieces:
    height = np.zeros(len(forest.left), np.int64)
    for depth in range(int(forest.depth.max()) - 1, -1, -1):
        inner = np.flatnonzero((forest.depth == depth) & (forest.left >= 0))
        height[inner] = 1 + np.maximum(height[forest.left[inner]], height[forest.left[inner] + 1])
    kinds = np.where(height > 2, _BRANCH, np.where(height > 0, _GROUP, _LEAF))
    trees = np.repeat(np.arange(forest.trees), np.diff(forest.roots))
    kept = np.flatnonzero((height > 2) | (forest.depth == 0) | (height[forest.parent] > 2))
    kept = kept[np.lexsort((kinds[kept], trees[kept]))]
    kind, tree = kinds[kept], trees[kept]
    counts = np.bincount(tree * 3 + kind, minlength=3 * forest.trees).reshape(-1, 3)
    parts = np.zeros((forest.trees + 1, 3), np.int32)
    parts[1:] = np.cumsum(counts, axis=0)
    position = np.zeros(len(height), np.int64)
    position[kept] = np.arange(len(kept)) - parts.sum(axis=1)[tree]
    return _Pieces(kept, kind, tree, parts, position)


def _decisions(forest: Forest, slots: Slots, paths: Paths, position: _Nodes, nodes: _Nodes) -> _Structs:
    """The decisions of each piece's nodes, shape of `nodes`; a leaf's slot and test already say "left"."""
    earlier = paths.earlier[nodes]
    # The edge from a group's top to its next node lies inside, and the top's outcome says what became of it.
    outside = (earlier >= 0) & ((earlier != nodes) | (nodes == nodes[:, :1]))
    decisions = np.zeros(nodes.shape, DECISION)
    decisions["test"], decisions["mask"] = slots.test[nodes], slots.mask[nodes]
    decisions["slot"], decisions["feature"] = slots.slot[nodes], np.maximum(forest.feature[nodes], 0)
    decisions["earlier"] = np.where(outside, position[earlier], 0)
    bit = nodes.shape[1] + np.cumsum(outside, axis=1) - outside
    decisions["stride"] = np.where(outside, 1 << bit, 0)
    return decisions


def _state_count(decisions: _Structs) -> _Nodes:
    """Entries of each piece: one bit per decision and one per stride."""
    return 1 << (decisions.shape[1] + (decisions["stride"] > 0).sum(axis=1))


def _aligned(count: int) -> Doubles:
    """Doubles that start at a cache line, so that no vector of an entry crosses one."""
    spare = np.empty(count + _CACHE_LINE // _DOUBLE)
    skip = -spare.ctypes.data % _CACHE_LINE // _DOUBLE
    return spare[skip : skip + count]


class _Split(NamedTuple):
    """A decision's effect on the products, and the weights of the leaf sums of its two sides."""

    left: Doubles
    right: Doubles
    weigh_left: Doubles
    weigh_right: Doubles


@dataclass(frozen=True, slots=True)
class _Filler:
    """Fills the entries of pieces: shape (pieces, states, 4, points)."""

    forest: Forest
    paths: Paths

    def fill(self, entries: Doubles, starts: _Nodes, points: Ints, outside: _Bools, nodes: _Nodes) -> None:
        """Entries of all branches (`nodes` (n, 1)) or groups (n, 3).

        `outside`: which decisions have a stride.
        """
        contents = self._branches if nodes.shape[1] == 1 else self._groups
        for size in np.unique(points).tolist():
            point = quadrature(size)[0]
            for pattern in np.unique(outside, axis=0):
                alike = np.flatnonzero((points == size) & (outside == pattern).all(axis=1))
                for first in range(0, len(alike), _FILLED_AT_ONCE):
                    chosen = alike[first : first + _FILLED_AT_ONCE]
                    block = contents(nodes[chosen], pattern.tolist(), point).reshape(len(chosen), -1)
                    entries[starts[chosen, None] * UNIT + np.arange(block.shape[1])] = block

    def _branches(self, nodes: _Nodes, outside: list[bool], point: Doubles) -> Doubles:
        right, passed = _states(1, outside)
        return np.stack(self._split(nodes[:, 0], right[0], passed[0], point), axis=2)

    def _groups(self, nodes: _Nodes, outside: list[bool], point: Doubles) -> Doubles:
        right, passed = _states(3, outside)
        top = self._split(nodes[:, 0], right[0], passed[0], point)
        sides: list[tuple[Doubles, Doubles]] = []
        for side, came in ((1, 1 - right[0]), (2, right[0])):
            mine = nodes[:, side]
            inside = (self.paths.earlier[mine] == mine)[:, None, None]
            before = np.where(inside, passed[0] * came, passed[side])
            sides.append(self._pair(mine, right[side], before, point))
        (left_sum, left_effect), (right_sum, right_effect) = sides
        left_sum, right_sum = top.left * left_sum, top.right * right_sum
        vectors = (
            left_sum + right_sum,
            top.weigh_left * left_sum + top.weigh_right * right_sum,
            top.left * left_effect,
            top.right * right_effect,
        )
        return np.stack(vectors, axis=2)

    def _pair(
        self, nodes: _Nodes, right: Doubles, passed: Doubles, point: Doubles
    ) -> tuple[Doubles, Doubles]:
        """Leaf sum and effect of nodes above two leaves; a leaf's value and nothing for leaves."""
        leaf = (self.forest.left[nodes] < 0)[:, None, None]
        split = self._split(nodes, right, passed, point)
        left, other = (self.forest.value[child][:, None, None] for child in self._children(nodes))
        left_sum, right_sum = split.left * left, split.right * other
        effect = split.weigh_left * left_sum + split.weigh_right * right_sum
        return np.where(leaf, left, left_sum + right_sum), np.where(leaf, 0.0, effect)

    def _children(self, nodes: _Nodes) -> tuple[_Nodes, _Nodes]:
        """Left and right children; leaves are their own."""
        left = self.forest.left[nodes]
        return np.where(left < 0, nodes, left), np.where(left < 0, nodes, left + 1)

    def _split(self, nodes: _Nodes, right: Doubles, passed: Doubles, point: Doubles) -> _Split:
        absent = 1 - point
        earlier = self.paths.earlier[nodes]
        before = np.where(earlier < 0, 1.0, self.paths.share[earlier])[:, None, None]
        factor_before = passed * point + before * absent
        ended = (passed - before) / factor_before
        down: list[Doubles] = []
        weigh: list[Doubles] = []
        for child, went in zip(self._children(nodes), (1 - right, right), strict=True):
            share, kept = self.paths.share[child][:, None, None], passed * went
            factor = kept * point + share * absent
            down.append(factor / factor_before)
            weigh.append((kept - share) / factor - ended)
        return _Split(*down, *weigh)


def _states(decisions: int, outside: list[bool]) -> tuple[list[Doubles], list[Doubles]]:
    """Per decision: its outcome, and whether the row passed before, in each state; shape (1, states, 1)."""
    state = np.arange(1 << (decisions + sum(outside))).reshape(1, -1, 1)
    bits = iter(range(decisions, decisions + sum(outside)))
    right = [(state >> bit & 1).astype(np.float64) for bit in range(decisions)]
    always = np.ones(state.shape)
    passed = [(state >> next(bits) & 1).astype(np.float64) if one else always for one in outside]
    return right, passed
