"""How a column writes its times."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadscore.contract.guess.times import guess_times, names_time
from leadscore.contract.text import read_time

DAYS = [datetime(2026, 1, 3, 13, 45) + timedelta(days=9 * i, minutes=i) for i in range(20)]  # noqa: DTZ001


def formats(*texts: str, counted: bool = True) -> list[str | None] | None:
    found = guess_times([(text, 1) for text in texts], counted=counted)
    return None if found is None else [form.time_format for form in found.forms]


@pytest.mark.parametrize(
    "written",
    [
        "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%Y/%m/%d", "%d/%m/%y", "%m/%d/%y", "%d %b %Y",
        "%d-%b-%Y", "%b %d, %Y", "%Y%m%d", "%d/%m/%Y %H:%M", "%m/%d/%Y %I:%M %p", "%m/%d/%Y %I:%M:%S %p",
        "%d.%m.%Y %H:%M:%S", "%d.%m.%Y, %H:%M", "%Y-%m-%d %I:%M %p", "%m/%d/%Y %H:%M:%S.%f",
        "%a, %d %b %Y %H:%M:%S",
    ],
)  # fmt: skip
def test_a_format_is_found_from_the_times_written_in_it(written: str):
    texts = [day.strftime(written) for day in DAYS]
    found = guess_times([(text, 1) for text in texts], counted=True)
    assert found is not None
    assert found.form is not None
    clock = "%H" in written or "%I" in written
    expected = [day if clock else day.replace(hour=0, minute=0) for day in DAYS]
    assert [read_time(text, found.form) for text in texts] == expected
    assert found.unread == 0


def test_day_and_month_that_no_number_settles_are_a_question():
    assert formats("03/04/2026", "05/06/2026") == ["%d/%m/%Y", "%m/%d/%Y"]
    assert formats("3/4/2026 9:30 AM") == ["%d/%m/%Y %I:%M %p", "%m/%d/%Y %I:%M %p"]
    assert formats("03.04.2026") == ["%d.%m.%Y"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("46027", "excel"),
        ("46027.5", "excel"),
        ("1767225600", "epoch_s"),
        ("1767225600123", "epoch_ms"),
        ("1767225600123456", "epoch_us"),
    ],
)
def test_numbers_are_times_only_where_the_column_is_one(text: str, name: str):
    assert formats(text) == [name]
    assert formats(text, counted=False) is None


@pytest.mark.parametrize(
    "text", ["2026-01-05", "2026-01", "2026-01-05T09:30:00.123456789Z", "2026-01-05 09:30+02:00"]
)
def test_iso_8601_needs_no_format(text: str):
    assert formats(text) == [None]


@pytest.mark.parametrize(
    "text", ["09:00", "1.2.3", "10.0.0.1", "soon", "5", "2026", "13/13/2026", "1/2", "A-1-2026"]
)
def test_other_texts_are_no_times(text: str):
    assert formats(text) is None


def test_a_few_typing_errors_do_not_hide_the_format():
    texts = [day.strftime("%m/%d/%Y") for day in DAYS]
    found = guess_times([*((text, 5) for text in texts), ("13/32/2026", 2)], counted=True)
    assert found is not None
    assert (found.form and found.form.time_format, found.unread) == ("%m/%d/%Y", 2)


def test_names_tell_moments():
    assert all(map(names_time, ["created_at", "CloseDate", "last_modified", "ts"]))
    assert not any(map(names_time, ["amount", "visits", "status"]))


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.datetimes(datetime(1990, 1, 1), datetime(2060, 1, 1)), min_size=1, max_size=10),  # noqa: DTZ001
    st.sampled_from(["%d/%m/%Y", "%m/%d/%Y"]),
)
def test_the_right_order_of_day_and_month_is_always_among_the_answers(days: list[datetime], written: str):
    texts = [day.strftime(written) for day in days]
    found = guess_times([(text, 1) for text in texts], counted=True)
    assert found is not None
    midnights = [day.replace(hour=0, minute=0, second=0, microsecond=0) for day in days]
    assert midnights in [[read_time(text, form) for text in texts] for form in found.forms]
