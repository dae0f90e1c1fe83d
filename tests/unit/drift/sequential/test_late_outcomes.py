"""The chart of leads and late outcomes.

Fair while nothing changes, and quick where a lead's evidence comes late.
"""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from leadscore.drift.sequential.late_outcomes import (
    BETS,
    NewOutcomes,
    OutcomeChart,
    OutcomeNull,
    OutcomeState,
    arrival_ratios,
    fit_null,
    outcome_ratios,
    start_outcomes,
    watch_outcomes,
)
from leadscore.errors import BadInputError

CALIBRATED = OutcomeNull(intercept=0.0, slope=1.0, timing=0.0, base=0.2)
CHART = OutcomeChart(CALIBRATED, run_length=1_000, horizon=40)
NOTHING = NewOutcomes(np.zeros(0, np.intp), np.zeros(0), np.zeros(0, np.bool_), np.zeros(0))


def logistic(logit: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logit))


def test_every_bet_on_an_outcome_is_fair_at_the_predicted_odds() -> None:
    p, days = np.array([0.02, 0.2, 0.9]), np.array([1.0, 14.0, 60.0])
    null = msgspec.structs.replace(CALIBRATED, intercept=0.5, timing=-0.2)
    chart = msgspec.structs.replace(CHART, null=null)
    otherwise, won = outcome_ratios(chart, p, days)
    chance = logistic(null.logits(p, days))[:, None]
    assert (chance * np.exp(won) + (1 - chance) * np.exp(otherwise)) == pytest.approx(np.ones((3, len(BETS))))


def test_bets_on_scores_are_fair_for_any_scores_of_the_same_mean() -> None:
    for scores in (np.full(10, 0.2), np.array([0.0] * 4 + [1.0]), np.linspace(0, 0.4, 11)):
        assert np.exp(arrival_ratios(CHART, scores)).mean(axis=0) == pytest.approx(np.ones(len(BETS)))


def test_score_and_outcome_together_are_the_label_s_own_ratio_under_label_shift() -> None:
    # Once the outcome is known the features tell nothing more of a shift of the label: only the label counts.
    p, days = np.array([0.05, 0.2, 0.7]), np.ones(3)
    otherwise, won = outcome_ratios(CHART, p, days)
    arrival = arrival_ratios(CHART, p)
    for i, bet in enumerate(BETS):
        if bet.leads:
            rate = logistic(np.log(0.25) + bet.shift)
            assert arrival[:, i] + won[:, i] == pytest.approx(np.full(3, np.log(rate / 0.2)))
            assert arrival[:, i] + otherwise[:, i] == pytest.approx(np.full(3, np.log((1 - rate) / 0.8)))


def test_the_null_learns_that_wins_come_in_sooner() -> None:
    rng = np.random.default_rng(1)
    p = rng.beta(2, 8, 40_000)
    converted = rng.random(len(p)) < p
    days = np.exp(rng.normal(size=len(p)) + np.where(converted, 1.0, 1.3))
    null = fit_null(p, converted, days)
    # Log-normal delays of the same spread: their log-density ratio is linear in log(days), with this slope.
    assert null.timing == pytest.approx(-0.3, abs=0.05)
    assert null.slope == pytest.approx(1.0, abs=0.05)
    assert null.base == pytest.approx(p.mean())


def test_a_reference_without_conversions_is_refused() -> None:
    with pytest.raises(BadInputError, match="3 of 100"):
        fit_null(np.full(100, 0.1), np.arange(100) < 3, np.ones(100))


def test_outcomes_of_leads_from_before_the_change_do_not_drown_those_after_it() -> None:
    # Leads 1 to 20 convert as predicted, later ones hardly at all; each outcome comes ten evaluations
    # after its lead.
    rng = np.random.default_rng(2)
    rows, change, wait = 20, 20, 10
    state, scores, step = start_outcomes(CHART), [], None
    for evaluation in range(1, 41):
        scores.append(rng.beta(2, 8, rows))
        known = NOTHING
        if evaluation > wait:
            p = scores[evaluation - wait - 1]
            won = rng.random(rows) < (p if evaluation - wait <= change else 0.15 * p)
            known = NewOutcomes(np.full(rows, evaluation - wait), p, won, np.ones(rows))
        step = watch_outcomes(CHART, state, scores[-1], known)
        if step.alarm:
            break
        state = step.state
    assert step is not None
    assert step.alarm
    assert "fewer" in step.bet or "lower" in step.bet
    # The change is dated by its leads, ten evaluations before the first outcome that shows it.
    assert 17 <= step.since <= 24
    assert step.state == start_outcomes(CHART)


def test_outcomes_may_come_in_any_order() -> None:
    rng = np.random.default_rng(3)
    p, won = rng.beta(2, 8, 60), rng.random(60) < 0.1
    arrived = [p[:20], p[20:40], p[40:]]
    evaluations = np.repeat([1, 2, 3], 20)
    steps = []
    for order in (np.arange(60), rng.permutation(60)):
        state = start_outcomes(CHART)
        for scores in arrived:
            state = watch_outcomes(CHART, state, scores, NOTHING).state
        known = NewOutcomes(evaluations[order], p[order], won[order], np.ones(60))
        steps.append(watch_outcomes(CHART, state, np.zeros(0), known))
    assert steps[0].statistic == pytest.approx(steps[1].statistic)


def test_outcomes_that_are_too_late_are_left_out() -> None:
    chart = msgspec.structs.replace(CHART, horizon=2)
    state = start_outcomes(chart)
    for _ in range(3):
        state = watch_outcomes(chart, state, np.array([0.2, 0.3]), NOTHING).state
    late = NewOutcomes(np.array([1, 2]), np.array([0.2, 0.2]), np.array([True, True]), np.array([9.0, 9.0]))
    quiet = watch_outcomes(chart, state, np.array([0.2]), NOTHING)
    assert watch_outcomes(chart, state, np.array([0.2]), late).statistic == quiet.statistic
    assert len(quiet.state.blocks) == 2


def test_an_outcome_of_a_lead_that_is_yet_to_come_is_refused() -> None:
    early = NewOutcomes(np.array([2]), np.array([0.2]), np.array([True]), np.array([1.0]))
    with pytest.raises(BadInputError, match="evaluation 2 at 1"):
        watch_outcomes(CHART, start_outcomes(CHART), np.array([0.2]), early)


def test_a_state_survives_a_restart_of_the_job() -> None:
    scores = np.array([0.1, 0.4])
    known = NewOutcomes(np.array([1]), np.array([0.4]), np.array([False]), np.array([0.1]))
    state = watch_outcomes(CHART, start_outcomes(CHART), scores, NOTHING).state
    kept = msgspec.json.decode(msgspec.json.encode(state), type=OutcomeState)
    chart = msgspec.json.decode(msgspec.json.encode(CHART), type=OutcomeChart)
    assert watch_outcomes(chart, kept, scores, known) == watch_outcomes(CHART, state, scores, known)


def test_a_chart_that_alarms_always_is_refused() -> None:
    with pytest.raises(ValueError, match="run length above 1"):
        OutcomeChart(CALIBRATED, run_length=1.0, horizon=10)
