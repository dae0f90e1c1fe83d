from __future__ import annotations

import numpy as np

from leadscore.drift.watch.season import week_followers

DAY = 86_400_000_000
# Midnight of Monday, 2026-06-01.
MONDAY = 20_605 * DAY


def moments(rows: int, days: int = 14) -> np.ndarray:
    return MONDAY + np.arange(rows, dtype=np.int64) * (days * DAY // rows)


def test_what_follows_the_hour_or_the_weekday_is_found_and_nothing_else():
    at = moments(1_400)
    rng = np.random.default_rng(3)
    hour, weekday = at // (DAY // 24) % 24, (at // DAY + 3) % 7
    answered = (rng.random(len(at)) < np.where(hour < 8, 0.2, 0.5)).astype(int)
    columns = np.column_stack([hour, weekday, answered, rng.integers(0, 5, len(at))])
    assert week_followers(("busy", "shift", "answered", "any"), columns, at) == (
        "busy", "shift", "answered",
    )  # fmt: skip


def test_a_feature_that_changes_between_two_weeks_does_not_follow_the_week():
    at = moments(1_400)
    rng = np.random.default_rng(4)
    moved = (rng.random(len(at)) < np.where(at < MONDAY + 7 * DAY, 0.2, 0.6)).astype(int)
    assert week_followers(("moved",), moved[:, None], at) == ()


def test_too_few_leads_say_nothing():
    at = moments(6)
    assert week_followers(("busy",), np.arange(6)[:, None], at) == ()
    assert week_followers(("busy",), np.zeros((0, 1), dtype=int), at[:0]) == ()
    assert week_followers(("constant",), np.ones((700, 1), dtype=int), moments(700)) == ()


def test_what_says_when_a_lead_came_is_found_by_its_name():
    month = np.full((700, 1), 6)
    assert week_followers(("created_month",), month, moments(700)) == ("created_month",)
    assert week_followers(("calls_per_month",), month, moments(700)) == ()
