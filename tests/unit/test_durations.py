from __future__ import annotations

from datetime import timedelta

import pytest

from leadscore.durations import parse_duration
from leadscore.errors import BadInputError


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("90s", timedelta(seconds=90)),
        ("30m", timedelta(minutes=30)),
        ("24h", timedelta(days=1)),
        ("7d", timedelta(days=7)),
        ("999w", timedelta(weeks=999)),
    ],
)
def test_a_duration_is_a_whole_number_and_a_unit(text: str, meant: timedelta) -> None:
    assert parse_duration(text) == meant


@pytest.mark.parametrize(
    "text",
    [
        "",
        "d",
        "7",
        "0d",
        "-1h",
        "-1d",
        "1.5h",
        "1y",
        "7 d",
        "1mo",
        "7d\n",
        "99999999w",
        "1000w",
        "9999999999s",
    ],
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(BadInputError):
        parse_duration(text)


def test_nothing_is_a_duration_only_where_that_is_meant() -> None:
    assert parse_duration("0d", zero=True) == timedelta()
    assert parse_duration("30d", zero=True) == timedelta(days=30)
    with pytest.raises(BadInputError, match="is not a duration"):
        parse_duration("", zero=True)
