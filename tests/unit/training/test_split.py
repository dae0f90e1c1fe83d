from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadscore.errors import RefusedError
from leadscore.training.split import expanding_folds, split_windows

sorted_ticks = st.lists(st.integers(0, 60), min_size=30, max_size=200).map(
    lambda t: np.sort(np.array(t, np.int64))
)


def spread(n: int) -> np.ndarray:
    return np.arange(n, dtype=np.int64) * 10


def test_shares_are_met_and_the_newest_leads_are_held_out() -> None:
    split = split_windows(spread(1000), None, calibration=0.15, holdout=0.2, gap=0)
    assert (len(split.train), len(split.calibration), len(split.holdout)) == (650, 150, 200)
    assert split.train.max() < split.calibration.min() < split.holdout.min()


@given(ticks=sorted_ticks, gap=st.integers(0, 5))
def test_equal_times_are_never_on_two_sides(ticks: np.ndarray, gap: int) -> None:
    if len(np.unique(ticks)) < 12:
        return
    split = split_windows(ticks, None, calibration=0.15, holdout=0.2, gap=gap)
    sides = [set(ticks[rows]) for rows in (split.train, split.calibration, split.holdout)]
    assert sides[0].isdisjoint(sides[1])
    assert sides[1].isdisjoint(sides[2])
    assert max(sides[0]) <= min(sides[1]) - gap


@given(ticks=sorted_ticks, delays=st.integers(0, 2**32), gap=st.integers(0, 5))
def test_folds_never_train_on_what_was_not_known_when_validation_begins(
    ticks: np.ndarray, delays: int, gap: int
) -> None:
    rng = np.random.default_rng(delays)
    known = ticks + rng.integers(0, 20, len(ticks))
    converted = rng.random(len(ticks)) < 0.5
    folds, skipped = expanding_folds(ticks, known, converted, end=len(ticks), folds=4, gap=gap)
    assert len(folds) + len(skipped) == 4
    for fold in folds:
        begin = ticks[fold.validation].min()
        assert (known[fold.train] <= begin).all()
        assert (ticks[fold.train] <= begin - gap).all()
        assert (ticks[fold.train] < begin).all()


def test_training_leads_whose_label_came_late_are_embargoed() -> None:
    ticks = spread(100)
    known = ticks.copy()
    known[60] = 10_000
    split = split_windows(ticks, known, calibration=0.15, holdout=0.2, gap=0)
    assert 60 not in split.train
    assert split.embargoed == 1


def test_folds_expand_and_follow_each_other() -> None:
    converted = np.arange(600) % 2 == 0
    folds, skipped = expanding_folds(spread(600), None, converted, end=600, folds=5, gap=0)
    assert [len(f.train) for f in folds] == [100, 200, 300, 400, 500]
    assert [len(f.validation) for f in folds] == [100] * 5
    assert skipped == ()


def test_one_class_folds_are_skipped_with_the_reason() -> None:
    converted = np.zeros(600, bool)
    converted[300:] = np.arange(300) % 2 == 0
    folds, skipped = expanding_folds(spread(600), None, converted, end=600, folds=5, gap=0)
    assert [s.fold for s in skipped] == [1, 2, 3]
    assert "0 converted" in skipped[0].reason
    assert len(folds) == 2


def test_coarse_times_leave_fewer_folds_and_say_so() -> None:
    ticks = np.repeat(np.array([0, 100], np.int64), 50)
    folds, skipped = expanding_folds(ticks, None, np.arange(100) % 2 == 0, end=100, folds=5, gap=0)
    assert len(folds) == 1
    assert all("share their time" in s.reason for s in skipped)


def test_two_times_cannot_make_three_windows() -> None:
    with pytest.raises(RefusedError, match="2 different time"):
        split_windows(np.repeat(np.array([0, 1], np.int64), 50), None, calibration=0.2, holdout=0.2, gap=0)


def test_nothing_left_to_train_on_is_refused() -> None:
    with pytest.raises(RefusedError, match="known outcome by its start"):
        split_windows(spread(100), spread(100) + 10**9, calibration=0.2, holdout=0.2, gap=0)
