import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loadtests.shapes import SHAPES, Constant, Ramp, Spike, make_shape

seconds = st.floats(0.5, 20)
rates = st.floats(0.5, 200)


def test_the_constant_shape_is_due_every_fortieth_of_a_second_at_25_per_second():
    due = list(Constant(seconds=60, rate=25).arrivals())

    assert len(due) == 1500
    assert due[:3] == [0.0, 0.04, 0.08]


@given(st.sampled_from(SHAPES), seconds, rates, rates)
def test_due_times_never_decrease_and_stay_inside_the_run(name, length, rate, peak):
    due = list(make_shape(name, seconds=length, rate=rate, peak=peak).arrivals())

    assert due[0] == 0.0
    assert all(earlier <= later < length for earlier, later in pairwise(due))


@given(seconds, rates, rates)
def test_a_ramp_sends_the_area_under_its_line(length, start, peak):
    count = sum(1 for _ in Ramp(length, start, peak).arrivals())

    assert count == pytest.approx((start + peak) / 2 * length, abs=1.01)


@given(seconds, rates, rates)
def test_a_spike_sends_the_area_under_its_steps(length, base, peak):
    count = sum(1 for _ in Spike(length, base, peak).arrivals())

    assert count == pytest.approx(base * length * 5 / 6 + peak * length / 6, abs=3.01)


def test_a_ramp_ends_at_its_peak_rate():
    due = list(Ramp(seconds=10, start=10, peak=200).arrivals())

    assert sum(9 <= moment < 10 for moment in due) == pytest.approx(190, abs=2)
    assert sum(moment < 1 for moment in due) == pytest.approx(19, abs=2)


def test_a_spike_is_ten_times_denser_in_its_middle():
    shape = Spike(seconds=60, base=25, peak=250)
    due = list(shape.arrivals())

    assert sum(shape.spike_start <= moment < shape.spike_end for moment in due) == 2500
    assert sum(moment < shape.spike_start for moment in due) == 625


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("what", ["seconds", "rate", "peak"])
def test_a_figure_that_is_not_above_zero_is_refused(what, bad):
    figures = {"seconds": 10.0, "rate": 25.0, "peak": 250.0, what: bad}

    with pytest.raises(ValueError, match="must be above zero"):
        make_shape("constant", **figures)


def test_an_unknown_shape_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="constant, ramp, spike"):
        make_shape("sawtooth", seconds=1, rate=1, peak=1)
