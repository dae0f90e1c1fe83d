from __future__ import annotations

from datetime import UTC, datetime

import pytest

from leadscore.cli.train import parse_as_of
from leadscore.errors import BadInputError


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2008-10", datetime(2008, 10, 31, 23, 59, 59, 999999, tzinfo=UTC)),
        ("2008-02-29", datetime(2008, 2, 29, 23, 59, 59, 999999, tzinfo=UTC)),
        ("2008-10-31T12:00:00", datetime(2008, 10, 31, 12, tzinfo=UTC)),
        ("2008-10-31T12:00:00+02:00", datetime(2008, 10, 31, 10, tzinfo=UTC)),
    ],
)
def test_as_of_means_the_end_of_the_day_or_month(text: str, moment: datetime) -> None:
    assert parse_as_of(text) == moment


@pytest.mark.parametrize("text", ["yesterday", "2008-13", "2008-10-32", ""])
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(BadInputError, match="is not a date"):
        parse_as_of(text)
