"""Both evaluators against the libraries that grew the trees."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leadscore.scoring.forest import Forest
from leadscore.scoring.kernel import Kernel, open_kernel
from leadscore.scoring.native_kernel import NativeKernel
from leadscore.scoring.paths import plan_paths
from leadscore.scoring.slots import plan_slots

slow = settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)


def _kernels(forest: Forest) -> dict[str, Kernel]:
    return {
        "numpy": open_kernel(forest, backend="numpy"),
        "native": open_kernel(forest, backend="native"),
        "native without tables": NativeKernel(forest, plan_slots(forest), plan_paths(forest), table_bytes=0),
    }


def _check(trained, rows, *, tolerance):
    expected = trained.margins(rows)
    contributions = trained.contributions(rows[:40])
    for backend, kernel in _kernels(trained.forest).items():
        margins = kernel.margins(rows)
        assert np.array_equal(margins, expected), backend
        assert [kernel.margin(row) for row in rows[:20]] == expected[:20].tolist()
        values = kernel.shapley_many(rows[:40])
        np.testing.assert_allclose(values, contributions, atol=tolerance, rtol=tolerance)
        np.testing.assert_allclose(values.sum(axis=1), margins[:40], atol=1e-5, rtol=1e-6)
        assert np.array_equal(values[3], kernel.shapley(rows[3]))


@pytest.mark.parametrize("one_hot_up_to", [1, 100], ids=["partitions", "one-hot"])
@pytest.mark.parametrize("depth", range(1, 9))
def test_xgboost_margins_are_equal_bit_for_bit_and_contributions_to_1e_5(
    leads, train_xgboost, depth, one_hot_up_to
):
    trained = train_xgboost(leads, max_depth=depth, max_cat_to_onehot=one_hot_up_to)
    _check(trained, leads.hostile(depth), tolerance=1e-5)


@pytest.mark.parametrize("leaves", [2, 5, 31])
@pytest.mark.parametrize("missing", [{}, {"zero_as_missing": True}, {"use_missing": False}], ids=str)
def test_lightgbm_margins_are_equal_and_contributions_to_rounding(leads, train_lightgbm, leaves, missing):
    trained = train_lightgbm(leads, num_leaves=leaves, **missing)
    _check(trained, leads.hostile(leaves), tolerance=1e-9)


@slow
@given(
    seed=st.integers(0, 2**20),
    depth=st.integers(1, 7),
    numeric=st.integers(1, 6),
    categorical=st.integers(0, 3),
    cardinality=st.sampled_from([2, 6, 30, 31, 70]),
    one_hot_up_to=st.sampled_from([1, 4, 100]),
    weight=st.sampled_from([0, 1]),
)
def test_any_small_xgboost_model(
    make_leads, train_xgboost, seed, depth, numeric, categorical, cardinality, one_hot_up_to, weight
):
    leads = make_leads(seed, n=200, numeric=numeric, categorical=categorical, cardinality=cardinality)
    trained = train_xgboost(
        leads, max_depth=depth, max_cat_to_onehot=one_hot_up_to, min_child_weight=weight, rounds=5, seed=seed
    )
    _check(trained, leads.hostile(seed), tolerance=1e-5)


@slow
@given(
    seed=st.integers(0, 2**20),
    leaves=st.integers(2, 40),
    numeric=st.integers(1, 6),
    categorical=st.integers(0, 3),
    cardinality=st.sampled_from([2, 6, 30, 31, 70]),
)
def test_any_small_lightgbm_model(
    make_leads, train_lightgbm, seed, leaves, numeric, categorical, cardinality
):
    leads = make_leads(seed, n=200, numeric=numeric, categorical=categorical, cardinality=cardinality)
    trained = train_lightgbm(leads, num_leaves=leaves, rounds=5, seed=seed)
    _check(trained, leads.hostile(seed), tolerance=1e-9)


@pytest.mark.parametrize(("features", "points"), [(14, 8), (30, 16)])
def test_paths_with_many_features_get_more_quadrature_points(make_leads, train_xgboost, features, points):
    leads = make_leads(5, n=3000, numeric=features, categorical=0)
    trained = train_xgboost(
        leads, max_depth=30, rounds=2, min_child_weight=0, reg_lambda=0, max_leaves=0, gamma=0
    )
    assert plan_paths(trained.forest).points.max() >= points
    _check(trained, leads.rows[:60], tolerance=1e-5)


def test_trees_of_a_single_leaf(leads, train_xgboost, train_lightgbm):
    for trained in (
        train_xgboost(leads, gamma=1e9),
        train_lightgbm(leads, min_data_in_leaf=10_000),
    ):
        _check(trained, leads.hostile(), tolerance=1e-6)


def test_huge_feature_values_split_exactly(make_leads, train_xgboost):
    leads = make_leads(9, categorical=0)
    leads.rows[:] *= np.float32(1e38)
    _check(train_xgboost(leads, max_depth=5), leads.hostile(), tolerance=1e-5)


def test_many_categories_are_packed_into_few_slots(make_leads, train_xgboost):
    leads = make_leads(11, n=2000, categorical=2, cardinality=90)
    trained = train_xgboost(leads, max_depth=6, max_cat_to_onehot=1, rounds=30)
    slots = plan_slots(trained.forest)
    assert len(trained.forest.sets) > 64
    assert slots.category_width.sum() <= len(trained.forest.sets) / 32 + 2
    _check(trained, leads.hostile(), tolerance=1e-5)
