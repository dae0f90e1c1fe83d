"""`assemble` lets nothing through that an evaluator could stumble over."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadscore.errors import ArtefactError
from leadscore.scoring.forest import MAX_DEPTH, CategorySet, RawTree, assemble
from leadscore.scoring.kernel import open_kernel
from leadscore.scoring.slots import plan_slots, sortable


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


STUMP = RawTree(
    left=ints(1, -1, -1), right=ints(2, -1, -1), feature=ints(0, 0, 0), threshold=np.array([0.5, 0, 0], np.float32),
    missing=ints(0, 0, 0), category_set=ints(-1, -1, -1), sets=(), value=np.array([0, -1.0, 1.0]),
    cover=np.array([4.0, 3.0, 1.0]),
)  # fmt: skip


def chain(depth: int) -> RawTree:
    """Each inner node's left child is a leaf, its right one the next inner node."""
    size = 2 * depth + 1
    left, right = np.full(size, -1, np.int32), np.full(size, -1, np.int32)
    left[: 2 * depth : 2], right[: 2 * depth : 2] = np.arange(1, size, 2), np.arange(2, size, 2)
    zeros = np.zeros(size, np.int32)
    threshold = np.arange(size, dtype=np.float32)
    return RawTree(
        left, right, zeros, threshold, zeros, zeros - 1, (), threshold.astype(float), np.ones(size)
    )


@pytest.mark.parametrize(
    "change",
    [
        {"left": ints(3, -1, -1)},
        {"right": ints(0, -1, -1)},
        {"right": ints(1, -1, -1)},
        {"right": ints(-1, -1, -1)},
        {"left": ints(1, 2, -1), "right": ints(2, 1, -1)},
        {"feature": ints(2, 0, 0)},
        {"feature": ints(-1, 0, 0)},
        {"feature": ints(0, 0)},
        {"threshold": np.array([np.nan, 0, 0], np.float32)},
        {"value": np.array([0, np.inf, 0])},
        {"value": np.array([0, np.nan, 0])},
        {"value": np.array([0, 1e39, 0])},
        {"cover": np.array([1, -1.0, 0])},
        {"cover": np.array([np.nan, 1, 0])},
        {"missing": ints(9, 0, 0)},
        {"category_set": ints(0, -1, -1)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_is_not_a_tree_of_numbers_is_refused(change):
    with pytest.raises(ArtefactError):
        assemble([replace(STUMP, **change)], features=2, base=0.0)


def test_the_bad_tree_is_named():
    with pytest.raises(ArtefactError, match="Tree 1 "):
        assemble([STUMP, replace(STUMP, feature=ints(7, 0, 0))], features=2, base=0.0)


def test_a_model_without_trees_is_refused():
    with pytest.raises(ArtefactError, match="no trees"):
        assemble([], features=1, base=0.0)


def test_depth_is_bounded():
    row = np.array([1e9], np.float32)
    forest = assemble([chain(MAX_DEPTH)], features=1, base=0.0)
    assert open_kernel(forest, backend="native").margin(row) == 2 * MAX_DEPTH
    with pytest.raises(ArtefactError, match="deeper"):
        assemble([chain(MAX_DEPTH + 1)], features=1, base=0.0)


def test_unreachable_nodes_are_dropped():
    pruned = replace(STUMP, left=ints(-1, -1, -1))
    forest = assemble([pruned, STUMP], features=1, base=0.0)
    assert forest.roots.tolist() == [0, 1, 4]


def test_category_tables_are_bounded():
    # Two thousand different sets over 65,536 codes would need half a gigabyte.
    sets = tuple(
        CategorySet((False,) * 65_535 + (True,), bool(i), bool(j)) for i in range(2) for j in range(2)
    )
    wide = [replace(STUMP, category_set=ints(0, -1, -1), sets=(chosen,)) for chosen in sets]
    assert plan_slots(assemble(wide, features=1, base=0.0)).category_width.tolist() == [1]
    with pytest.raises(ArtefactError, match="category code"):
        assemble(
            [replace(STUMP, category_set=ints(0, -1, -1), sets=(CategorySet((True,) * 70_000, True, True),))],
            features=1,
            base=0.0,
        )


def test_minus_infinity_as_threshold_sends_only_missing_values_left():
    tree = replace(STUMP, threshold=np.array([-np.inf, 0, 0], np.float32))
    for backend in ("numpy", "native"):
        kernel = open_kernel(assemble([tree], features=1, base=0.0), backend=backend)
        rows = np.array([[np.nan], [-np.inf], [0.0], [np.inf]], np.float32)
        assert kernel.margins(rows).tolist() == [-1.0, 1.0, 1.0, 1.0]


@given(st.floats(width=32, allow_nan=False), st.floats(width=32, allow_nan=False))
def test_sortable_integers_order_like_floats(a, b):
    first, second = sortable(np.array([a, b], np.float32)).tolist()
    assert (first < second) == (a < b)
    assert (first == second) == (a == b)
