"""The drop of conversion: at most one false alarm a year under daily looking, and real drops are found."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.rows.conversion_drop import alarms_of_a_year, found_within, simulate

from leadscore.alerts.conversion import LEAST_EXPECTED, conversion_change


def change(baseline: tuple[int, int], window: tuple[int, int], completeness: float | None = 0.9):
    """The change between two rates spread evenly over the days."""
    days = [(baseline[0] // 28, baseline[1] // 28)] * 28, [(window[0] // 7, window[1] // 7)] * 7
    return conversion_change(*days, as_of=None, completeness=completeness)


def test_the_number_is_the_relative_change_with_its_interval() -> None:
    found = change((2800, 28_000), (560, 7_000))
    assert found.value == pytest.approx(-0.2)
    assert found.n == 7_000
    assert found.low is not None
    assert found.high is not None
    assert found.low < -0.2 < found.high < 0


@pytest.mark.parametrize(
    ("baseline", "window", "completeness", "why"),
    [
        ((280, 2_800), (0, 0), 0.9, "Too few"),
        ((0, 0), (70, 700), 0.9, "Too few"),
        ((0, 2_800), (0, 700), 0.9, "Too few"),
        ((28, 280), (7, 70), 0.9, "Too few"),
        ((2800, 28_000), (560, 7_000), 0.3, "Only 30%"),
    ],
)
def test_too_little_is_unknown(
    baseline: tuple[int, int], window: tuple[int, int], completeness: float, why: str
) -> None:
    found = change(baseline, window, completeness)
    assert found.value is None
    assert why in found.unknown


def test_a_week_without_any_conversion_is_a_drop_and_no_error() -> None:
    found = change((2800, 28_000), (0, 7_000))
    assert found.value == -1
    assert found.high is not None
    assert found.high < -0.9


@pytest.mark.parametrize("expected", [LEAST_EXPECTED, 300.0, 3_000.0])
@pytest.mark.parametrize("spread", [0.0, 0.3], ids=["chance", "campaigns"])
def test_calm_streams_alarm_at_most_once_a_year(expected: float, spread: float) -> None:
    rng = np.random.default_rng(20261130)
    years = [alarms_of_a_year(simulate(rng, expected, days=400, spread=spread)) for _ in range(25)]
    assert np.mean(years) <= 1.0


def test_a_fixed_rule_of_ten_per_cent_alarms_all_the_time() -> None:
    """What the interval is for: a tenth less, without asking whether it is chance."""
    rng = np.random.default_rng(20261130)
    years = [alarms_of_a_year(simulate(rng, 300.0, days=400), certain=False) for _ in range(5)]
    assert np.mean(years) > 5


def test_a_drop_by_a_fifth_is_found_within_four_weeks() -> None:
    rng = np.random.default_rng(20261130)
    found = [found_within(simulate(rng, 300.0, days=90, drop=0.2, at=60), at=60) for _ in range(40)]
    assert np.mean(found) >= 0.8
