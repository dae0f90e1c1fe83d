from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from leadscore.console.page import NumberTile, PageContent, PageVerdict, check_readable, read_range
from leadscore.errors import BadInputError
from leadscore.monitoring.measures import Measure

NOW = datetime(2026, 11, 29, 14, 3, tzinfo=UTC)


def test_a_page_without_a_range_has_its_own() -> None:
    found = read_range({}, "7d", NOW)
    assert (found.until - found.since, found.until, found.name) == (timedelta(days=7), NOW, "7d")


def test_two_days_are_both_whole() -> None:
    found = read_range({"since": "2026-11-01", "until": "2026-11-02"}, "24h", NOW)
    assert (found.since, found.until) == (
        datetime(2026, 11, 1, tzinfo=UTC),
        datetime(2026, 11, 3, tzinfo=UTC),
    )
    assert found.name == "custom"


def test_a_moment_with_another_zone_is_turned_to_utc() -> None:
    assert read_range({"since": "2026-11-29T10:00:00+02:00"}, "24h", NOW).since.hour == 8


@pytest.mark.parametrize(
    "given",
    [
        {"range": "soon"}, {"range": "0d"}, {"range": "999w"}, {"since": "x"},
        {"since": "2026-11-03", "until": "2026-11-01"},
        {"since": "2027-01-01", "until": "2027-01-02"}, {"since": "1990-01-01"},
        {"until": "9999-12-31"}, {"until": "0001-01-01T00:00:00Z"}, {"since": "0001-01-01T00:00:00+14:00"},
        {"until": "9999-12-31T23:59:59-14:00"}, {"until": "0002-06-01"},
        {"since": "1960-01-01", "until": "1960-01-02"},
    ],
)  # fmt: skip
def test_a_range_that_is_none_is_said(given: dict[str, str]) -> None:
    with pytest.raises(BadInputError):
        read_range(given, "24h", NOW)


def test_a_range_of_the_future_is_called_so() -> None:
    for given in ({"since": "2030-01-01"}, {"since": "2030-01-01", "until": "2030-01-02"}):
        with pytest.raises(BadInputError, match="lies in the future"):
            read_range(given, "24h", NOW)


@pytest.mark.parametrize("text", ["nul\0", "half \ud800", "over\u202eride", "bell\x07"])
def test_a_text_that_cannot_be_stored_or_seen_is_refused(text: str) -> None:
    with pytest.raises(BadInputError, match=r"'reason' has a character that cannot be seen \(U\+"):
        check_readable({"reason": text}, kept=True)
    check_readable({"reason": "two\nlines,\ta tab, née 李 👩\u200d💻 <b>'\";--"}, kept=True)


def test_an_id_of_odd_letters_can_be_looked_for() -> None:
    check_readable({"id": "over\u202eride \x07"}, kept=False)
    with pytest.raises(BadInputError):
        check_readable({"id": "nul\0"}, kept=False)


def test_a_page_has_few_numbers() -> None:
    tiles = [NumberTile(label="x", measure=Measure(value=1, n=1))] * 8
    with pytest.raises(ValueError, match="at most 7"):
        PageContent(verdict=PageVerdict(level="good", sentence="x"), tiles=tiles)


def test_days_in_the_wrong_order_are_said_as_they_were_given() -> None:
    with pytest.raises(BadInputError, match=r"From \(2026-11-20\) is after To \(2026-11-10\)"):
        read_range({"since": "2026-11-20", "until": "2026-11-10"}, "24h", NOW)
