"""A forest of decision trees of either library, checked once so that evaluators need no checks.

A reader (`xgboost_ubj`, `lightgbm_text`) hands over its trees as `RawTree` columns; `assemble` verifies that
they are trees, renumbers them and returns a `Forest`. Whatever passes `assemble` can be evaluated without
leaving an array's bounds: that is what the native kernel relies on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from leadscore.errors import ArtefactError

Ints = npt.NDArray[np.int32]
Singles = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

Number = TypeVar("Number", bound=np.generic)

MAX_TREE_NODES = 2**16 - 1
MAX_NODES = 2**20
MAX_TREES = 2**14
MAX_DEPTH = 256
MAX_SPLIT_CATEGORIES = 2**13
_LARGEST_LEAF = 3e38


class Missing(IntEnum):
    """What a numeric decision does with a missing value (NaN).

    The last two treat zeros as missing too, and are LightGBM's `zero_as_missing`.
    """

    LEFT = 0
    RIGHT = 1
    AS_ZERO = 2
    OR_ZERO_LEFT = 3
    OR_ZERO_RIGHT = 4
    ONLY_LEFT = 5
    """Left if and only if missing: a threshold of minus infinity whose default is left."""


@dataclass(frozen=True, slots=True)
class CategorySet:
    """Which category codes of a feature go left.

    Attributes:
        left: Bit c is set if code c goes left.
        known: Number of codes that `left` speaks of.
        missing_left: Where NaN goes.
        other_left: Where a code goes that is negative or at least `known`.
    """

    left: int
    known: int
    missing_left: bool
    other_left: bool


@dataclass(frozen=True, slots=True)
class RawTree:
    """One tree as its library numbers it; root first; all columns have one entry per node.

    Attributes:
        left: Left child, or -1 for a leaf.
        right: Right child, or -1 for a leaf.
        feature: Feature that the node decides on (ignored in leaves).
        threshold: A numeric value goes left if it is less than this.
        missing: `Missing` of each node.
        category_set: Index into `sets`, or -1 for a numeric decision.
        sets: The category sets of this tree.
        value: Leaf value (ignored elsewhere).
        cover: Training weight that reached the node.
    """

    left: Ints
    right: Ints
    feature: Ints
    threshold: Singles
    missing: Ints
    category_set: Ints
    sets: tuple[CategorySet, ...]
    value: Doubles
    cover: Doubles


@dataclass(frozen=True, slots=True)
class Forest:
    """Trees as columns over all nodes.

    Tree by tree, each breadth first, a left child right before its sibling.

    Attributes:
        features: Number of columns of the matrix that the model takes.
        base: Margin (log-odds) before the first tree.
        double: Whether leaf values are summed as float64 (LightGBM) or float32 in tree order (XGBoost).
        negative_fraction_is_zero: Whether a category code in (-1, 0) counts as code 0 (LightGBM truncates).
        roots: Index of each tree's root, and the number of nodes as last entry; shape (trees + 1,).
        depth: Depth of each node; a root has 0.
        parent: Parent of each node; a root is its own.
        left: Left child (the right one is `left + 1`), or -1 for a leaf.
        feature: Feature of the decision; -1 in leaves.
        threshold: A numeric value goes left if it is less.
        missing: `Missing` of each node.
        category_set: Index into `sets`, or -1.
        sets: Category sets of all trees, each once.
        value: Leaf values; 0 elsewhere.
        cover: Training weight that reached each node.
    """

    features: int
    base: float
    double: bool
    negative_fraction_is_zero: bool
    roots: Ints
    depth: Ints
    parent: Ints
    left: Ints
    feature: Ints
    threshold: Singles
    missing: Ints
    category_set: Ints
    sets: tuple[CategorySet, ...]
    value: Doubles
    cover: Doubles

    @property
    def trees(self) -> int:
        """Number of trees."""
        return len(self.roots) - 1

    def tree_depths(self) -> Ints:
        """Depth of each tree: the number of decisions on its longest path; shape (trees,)."""
        return np.maximum.reduceat(self.depth, self.roots[:-1])


def assemble(
    trees: Sequence[RawTree],
    *,
    features: int,
    base: float,
    double: bool = False,
    negative_fraction_is_zero: bool = False,
) -> Forest:
    """Check the trees and lay them out as one forest.

    Raises:
        ArtefactError: A node graph is not a tree, too deep or too big, or a number is not one.
    """
    if not np.isfinite(base) or not 0 < features <= MAX_TREE_NODES:
        raise ArtefactError(f"The model has {features} features and a base margin of {base}.")
    if not trees:
        raise ArtefactError("The model has no trees.", hint="Train it for at least one round.")
    for index, tree in enumerate(trees):
        _check_columns(index, tree, features)
    if len(trees) > MAX_TREES or sum(len(tree.left) for tree in trees) > MAX_NODES:
        raise ArtefactError(f"The model has more than {MAX_TREES} trees or {MAX_NODES} nodes.")
    starts = np.cumsum([0, *(len(tree.left) for tree in trees)])
    left = _column(
        [np.where(t.left < 0, -1, t.left + s) for t, s in zip(trees, starts, strict=False)], np.int32
    )
    right = _column(
        [np.where(t.left < 0, -1, t.right + s) for t, s in zip(trees, starts, strict=False)], np.int32
    )
    tree_of = np.repeat(np.arange(len(trees)), np.diff(starts)).astype(np.int32)
    order, depth, parent = _breadth_first(left, right, tree_of, starts[:-1].astype(np.int32))
    new_index = np.full(len(left), -1, np.int32)
    new_index[order] = np.arange(len(order), dtype=np.int32)
    sets, set_of = _shared_sets(trees)
    leaf = left[order] < 0
    threshold = _column([t.threshold for t in trees], np.float32)[order]
    missing = _column([t.missing for t in trees], np.int32)[order]
    category_set = np.where(leaf, -1, set_of[order]).astype(np.int32)
    only_missing = (missing == Missing.LEFT) & np.isneginf(threshold) & (category_set < 0)
    return Forest(
        features=features,
        base=base,
        double=double,
        negative_fraction_is_zero=negative_fraction_is_zero,
        roots=np.searchsorted(tree_of[order], np.arange(len(trees) + 1)).astype(np.int32),
        depth=depth,
        parent=new_index[parent],
        left=np.where(leaf, -1, new_index[left[order]]).astype(np.int32),
        feature=np.where(leaf, -1, _column([t.feature for t in trees], np.int32)[order]).astype(np.int32),
        threshold=np.where(only_missing, np.float32(0), threshold),
        missing=np.where(only_missing, Missing.ONLY_LEFT, missing).astype(np.int32),
        category_set=category_set,
        sets=sets,
        value=np.where(leaf, _column([t.value for t in trees], np.float64)[order], 0.0),
        cover=_column([t.cover for t in trees], np.float64)[order],
    )


def _column(parts: Sequence[npt.NDArray[np.generic]], dtype: type[Number]) -> npt.NDArray[Number]:
    return np.concatenate(parts).astype(dtype)


def _check_columns(index: int, tree: RawTree, features: int) -> None:
    """Check a tree's numbers as far as that does not need the graph."""
    nodes = len(tree.left)
    columns = (
        tree.right,
        tree.feature,
        tree.threshold,
        tree.missing,
        tree.category_set,
        tree.value,
        tree.cover,
    )
    if not 0 < nodes <= MAX_TREE_NODES or any(column.shape != (nodes,) for column in columns):
        raise _bad_tree(index, f"has columns of different lengths, or not 1 to {MAX_TREE_NODES} nodes")
    inner = tree.left >= 0
    children = np.concatenate((tree.left[inner], tree.right[inner]))
    feature, value = tree.feature[inner], tree.value[~inner]
    problems = {
        "refers to a node that does not exist": (children <= 0) | (children >= nodes),
        f"decides on a feature outside 0 … {features - 1}": (feature < 0) | (feature >= features),
        "has a threshold that is not a number": np.isnan(tree.threshold[inner]),
        "has a leaf value that is not a finite float32": ~(np.abs(value) <= _LARGEST_LEAF),
        "has a cover that is negative or not finite": ~np.isfinite(tree.cover) | (tree.cover < 0),
        "has an unknown treatment of missing values": (tree.missing < 0) | (tree.missing > Missing.ONLY_LEFT),
        "refers to a category set that does not exist": (tree.category_set < -1)
        | (tree.category_set >= len(tree.sets)),
        f"has a category code over {MAX_SPLIT_CATEGORIES - 1}": np.array(
            [s.known > MAX_SPLIT_CATEGORIES for s in tree.sets]
        ),
    }
    for what, where in problems.items():
        if np.any(where):
            raise _bad_tree(index, what)


