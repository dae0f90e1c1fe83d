import math

import pytest
from benchmarks.row import Row, at_least, at_most, figure


@pytest.mark.parametrize(
    ("goal", "value", "met"),
    [
        (at_least(10), 10.0, True),
        (at_least(10), 9.99, False),
        (at_most(5), 5.0, True),
        (at_most(5), 5.01, False),
        (at_most(5), math.nan, False),
        (at_least(5), math.nan, False),
        (at_least(5), None, False),
        (None, 7.0, None),
    ],
)
def test_a_goal_is_met_at_its_bound_and_never_by_what_was_not_measured(goal, value, met):
    assert Row("n", "what", value, "ms", goal).met is met


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (250_000.4, "rows/s", "250,000 rows/s"),
        (12.345, "x", "12.3x"),
        (0.00321, "ms", "0.00321 ms"),
        (0.7011, "", "0.701"),
        (None, "s", "not measured"),
    ],
)
def test_figures_have_three_digits_and_their_unit(value, unit, text):
    assert figure(value, unit) == text
