from __future__ import annotations

from datetime import UTC, datetime

import pytest

from leadscore.events.ingest import _turn
from leadscore.events.partitions import month_after, month_name, month_of, months_to_make

DAY = 86_400_000_000


def us(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000_000)


@pytest.mark.parametrize(
    ("moment", "start", "after"),
    [
        ("2026-11-01T00:00:00", "2026-11-01", "2026-12-01"),
        ("2026-11-30T23:59:59.999999", "2026-11-01", "2026-12-01"),
        ("2026-12-31T23:59:59", "2026-12-01", "2027-01-01"),
        ("2028-02-29T12:00:00", "2028-02-01", "2028-03-01"),
    ],
)
def test_months_are_those_of_the_calendar_in_utc(moment: str, start: str, after: str) -> None:
    assert month_of(us(moment)) == us(start)
    assert month_after(us(start)) == us(after)


def test_names_say_which_month() -> None:
    assert month_name("in", us("2026-02-01")) == "predictions_in_2026_02"


def test_the_coming_months_are_made_and_those_of_late_records_but_none_for_a_broken_clock() -> None:
    now = us("2026-11-29")
    ahead = {us("2026-11-01"), us("2026-12-01"), us("2027-01-01")}
    assert months_to_make([], now) == ahead
    assert months_to_make([us("2023-05-05"), 0, us("2105-01-01")], now) == ahead | {us("2023-05-01")}


def test_the_first_and_the_last_day_of_a_month_are_at_its_turn() -> None:
    assert _turn(us("2026-12-01") // DAY) == us("2026-12-01")
    assert _turn(us("2026-11-30") // DAY) == us("2026-12-01")
    assert _turn(us("2026-11-29") // DAY) is None
