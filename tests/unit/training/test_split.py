from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadscore.errors import RefusedError
from leadscore.training.split import expanding_folds, split_windows, whole_weeks

sorted_ticks = st.lists(st.integers(0, 60), min_size=30, max_size=200).map(
    lambda t: np.sort(np.array(t, np.int64))
)


def spread(n: int) -> np.ndarray:
    return np.arange(n, dtype=np.int64) * 10


def test_shares_are_met_and_the_newest_leads_are_held_out() -> None:
    split = split_windows(spread(1000), calibration=0.15, holdout=0.2, gap=0)
    assert (len(split.train), len(split.calibration), len(split.holdout)) == (650, 150, 200)
    assert split.train.max() < split.calibration.min() < split.holdout.min()


@given(ticks=sorted_ticks, gap=st.integers(0, 5))
def test_equal_times_are_never_on_two_sides(ticks: np.ndarray, gap: int) -> None:
    if len(np.unique(ticks)) < 12:
        return
    split = split_windows(ticks, calibration=0.15, holdout=0.2, gap=gap)
    sides = [set(ticks[rows]) for rows in (split.train, split.calibration, split.holdout)]
    assert sides[0].isdisjoint(sides[1])
    assert sides[1].isdisjoint(sides[2])
    assert max(sides[0]) <= min(sides[1]) - gap


@given(ticks=sorted_ticks, embargo=st.integers(0, 20), ids=st.integers(0, 2**32))
def test_folds_train_on_whole_cohorts_that_are_old_enough(ticks: np.ndarray, embargo: int, ids: int) -> None:
    rng = np.random.default_rng(ids)
    who = rng.integers(0, len(ticks), len(ticks))
    converted = rng.random(len(ticks)) < 0.5
    folds, skipped = expanding_folds(ticks, converted, end=len(ticks), folds=4, embargo=embargo, ids=who)
    assert len(folds) + len(skipped) == 4
    for fold in folds:
        begin = ticks[fold.validation].min()
        old = np.flatnonzero((ticks <= begin - embargo) & (ticks < begin))
        # Nothing but age, and an id that is judged on, keeps a lead out.
        assert fold.train.tolist() == [i for i in old if who[i] not in set(who[fold.validation])]


@given(ticks=sorted_ticks, seed=st.integers(0, 2**32), mature=st.integers(0, 30))
def test_an_id_is_on_one_side_of_the_windows(ticks: np.ndarray, seed: int, mature: int) -> None:
    if len(np.unique(ticks)) < 12:
        return
    who = np.random.default_rng(seed).integers(0, 2 * len(ticks), len(ticks))
    split = split_windows(ticks, calibration=0.15, holdout=0.2, gap=0, mature=mature, ids=who)
    sides = [set(who[rows]) for rows in (split.train, split.calibration, split.holdout)]
    assert sides[0].isdisjoint(sides[1] | sides[2])
    assert sides[1].isdisjoint(sides[2])
    kept = len(split.train) + len(split.calibration) + len(split.holdout)
    assert kept + split.embargoed + split.repeated == len(ticks)


def test_training_waits_for_the_age_of_outcomes_if_half_of_the_leads_remain() -> None:
    split = split_windows(spread(100), calibration=0.15, holdout=0.2, gap=20, mature=300)
    assert split.train.max() == 35
    assert split.embargo == 300
    assert split.embargoed == 29


def test_where_outcomes_take_longer_than_the_window_training_takes_whole_cohorts_all_the_same() -> None:
    split = split_windows(spread(100), calibration=0.15, holdout=0.2, gap=20, mature=400)
    assert split.train.max() == 63
    assert split.embargo == 20


def test_folds_expand_and_follow_each_other() -> None:
    converted = np.arange(600) % 2 == 0
    folds, skipped = expanding_folds(spread(600), converted, end=600, folds=5, embargo=0)
    assert [len(f.train) for f in folds] == [100, 200, 300, 400, 500]
    assert [len(f.validation) for f in folds] == [100] * 5
    assert skipped == ()


def test_one_class_folds_are_skipped_with_the_reason() -> None:
    converted = np.zeros(600, bool)
    converted[300:] = np.arange(300) % 2 == 0
    folds, skipped = expanding_folds(spread(600), converted, end=600, folds=5, embargo=0)
    assert [s.fold for s in skipped] == [1, 2, 3]
    assert "0 converted" in skipped[0].reason
    assert len(folds) == 2


def test_coarse_times_leave_fewer_folds_and_say_so() -> None:
    ticks = np.repeat(np.array([0, 100], np.int64), 50)
    folds, skipped = expanding_folds(ticks, np.arange(100) % 2 == 0, end=100, folds=5, embargo=0)
    assert len(folds) == 1
    assert all("share their time" in s.reason for s in skipped)


def test_two_times_cannot_make_three_windows() -> None:
    with pytest.raises(RefusedError, match="2 different time"):
        split_windows(np.repeat(np.array([0, 1], np.int64), 50), calibration=0.2, holdout=0.2, gap=0)


def test_nothing_left_to_train_on_is_refused() -> None:
    with pytest.raises(RefusedError, match="can be trained on"):
        split_windows(spread(100), calibration=0.2, holdout=0.2, gap=10**9)


HOUR = 3_600_000_000


def hourly(days: float) -> np.ndarray:
    return np.arange(int(days * 24), dtype=np.int64) * HOUR + 1_780_000_000_000_000


@pytest.mark.parametrize("days", [7.2, 30, 31, 33.5, 61])
def test_a_reference_has_as_many_leads_of_each_weekday(days: float) -> None:
    ticks = hourly(days)
    kept = whole_weeks(ticks)
    weekdays = np.bincount(ticks[kept] // (24 * HOUR) % 7, minlength=7)
    assert len(set(weekdays.tolist())) == 1
    # The newest ones, and less than a week is lost.
    assert kept[-1] == len(ticks) - 1
    assert len(kept) > len(ticks) - 7 * 24


def test_leads_of_exactly_some_weeks_are_all_kept_and_so_are_those_of_some_days() -> None:
    assert len(whole_weeks(hourly(28))) == 28 * 24
    # Nobody works at night: the first lead comes at eight, the last one at six.
    assert len(whole_weeks(hourly(28)[8:-6])) == 28 * 24 - 14
    assert len(whole_weeks(hourly(5))) == 5 * 24
