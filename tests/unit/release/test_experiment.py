"""An experiment may be evaluated after every lead: simulated, beside the fixed-horizon test that may not."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import hypothesis.strategies as st
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from tests.support.betting import log_capital

from leadscore.release.cohorts import Cohort, Lead, mature
from leadscore.release.experiment import Experiment, ExperimentPlan, judge_experiment, revenue_sequence
from leadscore.sequences import (
    asymptotic_sequence,
    betting_sequence,
    pooled_spread,
    scores_of_difference,
    split_e_value,
)

START = datetime(2026, 3, 1, tzinfo=UTC)
PLAN = ExperimentPlan()
LEADS = 3000
RUNS = 300


def cohort(seed: int, leads: int = LEADS, *, a: float = 0.15, b: float = 0.15, share: float = 0.1) -> Cohort:
    """Conversions by arm; revenue log-normal with a standard deviation of 1: a few leads bring most of it."""
    rng = np.random.default_rng(seed)
    second = rng.random(leads) < share
    converted = (rng.random(leads) < np.where(second, b, a)).astype(float)
    value = converted * np.exp(7 + rng.normal(size=leads))
    return Cohort(
        at=np.arange(leads, dtype=np.int64),
        second=second,
        converted=converted,
        value=value,
        grade_a=np.zeros(leads, dtype=bool),
        immature=0,
        crossed=0,
    )


def judged(found: Cohort, plan: ExperimentPlan = PLAN) -> Experiment:
    return judge_experiment(
        found, plan, model="leads", versions=(6, 7), since=START, until=START, exposure_days=14.0
    )


def ever_different(found: Cohort) -> tuple[bool, bool]:
    """Whether conversion, revenue were called different at any lead, looked at after each one."""
    few, many = np.flatnonzero(found.second), np.flatnonzero(~found.second)
    blocks = min(len(few), len(many) // 9)
    gap = found.converted[few[:blocks]] - found.converted[many[: 9 * blocks]].reshape(blocks, 9).mean(axis=1)
    x = (gap + 1) / 2
    threshold = math.log(4 / PLAN.alpha)
    conversion = any((log_capital(y, 0.5) >= threshold).any() for y in (x, 1 - x))
    _, low, high, after = revenue_sequence(found, PLAN, PLAN.alpha / 2)
    return conversion, bool((((low > 0) | (high < 0)) & after).any())


def ever_significant(
    values: npt.NDArray[np.float64], second: npt.NDArray[np.bool_], start: int = 300
) -> bool:
    """The fixed-horizon z-test at 5 %, looked at after every lead: the mistake."""
    counts = [np.cumsum(arm) for arm in (~second, second)]
    sums = [np.cumsum(np.where(arm, values, 0)) for arm in (~second, second)]
    squares = [np.cumsum(np.where(arm, values**2, 0)) for arm in (~second, second)]
    means = [s / np.maximum(n, 1) for s, n in zip(sums, counts, strict=True)]
    variances = [
        (q / np.maximum(n, 1) - m**2) / np.maximum(n, 1)
        for q, n, m in zip(squares, counts, means, strict=True)
    ]
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.abs(means[1] - means[0]) / np.sqrt(variances[0] + variances[1])
    return bool((z[start:] > 1.96).any())


def test_looking_after_every_lead_keeps_false_claims_below_alpha_and_the_z_test_does_not() -> None:
    wrong = fooled = 0
    for seed in range(RUNS):
        found = cohort(seed)
        wrong += any(ever_different(found))
        fooled += ever_significant(found.converted, found.second)
    assert wrong / RUNS <= PLAN.alpha
    assert fooled / RUNS > 3 * PLAN.alpha


def test_a_real_fall_is_found_and_rolled_back() -> None:
    verdicts = [judged(cohort(seed, 8000, a=0.15, b=0.08)).verdict for seed in range(20)]
    assert verdicts.count("roll_back") >= 18
    assert "promote" not in verdicts


def test_a_real_gain_is_promoted() -> None:
    verdicts = [judged(cohort(seed, 20_000, a=0.10, b=0.17)).verdict for seed in range(10)]
    assert verdicts.count("promote") >= 9
    assert "roll_back" not in verdicts


def test_no_leads_no_verdict() -> None:
    found = judged(mature([], "7", now=0, exposure=1))
    assert (found.verdict, found.metrics[0].now, found.metrics[1].now) == ("continue", None, None)
    assert "too little seen" in found.summary


def test_a_split_that_was_not_planned_voids_every_comparison() -> None:
    found = judged(cohort(1, 20_000, a=0.15, b=0.05, share=0.2))
    assert found.verdict == "continue"
    assert "not split as planned" in found.summary


def test_a_split_as_planned_is_not_called_wrong() -> None:
    rng = np.random.default_rng(0)
    arms = rng.random((200, 2000)) < 0.1
    called = 0
    for run in arms:
        second = np.cumsum(run)[99::100]
        leads = np.arange(100, 2001, 100)
        called += any(
            split_e_value(int(n - k), int(k), 0.1) >= 20 for n, k in zip(leads, second, strict=True)
        )
    assert called / len(arms) <= 0.05


@given(st.integers(0, 10_000), st.floats(0.02, 0.98))
@settings(max_examples=25, deadline=None)
def test_a_betting_sequence_narrows_and_one_look_lies_around_what_was_seen(seed: int, mean: float) -> None:
    x = (np.random.default_rng(seed).random(400) < mean).astype(float)
    found = betting_sequence(x, 0.05)
    assert (np.diff(found.low) >= 0).all()
    assert (np.diff(found.high) <= 0).all()
    # Several evaluations are intersected: an early one that missed stays, and may exclude later values.
    once = betting_sequence(x, 0.05, evaluations=np.array([400]))
    assert once.low[-1] <= once.centre[-1] <= once.high[-1]


def test_a_betting_sequence_misses_the_truth_no_more_often_than_asked() -> None:
    x = (np.random.default_rng(3).random((1000, 500)) < 0.1).astype(float)
    # The sequence leaves out 0.1 exactly when the capital against it reached 2 / alpha on either side.
    refuted = [(log_capital(side, mean) >= math.log(2 / 0.05)) for side, mean in ((x, 0.1), (1 - x, 0.9))]
    assert (refuted[0] | refuted[1]).any(axis=1).mean() <= 0.05


def test_the_score_of_a_difference_has_the_difference_as_mean_and_its_variance() -> None:
    found = cohort(5, 200_000, a=0.10, b=0.12)
    scores = scores_of_difference(found.converted, found.second, 0.1)
    centre, low, high = asymptotic_sequence(
        scores, 0.05, horizon=1e5, least_spread=pooled_spread(found.converted, 0.1)
    )
    assert low[-1] < 0.02 < high[-1]
    assert centre[-1] == pytest.approx(0.02, abs=0.01)
    assert scores.std() == pytest.approx(math.sqrt(0.12 * 0.88 / 0.1 + 0.1 * 0.9 / 0.9), rel=0.03)


def test_each_lead_is_given_the_same_time_and_what_comes_later_does_not_count() -> None:
    hour = 3600
    leads = [
        Lead(first=0, version="6", grade_a=True, known=hour, value=10.0),
        Lead(first=5, version="7", grade_a=False, known=5 + 3 * hour, value=20.0),
        Lead(first=9, version="7", grade_a=False),
        Lead(first=9 * hour, version="7", grade_a=False, known=9 * hour + 1, value=30.0),
    ]
    found = mature(leads, "7", now=10 * hour, exposure=2 * hour)
    assert found.at.tolist() == [2 * hour, 5 + 2 * hour, 9 + 2 * hour]
    assert found.second.tolist() == [False, True, True]
    assert found.converted.tolist() == [1.0, 0.0, 0.0]
    assert found.value.tolist() == [10.0, 0.0, 0.0]
    assert found.immature == 1


def test_what_is_known_of_a_mature_lead_never_changes() -> None:
    lead = Lead(first=0, version="6", grade_a=False)
    early = mature([lead], "7", now=100, exposure=50)
    lead.known, lead.value = 80, 5.0
    late = mature([lead], "7", now=100, exposure=50)
    assert early.converted.tolist() == late.converted.tolist() == [0.0]