def _bad_tree(index: int, what: str) -> ArtefactError:
    return ArtefactError(f"Tree {index} of the model {what}.", hint="Train or export the model again.")


def _breadth_first(left: Ints, right: Ints, tree_of: Ints, roots: Ints) -> tuple[Ints, Ints, Ints]:
    """Visit all trees level by level at once; return (old index, depth, old parent) in the new order."""
    seen = np.zeros(len(left), np.bool_)
    levels, parents = [roots], [roots]
    while len(frontier := levels[-1]):
        seen[frontier] = True
        if len(levels) > MAX_DEPTH + 1:
            raise ArtefactError(f"The model has a tree deeper than {MAX_DEPTH}.")
        inner = frontier[left[frontier] >= 0]
        children = np.stack((left[inner], right[inner]), axis=1).ravel()
        if np.any(seen[children]) or len(np.unique(children)) != len(children):
            raise ArtefactError("The model's nodes are not a tree: one is reached twice.")
        levels.append(children)
        parents.append(np.repeat(inner, 2))
    order = np.concatenate(levels)
    depth = np.repeat(np.arange(len(levels), dtype=np.int32), [len(level) for level in levels])
    by_tree = np.argsort(tree_of[order], kind="stable")
    return order[by_tree], depth[by_tree], np.concatenate(parents)[by_tree]


def _shared_sets(trees: Sequence[RawTree]) -> tuple[tuple[CategorySet, ...], Ints]:
    """Number the distinct category sets of all trees; return them and each node's (-1 if numeric)."""
    numbers: dict[CategorySet, int] = {}
    columns: list[Ints] = []
    for tree in trees:
        own = np.array([numbers.setdefault(s, len(numbers)) for s in tree.sets] or [-1], np.int32)
        columns.append(np.where(tree.category_set < 0, -1, own[tree.category_set]).astype(np.int32))
    return tuple(numbers), _column(columns, np.int32)
