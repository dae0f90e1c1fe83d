"""Features that follow the clock, by their names."""

from __future__ import annotations

from datetime import timedelta

import pytest

from leadscore.contract.clock import clock_cycle, follows_clock


@pytest.mark.parametrize("name", ["hour", "created_hour", "weekday", "created_weekday", "signup_day_of_week"])
def test_parts_of_a_time_follow_the_clock(name: str) -> None:
    assert follows_clock(name)


@pytest.mark.parametrize("name", ["calls_per_hour", "spend_per_month", "per_week", "hours", "rush", "source"])
def test_rates_and_others_do_not(name: str) -> None:
    assert not follows_clock(name)


def test_nothing_is_left_out_where_nothing_is_named() -> None:
    assert not follows_clock("created_hour", ())


@pytest.mark.parametrize(
    ("name", "days"),
    [
        ("created_hour", 1),
        ("signup_day_of_week", 7),
        ("weekday", 7),
        ("day_of_month", 30),
        ("created_month", 365),
    ],
)
def test_a_part_of_a_time_goes_round_in_its_cycle(name: str, days: int) -> None:
    assert clock_cycle(name) == timedelta(days=days)


def test_other_features_have_no_cycle() -> None:
    assert clock_cycle("calls_per_hour") is None
