from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from leadscore.intervals import (
    auc_difference,
    auc_estimate,
    centred_estimate,
    mean_estimate,
    percentile_estimate,
    placements,
    stratified_weights,
)


def sample(seed: int, n: int = 400, signal: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    converted = rng.random(n) < 0.3
    return converted, rng.normal(size=n) + signal * converted


@given(seed=st.integers(0, 10**6), levels=st.integers(1, 8))
def test_auc_equals_sklearn_also_with_ties(seed: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    converted = np.append(rng.random(60) < 0.4, [True, False])
    scores = rng.integers(0, levels + 1, 62).astype(float)
    estimate = auc_estimate(converted, scores)
    assert estimate is not None
    assert estimate.value == pytest.approx(roc_auc_score(converted, scores))
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1


def test_delong_variance_equals_the_plain_formula() -> None:
    converted, scores = sample(1, 80)
    positives, negatives = scores[converted], scores[~converted]
    wins = (positives[:, None] > negatives).astype(float) + 0.5 * (positives[:, None] == negatives)
    _, above, below = placements(converted, scores)
    np.testing.assert_allclose(above, wins.mean(axis=1))
    np.testing.assert_allclose(below, wins.mean(axis=0))


def test_delong_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    # Normal scores one standard deviation apart: AUC = Phi(1 / sqrt 2) = 0.7602.
    covered = 0
    for seed in range(300):
        estimate = auc_estimate(*sample(seed, 300))
        assert estimate is not None
        covered += estimate.low <= 0.7602 <= estimate.high
    assert 0.91 <= covered / 300 <= 0.98


def test_paired_difference_is_narrower_than_two_intervals() -> None:
    converted, scores = sample(2, 1000)
    other = scores + np.random.default_rng(3).normal(size=1000) * 0.2
    difference = auc_difference(converted, scores, other)
    single = auc_estimate(converted, scores)
    assert difference is not None
    assert single is not None
    assert difference.high - difference.low < (single.high - single.low) / 2


def test_equal_models_differ_by_nothing() -> None:
    converted, scores = sample(4)
    difference = auc_difference(converted, scores, scores)
    assert difference is not None
    assert (difference.value, difference.low, difference.high) == (0, 0, 0)


def test_complete_separation_is_not_certainty() -> None:
    converted = np.arange(40) < 10
    estimate = auc_estimate(converted, converted.astype(float))
    assert estimate is not None
    assert estimate.value == 1.0
    assert 0.6 < estimate.low < 0.8


def test_auc_of_one_class_is_unknown_not_a_number() -> None:
    assert auc_estimate(np.ones(5, bool), np.arange(5.0)) is None
    assert auc_difference(np.zeros(5, bool), np.arange(5.0), np.arange(5.0)) is None


def test_resamples_keep_the_number_of_each_class() -> None:
    converted, _ = sample(5, 100)
    weights = np.concatenate(list(stratified_weights(converted, np.random.default_rng(0), 50)))
    assert weights.shape == (50, 100)
    assert (weights[:, converted].sum(axis=1) == converted.sum()).all()
    assert (weights.sum(axis=1) == 100).all()


def test_undefined_draws_are_left_out_of_the_interval() -> None:
    estimate = percentile_estimate(0.5, np.array([np.nan, 0.4, 0.6]), 0.95)
    assert 0.4 <= estimate.low <= estimate.high <= 0.6


def test_mean_interval_agrees_with_the_bootstrap() -> None:
    converted, values = sample(6, 500)
    exact = mean_estimate(values, converted)
    weights = np.concatenate(list(stratified_weights(converted, np.random.default_rng(1), 2000)))
    drawn = percentile_estimate(exact.value, (weights @ values) / 500, 0.95)
    assert exact.low == pytest.approx(drawn.low, abs=0.01)
    assert exact.high == pytest.approx(drawn.high, abs=0.01)


def test_interval_of_a_well_calibrated_ece_holds_the_figure_itself() -> None:
    draws = np.random.default_rng(3).normal(0.012, 0.002, 2_000)
    estimate = centred_estimate(0.004, draws, 0.95)
    assert estimate.low <= estimate.value <= estimate.high
    assert estimate.low == pytest.approx(0.0001, abs=0.0006)
    assert estimate.high == pytest.approx(0.0079, abs=0.0006)
