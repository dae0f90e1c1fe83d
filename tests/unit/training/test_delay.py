"""Delays of outcomes, learnt from leads of which some are still open."""

from __future__ import annotations

import numpy as np
import pytest

from leadscore.training.delay import DelayModel, learn_delays


def funnel(
    seed: int,
    *,
    loss_days: float,
    win_days: float = 14.0,
    span: float = 1095.0,
    n: int = 20_000,
    never: float = 0.0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Outcome, delay, age and truth of leads that arrive evenly over `span` days.

    Log-normal delays by outcome.
    """
    rng = np.random.default_rng(seed)
    age = rng.uniform(0, span, n)
    won = rng.random(n) < 0.135
    days = np.where(won, win_days, loss_days) * np.exp(rng.normal(size=n))
    known = (days <= age) & (rng.random(n) >= never)
    return np.where(known, won, np.nan), np.where(known, days, np.nan), age, won


def learnt(outcome: np.ndarray, delay: np.ndarray, age: np.ndarray) -> DelayModel:
    model, why = learn_delays(outcome, delay, age)
    assert model is not None, why
    return model


@pytest.mark.parametrize(("loss_days", "win_days"), [(14, 14), (60, 14), (180, 14), (360, 14), (14, 180)])
def test_the_rate_is_the_true_one_whichever_outcome_is_slow(loss_days: float, win_days: float) -> None:
    outcome, delay, age, won = funnel(1, loss_days=loss_days, win_days=win_days)
    assert learnt(outcome, delay, age).rate == pytest.approx(won.mean(), abs=0.008)


def test_weights_undo_the_selection_of_the_known() -> None:
    outcome, delay, age, won = funnel(2, loss_days=180)
    model = learnt(outcome, delay, age)
    old = age >= model.usable_age(0.25)
    known = ~np.isnan(outcome) & old
    weights = model.weights(outcome[known] > 0.5, age[known])
    assert np.average(outcome[known], weights=weights) == pytest.approx(won[old].mean(), abs=0.01)
    assert outcome[known].mean() > won[old].mean() + 0.02


def test_medians_are_those_of_the_delays() -> None:
    model = learnt(*funnel(3, loss_days=60)[:3])
    assert model.age_of(0.5, 1) == pytest.approx(14, rel=0.1)
    assert model.age_of(0.5, 0) == pytest.approx(60, rel=0.1)


def test_an_age_that_was_never_reached_is_none() -> None:
    model = learnt(*funnel(4, loss_days=360, span=400)[:3])
    assert model.mature_age(0.8) is None
    # Four in five wins are known early all the same: they alone do not make a cohort mature.
    assert model.age_of(0.8, 1) is not None


def test_leads_that_never_get_an_outcome_are_told_from_those_that_are_late() -> None:
    never = learnt(*funnel(5, loss_days=14, never=0.1)[:3])
    assert never.never_share == pytest.approx(0.1, abs=0.01)
    late = learnt(*funnel(5, loss_days=360)[:3])
    assert late.open_share > 0.05
    assert late.never_share == 0.0


def test_dates_that_one_class_lacks_teach_nothing() -> None:
    outcome, delay, age, _ = funnel(6, loss_days=60)
    model, why = learn_delays(outcome, np.where(outcome == 0, np.nan, delay), age)
    assert model is None
    assert "losses have a date" in why
    some = np.where((outcome == 0) & (np.arange(len(age)) % 3 == 0), np.nan, delay)
    assert learn_delays(outcome, some, age) == (None, "33% of the losses have no date")
