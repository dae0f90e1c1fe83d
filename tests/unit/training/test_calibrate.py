from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from leadscore.training.calibrate import fit_beta, fit_calibration, fit_isotonic, fit_platt


def drawn(seed: int, n: int, slope: float, intercept: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    margins = rng.normal(-1.5, 1.5, n)
    return margins, rng.random(n) < 1 / (1 + np.exp(-(slope * margins + intercept)))


def test_platt_finds_the_line() -> None:
    found = fit_platt(*drawn(1, 50_000, 0.6, 0.4))
    assert found is not None
    assert found.slope == pytest.approx(0.6, abs=0.03)
    assert found.intercept == pytest.approx(0.4, abs=0.05)


def test_platt_agrees_with_logistic_regression() -> None:
    margins, converted = drawn(2, 20_000, 1.4, -0.5)
    found = fit_platt(margins, converted)
    reference = LogisticRegression(C=np.inf).fit(margins[:, None], converted)
    assert found is not None
    assert found.slope == pytest.approx(reference.coef_[0, 0], rel=1e-2)


def test_a_ranking_the_wrong_way_round_is_not_turned() -> None:
    margins, converted = drawn(3, 5_000, -1.0, 0.0)
    assert fit_platt(margins, converted) is None
    assert fit_calibration(margins, converted).calibration.method != "platt"


def test_true_log_odds_need_no_calibration() -> None:
    margins, converted = drawn(4, 20_000, 1.0, 0.0)
    fit = fit_calibration(margins, converted)
    said = fit.calibration.probabilities(margins)
    assert np.abs(said - 1 / (1 + np.exp(-margins))).mean() < 0.01


def test_the_method_with_the_lowest_held_out_loss_wins() -> None:
    margins, converted = drawn(5, 20_000, 0.3, 1.0)
    fit = fit_calibration(margins, converted)
    assert fit.calibration.method in {"platt", "isotonic"}
    assert fit.log_loss[fit.calibration.method] == min(fit.log_loss.values())
    assert fit.calibration.probabilities(margins).mean() == pytest.approx(converted.mean(), abs=0.01)


def test_isotonic_follows_what_no_line_can() -> None:
    rng = np.random.default_rng(6)
    margins = rng.normal(size=30_000)
    truth = np.where(margins > 0, 0.6, 0.1)
    fit = fit_calibration(margins, rng.random(30_000) < truth)
    assert fit.calibration.method == "isotonic"
    assert np.abs(fit.calibration.probabilities(margins) - truth).mean() < 0.05


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), n=st.integers(20, 400), levels=st.sampled_from([2, 5, 1000]))
def test_isotonic_never_decreases_nor_reaches_zero_or_one(seed: int, n: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    margins = rng.integers(0, levels, n).astype(float)
    converted = rng.random(n) < 0.3
    converted[:2] = [True, False]
    found = fit_isotonic(margins, converted)
    if found is not None:
        said = found.probabilities(np.sort(margins))
        assert (np.diff(said) >= 0).all()
        assert 0 < said[0] <= said[-1] < 1


def test_too_few_conversions_keep_the_margins_and_say_so() -> None:
    margins = np.linspace(-2, 2, 500)
    fit = fit_calibration(margins, np.arange(500) < 3)
    assert fit.calibration.method == "identity"
    assert "3 of 500" in fit.note


def test_small_windows_do_not_try_isotonic() -> None:
    fit = fit_calibration(*drawn(7, 600, 1.0, 0.0))
    assert "isotonic" not in fit.log_loss
    assert "1000" in fit.note


def test_equal_margins_do_not_break_calibration() -> None:
    fit = fit_calibration(np.zeros(2000), np.arange(2000) % 10 == 0)
    assert fit.calibration.method == "intercept"
    assert fit.calibration.probability(0.0) == pytest.approx(0.1, abs=0.01)


def test_another_base_rate_needs_a_shift_and_no_more() -> None:
    margins, converted = drawn(8, 20_000, 1.0, -1.0)
    fit = fit_calibration(margins, converted)
    assert fit.calibration.method == "intercept"
    assert fit.calibration.intercept == pytest.approx(-1.0, abs=0.06)


def test_beta_finds_what_bends_on_one_side_only() -> None:
    rng = np.random.default_rng(9)
    margins = rng.normal(0, 2, 60_000)
    logit = 0.3 * np.logaddexp(0, margins) - 1.5 * np.logaddexp(0, -margins) + 0.2
    found = fit_beta(margins, rng.random(60_000) < 1 / (1 + np.exp(-logit)), np.ones(60_000))
    assert found is not None
    assert found.method == "beta"
    assert np.abs(found.probabilities(margins) - 1 / (1 + np.exp(-logit))).mean() < 0.01


@pytest.mark.parametrize("seed", range(8))
def test_a_base_rate_that_wanders_without_direction_is_not_followed(seed: int) -> None:
    rng = np.random.default_rng(seed)
    margins = rng.normal(-1.5, 1.2, 3000)
    # The rate swings from block to block: what the window says of its own rate is not the next one's.
    swing = np.repeat(np.tile([0.6, -0.6], 3), 500)
    fit = fit_calibration(margins, rng.random(3000) < 1 / (1 + np.exp(-(margins + swing))))
    assert fit.calibration.method == "identity"


def test_calibration_counts_each_lead_by_its_weight() -> None:
    margins, converted = drawn(10, 40_000, 1.0, 0.0)
    # Half of the losses are not known yet; each known one stands for two.
    known = converted | (np.arange(40_000) % 2 == 0)
    weights = np.where(converted, 1.0, 2.0)[known]
    plain = fit_calibration(margins[known], converted[known])
    weighted = fit_calibration(margins[known], converted[known], weights=weights)
    truth = converted.mean()
    assert abs(weighted.calibration.probabilities(margins).mean() - truth) < 0.01
    assert abs(plain.calibration.probabilities(margins).mean() - truth) > 0.05
