"""Nights by the clock: each business date once, whatever 02:00 does in October and March."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from leadscore.batch.schedule import NightSchedule, due_nights, missed_nights, plan_nights
from leadscore.errors import BadInputError

ZONES = ("Europe/Berlin", "America/New_York", "UTC")
FIRST = date(2026, 1, 1)
BERLIN = NightSchedule("Europe/Berlin")


def firings(zone: str, hours: range) -> list[datetime]:
    """When a CronJob `0 HOURS * * *` of a time zone fires: whenever its clock shows such an hour."""
    start = datetime(2025, 12, 31, 23, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    moments = (start + timedelta(hours=i) for i in range(730 * 24 + 12))
    shown = [(m, m.astimezone(ZoneInfo(zone))) for m in moments]
    return [m for m, local in shown if local.hour in hours and FIRST <= local.date() < FIRST + timedelta(730)]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("hours", [range(2, 3), range(2, 8)], ids=["daily", "until it has ended"])
@pytest.mark.parametrize("failing", [0, 5])
def test_730_nights_are_730_runs(zone: str, hours: range, failing: int) -> None:
    schedule = NightSchedule(zone)
    runs = Counter[date]()
    late = 0
    for number, moment in enumerate(firings(zone, hours)):
        if failing and number % failing == 1:
            continue
        for day in plan_nights(schedule, moment, FIRST, runs.keys()):
            runs[day] += 1
            late += moment - schedule.due_at(day) > schedule.grace
    assert sorted(runs) == [FIRST + timedelta(days=i) for i in range(730)]
    assert set(runs.values()) == {1}
    if not failing:
        # By one firing a day, the night without 02:00 is made up by the next: two springs.
        assert late == (2 if len(hours) == 1 and zone != "UTC" else 0)


@pytest.mark.parametrize("zone", ZONES)
def test_730_nights_without_a_run_are_missed_one_by_one(zone: str) -> None:
    schedule, ended = NightSchedule(zone), set[date]()
    for i in range(730):
        day = FIRST + timedelta(days=i)
        deadline = schedule.due_at(day) + schedule.grace
        assert missed_nights(schedule, deadline - timedelta(seconds=1), FIRST, ended) == ()
        assert missed_nights(schedule, deadline, FIRST, ended) == (day,)
        ended.add(day)


def test_a_night_is_due_at_the_first_02_00_and_after_a_gap() -> None:
    assert BERLIN.due_at(date(2026, 10, 25)) == datetime(2026, 10, 25, 0, tzinfo=UTC)
    assert BERLIN.due_at(date(2026, 3, 29)) == datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert BERLIN.newest_due(datetime(2026, 11, 29, 0, 59, tzinfo=UTC)) == date(2026, 11, 28)
    assert BERLIN.newest_due(datetime(2026, 11, 29, 1, 0, tzinfo=UTC)) == date(2026, 11, 29)


def test_what_was_never_run_begins_with_the_newest_night() -> None:
    now = datetime(2026, 11, 29, 12, tzinfo=UTC)
    assert plan_nights(BERLIN, now, None, ()) == (date(2026, 11, 29),)
    assert plan_nights(BERLIN, now, None, {date(2026, 11, 29)}) == ()
    assert len(plan_nights(BERLIN, now, FIRST, ())) == 7
    assert due_nights(BERLIN, now, date(2026, 11, 28), 30) == (date(2026, 11, 28), date(2026, 11, 29))


@pytest.mark.parametrize(
    ("zone", "at", "grace", "what"),
    [
        ("Mars/Olympus", "02:00", "6h", "no time zone 'Mars/Olympus'"),
        ("../etc/passwd", "02:00", "6h", "no time zone"),
        ("UTC", "2 o'clock", "6h", "no time of day"),
        ("UTC", "02:00Z", "6h", "has a zone"),
        ("UTC", "02:00", "six", "not a duration"),
    ],
)
def test_a_schedule_that_is_none_is_a_sentence(zone: str, at: str, grace: str, what: str) -> None:
    with pytest.raises(BadInputError, match=what):
        NightSchedule.parse(zone, at, grace)


def test_the_schedule_comes_from_the_environment() -> None:
    assert NightSchedule.from_environment({}) == NightSchedule("UTC", time(2), timedelta(hours=6))
    environ = {
        "LEADSCORE_BATCH_ZONE": "Europe/Berlin",
        "LEADSCORE_BATCH_AT": "03:30",
        "LEADSCORE_BATCH_GRACE": "0h",
    }
    assert NightSchedule.from_environment(environ) == NightSchedule(
        "Europe/Berlin", time(3, 30), timedelta(0)
    )


def test_a_date_that_has_not_begun_in_the_zone_is_refused_for_it_would_not_be_run_when_it_comes() -> None:
    now = datetime(2026, 11, 30, 23, 30, tzinfo=UTC)
    assert BERLIN.read_date("2026-12-01", "--date", now) == date(2026, 12, 1)
    for text in ("2026-12-02", "2062-11-30", "9999-12-31"):
        with pytest.raises(BadInputError, match=r"has not begun: it is 2026-12-01 in Europe/Berlin"):
            BERLIN.read_date(text, "--date", now)
    with pytest.raises(BadInputError, match="it is 2026-11-30 in UTC"):
        NightSchedule().read_date("2026-12-01", "--date", now)
    with pytest.raises(BadInputError, match="lies before 2000"):
        BERLIN.read_date("0026-11-30", "--date", now)
    for text in ("", "yesterday", "2026-02-30"):
        with pytest.raises(BadInputError, match="is no date"):
            BERLIN.read_date(text, "--date", now)
