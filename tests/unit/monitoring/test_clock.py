"""Features that follow the clock, by their names."""

from __future__ import annotations

import pytest

from leadscore.monitoring.clock import follows_clock


@pytest.mark.parametrize("name", ["hour", "created_hour", "weekday", "created_weekday", "signup_day_of_week"])
def test_parts_of_a_time_follow_the_clock(name: str) -> None:
    assert follows_clock(name)


@pytest.mark.parametrize("name", ["calls_per_hour", "spend_per_month", "per_week", "hours", "rush", "source"])
def test_rates_and_others_do_not(name: str) -> None:
    assert not follows_clock(name)


def test_nothing_is_left_out_where_nothing_is_named() -> None:
    assert not follows_clock("created_hour", ())
