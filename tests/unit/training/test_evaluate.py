from __future__ import annotations

from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    f1_score,
    log_loss,
    precision_score,
    recall_score,
)

from leadscore.errors import RefusedError
from leadscore.reliability import calibration_bins
from leadscore.training.evaluate import evaluate
from leadscore.training.ranking import Ranking


def scored(seed: int, n: int = 800, digits: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    probabilities = rng.beta(1.2, 6.0, n)
    converted = rng.random(n) < probabilities
    return converted, probabilities if digits is None else probabilities.round(digits)


@settings(max_examples=15)
@given(seed=st.integers(0, 10**6), digits=st.sampled_from([None, 2, 1]))
def test_figures_equal_sklearn(seed: int, digits: int | None) -> None:
    converted, probabilities = scored(seed, 300, digits)
    found = evaluate(converted, probabilities, threshold=0.2).estimates
    likely = probabilities >= 0.2
    clipped = np.clip(probabilities, 1e-12, 1 - 1e-12)
    assert found.average_precision.value == pytest.approx(average_precision_score(converted, probabilities))
    assert found.brier.value == pytest.approx(brier_score_loss(converted, probabilities))
    assert found.log_loss.value == pytest.approx(log_loss(converted, clipped), rel=1e-4)
    assert found.precision.value == pytest.approx(precision_score(converted, likely, zero_division=np.nan))
    assert found.recall.value == pytest.approx(recall_score(converted, likely))
    assert found.f1.value == pytest.approx(f1_score(converted, likely))


def test_every_interval_holds_its_value() -> None:
    converted, probabilities = scored(1)
    found = evaluate(converted, probabilities, value=np.full(800, 10.0), threshold=0.2)
    for name in found.estimates.__struct_fields__:
        estimate = getattr(found.estimates, name)
        # A bootstrapped calibration error is biased upwards: resampling adds noise to every bin.
        slack = 0.02 if name == "ece" else 0.0
        assert estimate.low - slack <= estimate.value <= estimate.high, name


def test_capture_and_lift_of_a_perfect_ranking() -> None:
    converted = np.arange(1000) < 100
    found = evaluate(converted, np.where(converted, 0.9, 0.01), threshold=0.5).estimates
    assert found.capture.value == pytest.approx(1.0)
    assert found.lift.value == pytest.approx(10.0)


def test_ties_at_the_cut_count_with_the_part_that_fits() -> None:
    converted = np.arange(1000) % 10 == 0
    found = evaluate(converted, np.full(1000, 0.1), threshold=0.5).estimates
    assert found.capture.value == pytest.approx(0.1)
    assert found.lift.value == pytest.approx(1.0)


def test_revenue_counts_only_where_the_lead_converted() -> None:
    converted = np.arange(1000) < 100
    value = np.where(converted, 50.0, 1e6)
    found = evaluate(converted, np.linspace(1, 0, 1000), value=value, threshold=0.5)
    assert found.revenue == 5000.0
    assert found.estimates.revenue_captured is not None
    assert found.estimates.revenue_captured.value == pytest.approx(1.0)


def test_without_value_column_there_is_no_revenue() -> None:
    found = evaluate(*scored(2), threshold=0.2)
    assert found.revenue is None
    assert b"revenue_captured" not in msgspec.json.encode(found.estimates)


def test_nobody_called_likely_leaves_precision_undefined_and_the_rest_measured() -> None:
    found = evaluate(*scored(3), threshold=1.1).estimates
    assert np.isnan(found.precision.value)
    assert found.recall.value == 0.0


def test_one_class_is_refused() -> None:
    with pytest.raises(RefusedError, match="both outcomes"):
        evaluate(np.zeros(10, bool), np.linspace(0, 1, 10), threshold=0.5)


def test_calibration_error_sees_a_constant_shift() -> None:
    converted, probabilities = scored(4, 5000)
    shifted = evaluate(converted, np.clip(probabilities + 0.1, 0, 1), threshold=0.2).estimates.ece
    assert shifted.value == pytest.approx(0.1, abs=0.02)


def test_calibration_bins_hold_every_lead_once() -> None:
    converted, probabilities = scored(5, 777, 1)
    bins = calibration_bins(converted, probabilities)
    assert sum(b.leads for b in bins) == 777
    assert all(a.predicted < b.predicted for a, b in pairwise(bins))


def test_the_same_seed_gives_the_same_intervals() -> None:
    assert evaluate(*scored(6), threshold=0.2, seed=5) == evaluate(*scored(6), threshold=0.2, seed=5)


def test_ranking_takes_whole_groups_of_equal_scores() -> None:
    ranking = Ranking.of(np.array([0.1, 0.9, 0.9, 0.5]))
    leads = ranking.cumulative(np.ones((1, 4), np.float32))
    assert leads.tolist() == [[2.0, 3.0, 4.0]]
    won = ranking.cumulative(np.ones((1, 4), np.float32), np.array([0.0, 1.0, 0.0, 1.0]))
    assert ranking.in_top(leads, won, 0.25).tolist() == [0.5]
