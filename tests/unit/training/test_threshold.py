from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadscore.training.options import Costs
from leadscore.training.threshold import capacity_threshold, choose_threshold, grades_by_capacity


def test_default_grades_take_ten_twenty_and_thirty_percent() -> None:
    probabilities = np.random.default_rng(0).random(10_000)
    grades = grades_by_capacity(probabilities)
    shares = np.bincount(grades.codes(probabilities), minlength=4) / 10_000
    np.testing.assert_allclose(shares, [0.1, 0.2, 0.3, 0.4], atol=0.002)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50), st.floats(0.01, 0.99))
def test_grades_are_ordered_whatever_the_scores(values: list[float], capacity: float) -> None:
    grades = grades_by_capacity(np.array(values), capacity)
    assert grades.c <= grades.b <= grades.a


def test_ties_take_the_nearer_cut_and_at_least_one_lead() -> None:
    probabilities = np.array([0.9] * 3 + [0.5] * 7)
    assert capacity_threshold(probabilities, 0.1) == 0.9
    assert capacity_threshold(np.full(10, 0.3), 0.1) == 0.3


def test_costs_decide_at_their_ratio() -> None:
    decision = choose_threshold(np.array([0.1, 0.2]), 0.1, Costs(false_positive=1, false_negative=9))
    assert (decision.method, decision.threshold) == ("cost", pytest.approx(0.1))
