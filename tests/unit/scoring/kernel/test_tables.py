"""Shapley values from tables against those without, and what the tables may take."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadscore.scoring.forest import Forest, Missing, RawTree, assemble
from leadscore.scoring.native_kernel import NativeKernel
from leadscore.scoring.paths import plan_paths
from leadscore.scoring.slots import plan_slots
from leadscore.scoring.tables import MAX_TABLE_BYTES, plan_tables


def grow(rng: np.random.Generator, *, depth: int, features: int, stop: float) -> RawTree:
    """A tree of any shape, whose branches may lack cover; few features repeat often on a path."""
    left, right, cover = [-1], [-1], [1.0]
    open_nodes = [(0, 0)]
    while open_nodes:
        node, level = open_nodes.pop()
        if level == depth or rng.random() < stop:
            continue
        share = rng.choice([rng.random(), 0.0, 1.0], p=[0.9, 0.05, 0.05])
        left[node], right[node] = len(left), len(left) + 1
        open_nodes += [(left[node], level + 1), (right[node], level + 1)]
        left, right = [*left, -1, -1], [*right, -1, -1]
        cover += [cover[node] * share, cover[node] * (1 - share)]
    size = len(left)
    return RawTree(
        np.array(left, np.int32), np.array(right, np.int32), rng.integers(0, features, size).astype(np.int32),
        rng.normal(size=size).astype(np.float32),
        rng.choice([Missing.LEFT, Missing.RIGHT], size).astype(np.int32), np.full(size, -1, np.int32), (),
        rng.normal(size=size), np.array(cover),
    )  # fmt: skip


def forest_of(rng: np.random.Generator, trees: int, **shape) -> Forest:
    return assemble(
        [grow(rng, **shape) for _ in range(trees)], features=shape["features"], base=0.5, double=True
    )


def kernel_of(forest: Forest, table_bytes: int) -> NativeKernel:
    return NativeKernel(forest, plan_slots(forest), plan_paths(forest), table_bytes=table_bytes)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**30),
    trees=st.integers(1, 4),
    depth=st.integers(0, 9),
    features=st.sampled_from([1, 2, 3, 5, 12]),
    stop=st.sampled_from([0.0, 0.1, 0.4]),
)
def test_tables_change_no_value_whatever_the_shape_of_the_trees(seed, trees, depth, features, stop):
    rng = np.random.default_rng(seed)
    forest = forest_of(rng, trees, depth=depth, features=features, stop=stop)
    rows = rng.normal(size=(6, features)).astype(np.float32)
    rows[rng.random(rows.shape) < 0.2] = np.nan
    tabulated, plain = (kernel_of(forest, limit).shapley_many(rows) for limit in (MAX_TABLE_BYTES, 0))
    np.testing.assert_allclose(tabulated, plain, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("features", [20, 40, 64])
def test_trees_of_different_quadratures_share_a_forest(features):
    rng = np.random.default_rng(features)
    size = 2 * features + 1
    left = np.where(np.arange(size) % 2 == 0, np.arange(size) + 1, -1).astype(np.int32)
    left[-1] = -1
    chain = RawTree(
        left, np.where(left < 0, -1, left + 1).astype(np.int32),
        (np.arange(size) // 2 % features).astype(np.int32), rng.normal(size=size).astype(np.float32),
        np.zeros(size, np.int32), np.full(size, -1, np.int32), (),
        rng.normal(size=size), np.where(np.arange(size) % 2 == 0, 1.0, 0.4) * 0.6 ** (np.arange(size) // 2),
    )  # fmt: skip
    bushes = [grow(rng, depth=5, features=features, stop=0.1) for _ in range(2)]
    forest = assemble([bushes[0], chain, bushes[1]], features=features, base=0.0, double=True)
    assert len(np.unique(plan_paths(forest).points)) == 2
    rows = rng.normal(size=(5, features)).astype(np.float32)
    tabulated, plain = (kernel_of(forest, limit).shapley_many(rows) for limit in (MAX_TABLE_BYTES, 0))
    np.testing.assert_allclose(tabulated, plain, rtol=1e-10, atol=1e-11)


def test_a_forest_whose_tables_would_be_too_large_does_without():
    forest = forest_of(np.random.default_rng(1), 2, depth=6, features=4, stop=0.0)
    slots, paths = plan_slots(forest), plan_paths(forest)
    tables = plan_tables(forest, slots, paths)
    assert tables is not None
    assert plan_tables(forest, slots, paths, tables.entries.nbytes) is not None
    assert plan_tables(forest, slots, paths, tables.entries.nbytes - 1) is None
    assert kernel_of(forest, 0).nbytes < kernel_of(forest, MAX_TABLE_BYTES).nbytes - tables.entries.nbytes


def test_entries_start_at_a_cache_line():
    forest = forest_of(np.random.default_rng(2), 3, depth=4, features=4, stop=0.2)
    tables = plan_tables(forest, plan_slots(forest), plan_paths(forest))
    assert tables is not None
    assert tables.entries.ctypes.data % 64 == 0
