"""Performance against outcomes, and the estimate until they come."""

from __future__ import annotations

import numpy as np
import pytest

from leadscore.drift.performance.cbpe import expected_auc, expected_performance
from leadscore.drift.performance.measure import (
    LabelCounts,
    PerformanceMetrics,
    measure_window,
    observed_over_expected,
)
from leadscore.drift.performance.verdict import judge_performance, loss_or_gain, performance_drift
from leadscore.drift.verdict import as_utc
from leadscore.errors import BadInputError
from leadscore.intervals import Estimate, auc_estimate
from leadscore.reliability import calibration_bins

HOLDOUT = Estimate(0.80, 0.79, 0.81)


def stream(rows: int, seed: int, *, slope: float = 1.0, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Outcomes and predictions; the truth's log-odds are slope * predicted + shift."""
    rng = np.random.default_rng(seed)
    logit = rng.normal(-1.4, 1.3, rows)
    truth = 1 / (1 + np.exp(-(slope * logit + shift)))
    return rng.random(rows) < truth, 1 / (1 + np.exp(-logit))


def complete(rows: int) -> LabelCounts:
    return LabelCounts(predictions=rows + 50, labelled=rows, mature=rows, mature_labelled=rows)


def measured(rows: int = 4_000, seed: int = 1, **truth: float) -> PerformanceMetrics:
    converted, p = stream(rows, seed, **truth)
    return measure_window(converted, p, complete(rows))


def test_calibrated_stream_has_slope_one_intercept_zero_and_ratio_one() -> None:
    figures = measured()
    assert figures.slope is not None
    assert figures.intercept is not None
    for estimate, right in ((figures.slope, 1), (figures.intercept, 0), (figures.observed_expected, 1)):
        assert estimate.low <= right <= estimate.high


def test_slope_and_intercept_find_what_was_done_to_the_truth() -> None:
    figures = measured(20_000, slope=0.5, shift=-0.7)
    assert figures.slope is not None
    assert figures.slope.value == pytest.approx(0.5, abs=0.06)
    shifted = measured(20_000, shift=0.6)
    assert shifted.intercept is not None
    assert shifted.intercept.value == pytest.approx(0.6, abs=0.06)


def test_intervals_cover_what_they_claim() -> None:
    covered = 0
    for seed in range(200):
        converted, p = stream(500, seed)
        ratio = observed_over_expected(converted, p)
        covered += ratio.low <= 1 <= ratio.high
    assert covered >= 181


def test_a_drop_of_more_than_five_per_cent_triggers() -> None:
    figures = measured(slope=0.4)
    verdict = judge_performance(figures, figures.labels, HOLDOUT)
    assert verdict.judged
    assert verdict.dropped
    assert verdict.drop is not None
    assert verdict.drop.low > 0
    drift = performance_drift(
        verdict, figures, model=("leads", "3"), start=as_utc(0), end=as_utc(10**12), rows=4_050
    )
    assert drift.drifted
    assert drift.kind == "concept"
    assert drift.severity == "critical"
    assert "50 younger or rescored leads were left out" in drift.reasons[-1]


@pytest.mark.parametrize(("holdout", "said"), [(0.80, "a loss of"), (0.60, "a gain of"), (0.70, "a gain of")])
def test_a_better_auc_is_called_a_gain_in_sentences_and_tables(holdout: float, said: str) -> None:
    figures = measured()
    assert figures.auc is not None
    baseline = Estimate(holdout, holdout - 0.01, holdout + 0.01)
    verdict = judge_performance(figures, figures.labels, baseline)
    assert verdict.drop is not None
    loss, (now,) = said == "a loss of", [r for r in verdict.reasons if "AUC" in r]
    assert (verdict.drop.value > 0) == loss
    assert said in now
    assert ("loss" in now) == loss
    what, size = loss_or_gain(verdict.drop)
    assert size.value > 0
    assert size.low <= size.value <= size.high
    assert what in said


def test_a_drop_that_may_be_chance_does_not_trigger() -> None:
    figures = measured(120, seed=0, slope=0.8)
    verdict = judge_performance(figures, figures.labels, HOLDOUT)
    assert verdict.judged
    assert not verdict.dropped


def test_immature_window_is_said_to_be_unjudged_and_gets_the_expected_auc() -> None:
    labels = LabelCounts(predictions=500, labelled=40, mature=100, mature_labelled=40)
    verdict = judge_performance(None, labels, HOLDOUT)
    assert not verdict.judged
    assert "40%" in verdict.reasons[0]
    expected = expected_performance(stream(500, 3)[1])
    drift = performance_drift(
        verdict, None, model=("leads", "3"), start=as_utc(0), end=as_utc(1), rows=500, expected=expected
    )
    assert not drift.drifted
    assert drift.confidence == 0.0
    assert "Not judged" in drift.reasons[0]
    assert "Expected AUC" in drift.reasons[1]


def test_window_without_mature_leads_is_unjudged() -> None:
    verdict = judge_performance(None, LabelCounts(300, 20, 0, 0), HOLDOUT)
    assert not verdict.judged
    assert "old enough" in verdict.reasons[0]


def test_figures_need_exactly_the_mature_labelled_leads() -> None:
    converted, p = stream(100, 1)
    with pytest.raises(BadInputError, match="mature"):
        measure_window(converted, p, complete(99))


def test_half_as_many_conversions_as_predicted_is_concept_drift() -> None:
    figures = measured(shift=-0.9)
    verdict = judge_performance(figures, figures.labels, HOLDOUT)
    assert verdict.calibration == "significant"


def test_expected_auc_is_the_mean_of_realised_ones() -> None:
    rng = np.random.default_rng(8)
    p = stream(2_000, 8)[1].round(2)
    realised = [auc_estimate(rng.random(len(p)) < p, p) for _ in range(200)]
    assert expected_auc(p) == pytest.approx(np.mean([r.value for r in realised if r]), abs=0.002)


def test_expected_auc_interval_holds_the_realised_auc_while_calibrated() -> None:
    inside = 0
    for seed in range(60):
        converted, p = stream(300, seed)
        found, realised = expected_performance(p, seed=seed), auc_estimate(converted, p)
        assert realised is not None
        inside += found.auc.low <= realised.value <= found.auc.high
    assert inside >= 52


def test_uncertain_calibration_widens_the_interval() -> None:
    converted, p = stream(1_000, 9)
    bins = calibration_bins(*stream(150, 10))
    certain, honest = expected_performance(p), expected_performance(p, reliability=bins)
    assert honest.auc.high - honest.auc.low > certain.auc.high - certain.auc.low
    assert expected_auc(np.full(50, 0.3)) == 0.5
    assert converted.any()


def test_expectation_of_what_is_no_probability_is_refused() -> None:
    with pytest.raises(BadInputError):
        expected_performance(np.full(50, 1.2))
    with pytest.raises(BadInputError):
        expected_performance(np.full(3, 0.2))
