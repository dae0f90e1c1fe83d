from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def runs(schedule: str, zone: str, after: datetime, count: int) -> list[str]:
    """So many runs in a row, each as day, hour, minute and offset."""
    found: list[str] = []
    moment: datetime | None = after
    for _ in range(count):
        assert moment is not None
        moment = next_run(schedule, zone, moment)
        assert moment is not None
        found.append(moment.astimezone(ZoneInfo(zone)).strftime("%d %H:%M%z"))
    return found


def test_half_past_two_in_berlin_does_not_come_in_march_and_comes_twice_in_october_as_kubernetes_has_it() -> (
    None
):
    march, october = datetime(2026, 3, 27, 12, tzinfo=UTC), datetime(2026, 10, 23, 12, tzinfo=UTC)
    assert runs("30 2 * * *", "Europe/Berlin", march, 3) == [
        "28 02:30+0100",
        "30 02:30+0200",
        "31 02:30+0200",
    ]
    repeated = ["25 02:30+0200", "25 02:30+0100"]
    assert runs("30 2 * * *", "Europe/Berlin", october, 4) == ["24 02:30+0200", *repeated, "26 02:30+0100"]


def test_a_schedule_by_the_minute_goes_through_both_changes_without_a_gap() -> None:
    march, october = datetime(2026, 3, 29, 0, 29, tzinfo=UTC), datetime(2026, 10, 25, 0, 29, tzinfo=UTC)
    assert runs("*/30 * * * *", "Europe/Berlin", march, 3) == [
        "29 01:30+0100",
        "29 03:00+0200",
        "29 03:30+0200",
    ]
    twice = ["25 02:30+0200", "25 02:00+0100", "25 02:30+0100", "25 03:00+0100"]
    assert runs("*/30 * * * *", "Europe/Berlin", october, 4) == twice


def test_clocks_that_change_by_half_an_hour_or_at_midnight_are_followed() -> None:
    # Lord Howe: 02:00 becomes 02:30 on 4 October 2026, and 02:00 becomes 01:30 on 5 April.
    assert runs("15 2 * * *", "Australia/Lord_Howe", datetime(2026, 10, 3, 0, tzinfo=UTC), 1) == [
        "05 02:15+1100"
    ]
    april = runs("45 1 * * *", "Australia/Lord_Howe", datetime(2026, 4, 4, 0, tzinfo=UTC), 2)
    assert april == ["05 01:45+1100", "05 01:45+1030"]
    # Santiago: 5 September 2026 has no hour after 24:00.
    assert runs("0 0 * * *", "America/Santiago", datetime(2026, 9, 5, 12, tzinfo=UTC), 1) == ["07 00:00-0300"]


def brute_force(schedule: tuple[set[int], set[int]], zone: str, after: datetime) -> datetime:
    """Minute by minute, as a clock on the wall would show it."""
    moment = after.replace(second=0, microsecond=0) + timedelta(minutes=1)
    while True:
        local = moment.astimezone(ZoneInfo(zone))
        if local.minute in schedule[0] and local.hour in schedule[1]:
            return moment
        moment += timedelta(minutes=1)


# Naive, as Hypothesis takes them.
MARCH = datetime(2026, 3, 27), datetime(2026, 3, 31)  # noqa: DTZ001
OCTOBER = datetime(2026, 10, 23), datetime(2026, 10, 27)  # noqa: DTZ001


@given(
    minutes=st.sets(st.integers(0, 59), min_size=1, max_size=4),
    hours=st.sets(st.integers(0, 5), min_size=1, max_size=3),
    after=st.datetimes(*MARCH) | st.datetimes(*OCTOBER),
    zone=st.sampled_from(
        ["Europe/Berlin", "Etc/UTC", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]
    ),
)  # fmt: skip
def test_the_next_run_is_the_next_minute_that_a_clock_on_the_wall_would_show(
    minutes: set[int], hours: set[int], after: datetime, zone: str
) -> None:
    schedule = f"{','.join(map(str, minutes))} {','.join(map(str, hours))} * * *"
    moment = after.replace(tzinfo=UTC)
    assert next_run(schedule, zone, moment) == brute_force((minutes, hours), zone, moment)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        # Either day: a step makes a star a restriction, as Kubernetes reads it and Debian's cron does not.
        ("0 0 */10 * 4", ["11 00:00", "12 00:00", "19 00:00"]),
        ("0 0 */1 * 4", ["12 00:00", "19 00:00", "26 00:00"]),
        ("0 0 * * 3/2", ["11 00:00", "13 00:00", "18 00:00"]),
        ("0 0 ? * fri,Sat", ["13 00:00", "14 00:00", "20 00:00"]),
        ("0 0 * * */7", ["15 00:00", "22 00:00", "29 00:00"]),
    ],
)
def test_days_are_read_as_kubernetes_reads_them(schedule: str, expected: list[str]) -> None:
    assert [run[:8] for run in runs(schedule, "Etc/UTC", AFTER, 3)] == expected


@pytest.mark.parametrize(
    "schedule", ["0 0 L * *", "0 0 LW * *", "0 0 * * 5L", "0 0 * * MON#2", "0 0 * * 1-7", "0 0 31 x *"]
)
def test_what_debian_s_cron_knows_and_kubernetes_does_not_is_refused(schedule: str) -> None:
    with pytest.raises(BadInputError):
        next_run(schedule, "Etc/UTC", AFTER)
