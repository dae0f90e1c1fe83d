from __future__ import annotations

from datetime import UTC, datetime

import pytest

from leadscore.errors import BadInputError
from leadscore_operator.decide.cron import next_run

AFTER = datetime(2026, 3, 10, 12, 30, 20, tzinfo=UTC)  # a Tuesday


@pytest.mark.parametrize(
    ("schedule", "zone", "expected"),
    [
        ("5 * * * *", "Etc/UTC", "2026-03-10T13:05"),
        ("@hourly", "Etc/UTC", "2026-03-10T13:00"),
        ("30 12 * * *", "Etc/UTC", "2026-03-11T12:30"),
        ("*/20 * * * *", "Etc/UTC", "2026-03-10T12:40"),
        ("0 4 * * mon", "Etc/UTC", "2026-03-16T04:00"),
        ("0 4 * * 0", "Etc/UTC", "2026-03-15T04:00"),
        ("0 0 1 * 1", "Etc/UTC", "2026-03-16T00:00"),  # either day
        ("0 0 29 feb *", "Etc/UTC", "2028-02-29T00:00"),
        ("@daily", "Europe/Prague", "2026-03-10T23:00"),
        ("0 10-12/2 * * 1-5", "Etc/UTC", "2026-03-11T10:00"),
    ],
)
def test_the_next_run_is_the_one_that_cron_would_make(schedule: str, zone: str, expected: str) -> None:
    found = next_run(schedule, zone, AFTER)
    assert found is not None
    assert found.strftime("%Y-%m-%dT%H:%M") == expected


def test_an_hour_that_the_clocks_leave_out_has_no_run() -> None:
    found = next_run("30 2 * * *", "Europe/Prague", datetime(2026, 3, 28, 12, tzinfo=UTC))
    assert found == datetime(2026, 3, 30, 0, 30, tzinfo=UTC)


def test_a_day_that_never_comes_is_none() -> None:
    assert next_run("0 0 31 feb *", "Etc/UTC", AFTER) is None


@pytest.mark.parametrize(
    "schedule",
    [
        *("", "* * * *", "60 * * * *", "x * * * *", "5-1 * * * *"),
        # As Kubernetes refuses them; a step backwards was looked for, minute by minute, for eight years.
        *(
            "*/-1 * * * *",
            "*/0 * * * *",
            "*/ * * * *",
            "1_0 * * * *",
            "\u0663 * * * *",
            "0 0 * * 7",
            "-1 * * * *",
        ),
    ],
)
def test_what_is_no_schedule_is_refused(schedule: str) -> None:
    with pytest.raises(BadInputError):
        next_run(schedule, "Etc/UTC", AFTER)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "Europe", "../etc/passwd", "A" * 300, ""])
def test_an_unknown_time_zone_is_refused(zone: str) -> None:
    with pytest.raises(BadInputError, match="time zone"):
        next_run("@daily", zone, AFTER)
