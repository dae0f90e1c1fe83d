from __future__ import annotations

import numpy as np
import pytest

from leadscore.errors import RefusedError
from leadscore.training.window import TrainingWindow, iso, mature_until, select_rows, select_window


def days(first: str, count: int, per_day: int = 1) -> np.ndarray:
    start = np.datetime64(first, "us")
    return np.repeat(start + np.arange(count) * np.timedelta64(1, "D"), per_day)


def select(time: np.ndarray, known: np.ndarray, **changes: object) -> TrainingWindow:
    settings = {"months": 6, "min_records": 1, "min_completeness": 0.8} | changes
    return select_window(time, np.where(known, np.arange(len(time)) % 4 == 0, np.nan), **settings)


def test_window_is_the_latest_calendar_months() -> None:
    time = days("2025-01-01", 365)
    window = select(time, np.ones(365, bool), months=3)
    assert iso(window.end) == "2025-12-31T00:00:00Z"
    assert iso(window.start) == "2025-10-01T00:00:00Z"


def test_months_as_times_give_whole_months() -> None:
    time = np.array(
        ["2008-05", "2008-06", "2008-07", "2008-08", "2008-09", "2008-10"], "datetime64[M]"
    ).astype("datetime64[us]")
    window = select(np.repeat(time, 10), np.ones(60, bool), months=2)
    assert len(window.rows) == 20


def test_months_are_counted_back_from_the_end_of_a_longer_month() -> None:
    time = np.array(["2025-02-27", "2025-02-28", "2025-03-01", "2025-08-31"], "datetime64[us]")
    assert len(select(time, np.ones(4, bool), months=6, min_completeness=0).rows) == 2


def test_leads_come_in_order_of_time_and_ties_in_table_order() -> None:
    time = np.array(["2025-01-02", "2025-01-01", "2025-01-02", "2025-01-01"], "datetime64[us]")
    assert select(time, np.ones(4, bool)).rows.tolist() == [1, 3, 0, 2]


def test_newest_weeks_with_few_known_labels_are_left_out() -> None:
    time = days("2025-01-01", 70)
    known = np.ones(70, bool)
    known[56:] = False
    known[[57, 60]] = True
    window = select(time, known)
    assert window.young == 2
    assert window.rows.max() == 55


def test_a_table_that_never_has_enough_labels_is_refused_with_months_and_rates() -> None:
    known = np.zeros(70, bool)
    known[::3] = True
    with pytest.raises(RefusedError, match="In no part of the table do 80% of the leads") as caught:
        select(days("2025-01-01", 70), known)
    text = str(caught.value)
    assert "24 of 70" in text
    assert "2025-01: 11 of 31, 27.3% of these converted" in text
    assert len(select(days("2025-01-01", 70), known, min_completeness=0.2).rows) == known.sum()


def test_leads_after_the_mature_moment_are_young_however_many_are_known() -> None:
    window = select(days("2025-01-01", 70), np.ones(70, bool), mature=np.datetime64("2025-02-10T12", "us"))
    assert iso(window.end) == "2025-02-10T00:00:00Z"
    assert window.young == 70 - 41


def test_one_quick_win_in_a_short_last_week_does_not_make_the_table_mature() -> None:
    # Nine weeks, the newest four without outcomes, then one lead that was won on its first day.
    time, known = days("2025-01-01", 64, per_day=3), np.ones(64 * 3, bool)
    known[35 * 3 :] = False
    known[63 * 3 :] = [True, False, False]
    time, known = time[: 63 * 3 + 1], known[: 63 * 3 + 1]
    assert mature_until(time, known, 0.8) == np.datetime64("2025-02-05", "us") - np.timedelta64(1, "us")


def test_a_complete_week_after_open_ones_does_not_count() -> None:
    time, known = days("2025-01-01", 70), np.ones(70, bool)
    known[21:56] = False
    known[63:] = False
    assert mature_until(time, known, 0.8) == np.datetime64("2025-01-22", "us") - np.timedelta64(1, "us")


def test_too_few_leads_are_refused_with_what_is_missing() -> None:
    time = days("2025-01-01", 90)
    known = np.ones(90, bool)
    known[10:15] = False
    with pytest.raises(RefusedError) as caught:
        select(time, known, min_records=10_000)
    text = str(caught.value)
    assert "10,000" in text
    assert "85" in text
    assert "2025-01: 26 of 31, 26.9% of these converted" in text
    assert "5 lead(s) of these months have no known outcome yet" in text


def test_no_label_at_all_is_refused() -> None:
    with pytest.raises(RefusedError, match="None of the 10 leads has a known outcome"):
        select(days("2025-01-01", 10), np.zeros(10, bool))


def test_row_order_takes_all_labelled_rows() -> None:
    known = np.array([True, False, True])
    assert select_rows(known, min_records=2).rows.tolist() == [0, 2]
    with pytest.raises(RefusedError, match="the table has 2"):
        select_rows(known, min_records=3)
