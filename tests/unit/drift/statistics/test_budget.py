"""False alarms as many as asked.

Exact run lengths, overlap of tests, and a small simulation of unchanged streams.
"""

from datetime import timedelta

import numpy as np
import pytest
from benchmarks.drift_streams import Stream, breach_chances, learning_run_lengths, static_run_lengths

from leadscore.drift.runlength import FalseAlarms, Hysteresis, breach_probability, mean_run_length
from leadscore.drift.statistics.budget import solve_level, window_p_value
from leadscore.drift.statistics.null import Tail
from leadscore.drift.statistics.overlap import (
    ScoreBlocks,
    base_draws,
    independent_cells,
    score_blocks,
    union_ratio,
)
from leadscore.errors import BadInputError

UNIFORM = Tail(np.linspace(0, 1, 100_001), 1 - np.linspace(0, 1, 100_001) + 1e-12)


def test_a_budget_in_time_is_a_run_length_in_windows():
    assert FalseAlarms(expected=2, per_hours=720).run_length(timedelta(days=1)) == 15


@pytest.mark.parametrize("rule", [(1, 1), (2, 3), (3, 5), (5, 5)])
@pytest.mark.parametrize("run_length", [20.0, 50.0, 5_000.0])
def test_the_breach_probability_gives_the_run_length(rule, run_length):
    hysteresis = Hysteresis(breaches=rule[0], windows=rule[1])
    assert mean_run_length(breach_probability(run_length, hysteresis), hysteresis) == pytest.approx(
        run_length, rel=1e-6
    )


def test_hysteresis_is_counted_as_it_is_applied():
    rng = np.random.default_rng(1)
    rule = Hysteresis(breaches=2, windows=3)
    breach = breach_probability(40.0, rule)
    lengths = []
    for _ in range(3_000):
        recent: list[bool] = []
        while not rule.met(tuple(recent)):
            recent.append(bool(rng.random() < breach))
        lengths.append(len(recent))
    assert np.mean(lengths) == pytest.approx(40.0, rel=0.08)


def test_a_budget_that_hysteresis_cannot_keep_is_refused():
    with pytest.raises(BadInputError, match="cannot be had"):
        breach_probability(2.0, Hysteresis(breaches=3, windows=5))


@pytest.mark.parametrize("level", [0.05, 1e-3, 1e-6])
@pytest.mark.parametrize("tests", [1, 4, 30])
def test_tests_that_are_one_alarm_as_one(tests, level):
    blocks = ScoreBlocks(np.ones((tests, tests)), np.arange(tests), tuple((i, "shift") for i in range(tests)))
    assert union_ratio(blocks, base_draws(blocks, 0), np.full(tests, level), 0) == pytest.approx(
        1 / tests, rel=0.02
    )


@pytest.mark.parametrize("level", [0.05, 1e-3, 1e-6])
def test_independent_tests_alarm_by_the_product_rule(level):
    blocks = ScoreBlocks(np.eye(30), np.arange(30), tuple((i, "shift") for i in range(30)))
    expected = (1 - (1 - level) ** 30) / (30 * level)
    assert union_ratio(blocks, base_draws(blocks, 0), np.full(30, level), 0) == pytest.approx(
        expected, rel=0.03
    )


def test_score_functions_are_standardised():
    cells = independent_cells((np.array([50, 30, 20]), np.array([70, 30])), (10, 0))
    blocks = score_blocks(
        cells, ((0, "distribution"), (0, "shift"), (0, "missing"), (1, "distribution"), (0, "range"))
    )
    assert blocks.degrees.tolist() == [2, 1, 1, 1, 1]
    assert np.allclose(np.diag(blocks.covariance), 1.0, atol=0.05)


def test_twenty_features_alarm_as_often_as_one_would():
    """At p < 0.05 each, twenty features alarm on 64 % of calm days."""
    blocks = ScoreBlocks(np.eye(20), np.arange(20), tuple((i, "shift") for i in range(20)))
    cuts = solve_level((UNIFORM,) * 20, blocks, 0.05)
    assert cuts.expected == pytest.approx(0.05, rel=0.01)
    assert 1 - (1 - cuts.level) ** 20 == pytest.approx(0.05, rel=0.05)
    assert window_p_value((UNIFORM,) * 20, 1.0, 0.05) == pytest.approx(1.0, rel=1e-3)


def test_discrete_tests_spend_no_more_than_the_budget_and_say_how_much():
    coarse = Tail(np.array([0.0, 1.0]), np.array([1.0, 0.03]))
    blocks = ScoreBlocks(np.eye(1), np.arange(1), ((0, "missing"),))
    assert solve_level((coarse,), blocks, 0.05).expected == pytest.approx(0.03)
    assert solve_level((coarse,), blocks, 0.02).expected == 0.0


def test_a_large_reference_keeps_the_run_length_of_correlated_features():
    ratios = static_run_lengths(Stream(4, 5_000, 100, 20.0), references=12, alarms=20, seed=3) / 20.0
    # 240 geometric run lengths have a mean with an error of 6 %, the references add as much.
    assert ratios.mean() == pytest.approx(1.0, abs=0.25)


def test_a_small_reference_keeps_the_run_length_by_learning():
    ratios = learning_run_lengths(Stream(3, 600, 150, 20.0), runs=60, seed=4) / 20.0
    # The mean of 60 geometric run lengths has an error of 13 %.
    assert ratios.mean() == pytest.approx(1.0, abs=0.4)


def test_drawn_breaches_are_as_frequent_as_waited_for_ones():
    stream = Stream(4, 5_000, 100, 20.0)
    drawn = 1.0 / breach_chances(stream, references=10, seed=5) / 20.0
    waited = static_run_lengths(stream, references=10, alarms=60, seed=5) / 20.0
    # 600 geometric run lengths have a mean with an error of 4 %, the draws one of 2 %; the references are the
    # same.
    assert drawn.mean() == pytest.approx(waited.mean(), rel=0.15)
