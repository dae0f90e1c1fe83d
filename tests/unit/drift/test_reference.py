from __future__ import annotations

from bisect import bisect_right

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from leadscore.contract import Boolean, Categorical, FeatureContract, Numeric, Target
from leadscore.drift.reference import REFERENCE_BINS, build_profile
from leadscore.scoring.profile import ReferenceProfile

CONTRACT = FeatureContract(
    name="t",
    id="id",
    target=Target(column="y"),
    features=(Numeric(name="x"), Categorical(name="c", categories=("a", "b", "z")), Boolean(name="b")),
)


def profile(x: np.ndarray, probabilities: np.ndarray | None = None) -> ReferenceProfile:
    rng = np.random.default_rng(0)
    n = len(x)
    matrix = np.column_stack([x, rng.integers(0, 2, n), rng.integers(0, 2, n)]).astype(np.float32)
    return build_profile(CONTRACT, matrix, np.linspace(0, 1, n) if probabilities is None else probabilities)


def test_deciles_hold_about_as_many_leads_each() -> None:
    numeric = profile(np.random.default_rng(1).normal(size=5000)).features[0]
    assert len(numeric.counts) == REFERENCE_BINS
    assert max(numeric.counts) - min(numeric.counts) < 10


@given(
    hnp.arrays(
        np.float32,
        st.integers(1, 80),
        elements=st.one_of(st.floats(-(2.0**100), 2.0**100, width=32), st.just(np.nan)),
    )
)
def test_every_value_is_in_the_bin_that_the_edges_say(x: np.ndarray) -> None:
    numeric = profile(x).features[0]
    counts = [0] * len(numeric.counts)
    for value in x[~np.isnan(x)]:
        counts[bisect_right(numeric.edges, float(value))] += 1
    assert tuple(counts) == numeric.counts
    assert numeric.missing == np.isnan(x).sum()
    assert len(numeric.counts) == 1 or min(numeric.counts) > 0


def test_repeated_values_give_fewer_bins() -> None:
    assert len(profile(np.repeat([0.0, 1.0], 500)).features[0].counts) == 2
    assert profile(np.zeros(100)).features[0].counts == (100,)


def test_a_feature_without_values_has_no_mean() -> None:
    numeric = profile(np.full(50, np.nan)).features[0]
    assert (numeric.counts, numeric.missing, numeric.mean) == ((0,), 50, None)


def test_bin_means_and_spreads_are_those_of_the_values() -> None:
    x = np.random.default_rng(2).normal(size=1000).astype(np.float32)
    numeric = profile(x).features[0]
    inside = x[np.searchsorted(numeric.edges, x, side="right") == 3].astype(float)
    assert numeric.bin_means[3] == pytest.approx(inside.mean())
    assert numeric.bin_stds[3] == pytest.approx(inside.std())


def test_categories_are_counted_in_contract_order_with_unseen_last() -> None:
    _, category, boolean = profile(np.arange(100.0)).features
    assert len(category.counts) == 4
    assert category.counts[2:] == (0, 0)
    assert sum(boolean.counts) == 100


def test_scores_are_counted_and_survive_json() -> None:
    found = profile(np.arange(1000.0), np.random.default_rng(3).beta(1, 8, 1000))
    assert sum(found.score_counts) == 1000
    assert len(found.quantiles) == 101
    assert ReferenceProfile.from_json(found.to_json()) == found


def test_equal_scores_make_one_bin() -> None:
    assert profile(np.arange(100.0), np.full(100, 0.06)).score_counts == (100,)
