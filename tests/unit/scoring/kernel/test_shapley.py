"""Shapley values against their definition: the average marginal contribution over all coalitions."""

from __future__ import annotations

from itertools import combinations
from math import factorial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadscore.scoring.forest import Missing, RawTree, assemble
from leadscore.scoring.kernel import open_kernel
from leadscore.scoring.numpy_kernel import NumpyKernel

FEATURES = 4


def random_tree(rng: np.random.Generator, depth: int) -> RawTree:
    left, right, feature, threshold, value, cover = [], [], [], [], [], []

    def grow(level: int, weight: float) -> int:
        node = len(left)
        leaf = level == depth or rng.random() < 0.15
        for column, entry in (
            (left, -1), (right, -1), (feature, int(rng.integers(FEATURES))), (threshold, float(rng.normal())),
            (value, float(rng.normal())), (cover, weight),
        ):  # fmt: skip
            column.append(entry)
        if not leaf:
            share = rng.choice([rng.random(), 0.0, 1.0], p=[0.9, 0.05, 0.05])
            left[node] = grow(level + 1, weight * share)
            right[node] = grow(level + 1, weight * (1 - share))
        return node

    grow(0, 100.0)
    size = len(left)
    missing = rng.choice([Missing.LEFT, Missing.RIGHT], size).astype(np.int32)
    return RawTree(
        np.array(left, np.int32), np.array(right, np.int32), np.array(feature, np.int32),
        np.array(threshold, np.float32), missing, np.full(size, -1, np.int32), (), np.array(value),
        np.array(cover),
    )  # fmt: skip


def expected_value(tree: RawTree, row: np.ndarray, known: frozenset[int], node: int = 0) -> float:
    """The tree's value where decisions on unknown features are averaged by cover."""
    if tree.left[node] < 0:
        return float(tree.value[node])
    children = int(tree.left[node]), int(tree.right[node])
    feature = int(tree.feature[node])
    if feature in known:
        value = row[feature]
        goes_left = tree.missing[node] == Missing.LEFT if np.isnan(value) else value < tree.threshold[node]
        return expected_value(tree, row, known, children[0] if goes_left else children[1])
    total = tree.cover[node]
    shares = [tree.cover[child] / total if total > 0 else 0.5 for child in children]
    return sum(s * expected_value(tree, row, known, c) for s, c in zip(shares, children, strict=True))


def by_definition(tree: RawTree, row: np.ndarray) -> list[float]:
    values = []
    for feature in range(FEATURES):
        others = [f for f in range(FEATURES) if f != feature]
        values.append(
            sum(
                factorial(size) * factorial(FEATURES - size - 1) / factorial(FEATURES)
                * (
                    expected_value(tree, row, frozenset({*chosen, feature}))
                    - expected_value(tree, row, frozenset(chosen))
                )
                for size in range(FEATURES)
                for chosen in combinations(others, size)
            )
        )  # fmt: skip
    return [*values, expected_value(tree, row, frozenset())]


@pytest.mark.parametrize("backend", ["numpy", "native"])
@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**30), depth=st.integers(0, 6))
def test_values_follow_the_definition_with_repeated_features_and_empty_branches(backend, seed, depth):
    rng = np.random.default_rng(seed)
    tree = random_tree(rng, depth)
    row = rng.normal(size=FEATURES).astype(np.float32)
    row[rng.random(FEATURES) < 0.2] = np.nan
    kernel = open_kernel(assemble([tree], features=FEATURES, base=0.0, double=True), backend=backend)
    np.testing.assert_allclose(kernel.shapley(row), by_definition(tree, row), atol=1e-9)


def test_trees_add_up_and_the_base_margin_belongs_to_the_base_value():
    rng = np.random.default_rng(3)
    trees = [random_tree(rng, 4) for _ in range(5)]
    row = rng.normal(size=FEATURES).astype(np.float32)
    together = open_kernel(
        assemble(trees, features=FEATURES, base=0.25, double=True), backend="native"
    ).shapley(row)
    expected = np.sum([by_definition(tree, row) for tree in trees], axis=0)
    expected[-1] += 0.25
    np.testing.assert_allclose(together, expected, atol=1e-9)


def between_by_definition(kernel, before: np.ndarray, after: np.ndarray) -> list[float]:
    """Average gain of taking a feature's later value, over all sets of features that have theirs already."""

    def margin(changed: tuple[int, ...]) -> float:
        row = before.copy()
        row[list(changed)] = after[list(changed)]
        return kernel.margin(row)

    return [
        sum(
            factorial(size) * factorial(FEATURES - size - 1) / factorial(FEATURES)
            * (margin((*chosen, feature)) - margin(chosen))
            for size in range(FEATURES)
            for chosen in combinations([f for f in range(FEATURES) if f != feature], size)
        )
        for feature in range(FEATURES)
    ]  # fmt: skip


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**30), depth=st.integers(0, 7), trees=st.integers(1, 3))
def test_the_way_between_two_rows_follows_the_definition(seed: int, depth: int, trees: int) -> None:
    rng = np.random.default_rng(seed)
    forest = assemble([random_tree(rng, depth) for _ in range(trees)], features=FEATURES, base=0.3)
    kernel = open_kernel(forest, backend="numpy")
    assert isinstance(kernel, NumpyKernel)
    before, after = rng.normal(size=(2, FEATURES)).astype(np.float32)
    before[rng.random(FEATURES) < 0.2] = np.nan
    after[rng.random(FEATURES) < 0.2] = np.nan
    after[0] = before[0]

    found = kernel.shapley_between(before, after)

    np.testing.assert_allclose(found, between_by_definition(kernel, before, after), atol=1e-5)
    assert found[0] == 0.0
    assert found.sum() == pytest.approx(kernel.margin(after) - kernel.margin(before), abs=1e-5)
    np.testing.assert_allclose(kernel.shapley_between(after, before), -found, atol=1e-12)
