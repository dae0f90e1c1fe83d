"""`assemble` lets nothing through that an evaluator could stumble over."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadscore.errors import ArtefactError
from leadscore.scoring import slots
from leadscore.scoring.forest import MAX_DEPTH, MAX_SPLIT_CATEGORIES, CategorySet, RawTree, assemble
from leadscore.scoring.kernel import open_kernel
from leadscore.scoring.slots import plan_slots, sortable


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


STUMP = RawTree(
    left=ints(1, -1, -1), right=ints(2, -1, -1), feature=ints(0, 0, 0),
    threshold=np.array([0.5, 0, 0], np.float32), missing=ints(0, 0, 0), category_set=ints(-1, -1, -1),
    sets=(), value=np.array([0, -1.0, 1.0]), cover=np.array([4.0, 3.0, 1.0]),
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


def with_set(chosen: CategorySet) -> RawTree:
    return replace(STUMP, category_set=ints(0, -1, -1), sets=(chosen,))


def test_category_codes_are_bounded():
    most = CategorySet(
        1 << MAX_SPLIT_CATEGORIES - 1, MAX_SPLIT_CATEGORIES, missing_left=True, other_left=False
    )
    plan = plan_slots(assemble([with_set(most)] * 3, features=1, base=0.0))
    assert plan.category_width.tolist() == [1]
    with pytest.raises(ArtefactError, match="category code"):
        assemble([with_set(replace(most, known=MAX_SPLIT_CATEGORIES + 1))], features=1, base=0.0)


@pytest.mark.parametrize("words", [100, 3500], ids=["one feature", "all features"])
def test_category_tables_are_bounded(monkeypatch, words):
    monkeypatch.setattr(slots, "_MAX_TABLE_WORDS", words)
    features = [with_set(CategorySet(1 << i, 999, missing_left=True, other_left=True)) for i in range(40)]
    trees = [replace(tree, feature=ints(column, 0, 0)) for tree in features for column in (0, 1)]
    with pytest.raises(ArtefactError) as caught:
        plan_slots(assemble(trees, features=2, base=0.0))
    assert "Group rare categories" in caught.value.hint


@pytest.mark.parametrize("codes", [1, 29, 30, 31, 32, 33, 100])
def test_each_code_goes_where_its_set_says(codes):
    rng = np.random.default_rng(codes)
    sets = [
        CategorySet(
            int.from_bytes(rng.bytes(20), "little") & ((1 << codes) - 1), codes, bool(i & 1), bool(i & 2)
        )
        for i in range(40)
    ]
    rows = np.array([*range(codes), codes, 1e9, np.inf, -1, -np.inf, np.nan], np.float32).reshape(-1, 1)
    left = np.array(
        [[s.left >> c & 1 for c in range(codes)] + [s.other_left] * 5 + [s.missing_left] for s in sets]
    )
    for backend in ("numpy", "native"):
        for chosen, expected in zip(sets, left, strict=True):
            together = [with_set(chosen), *(with_set(other) for other in sets)]
            kernel = open_kernel(assemble(together, features=1, base=0.0), backend=backend)
            assert (
                kernel.margins(rows).tolist()
                == (np.where(expected, -1, 1) + np.where(left, -1, 1).sum(axis=0)).tolist()
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
