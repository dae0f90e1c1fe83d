"""When a night is due, which nights are to be run, and which were missed. Pure: times in, dates out.

A night is a business date. It is due at a time of day in a time zone, once, whatever the clocks do: where
that time comes twice (02:00 in October), at the first; where it is left out (in March), when it would have
been.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from leadscore.durations import parse_duration
from leadscore.errors import BadInputError

ZONE_VARIABLE: Final = "LEADSCORE_BATCH_ZONE"
AT_VARIABLE: Final = "LEADSCORE_BATCH_AT"
GRACE_VARIABLE: Final = "LEADSCORE_BATCH_GRACE"
MODELS_VARIABLE: Final = "LEADSCORE_BATCH_MODELS"
# Nights before these are not made up by themselves, and not missed any more.
CATCH_UP_DAYS: Final = 7
MISSED_DAYS: Final = 14
_DAY: Final = timedelta(days=1)
# What is older is a slip of the pen, and from a model's first night on nights are expected.
_FIRST_DATE: Final = date(2000, 1, 1)


@dataclass(frozen=True, slots=True)
class NightSchedule:
    """When nights are due.

    Attributes:
        zone: Time zone of business dates.
        at: Time of day at which a date's run is due.
        grace: How long after that it has to have ended; later it is missed.
    """

    zone: str = "UTC"
    at: time = time(2)
    grace: timedelta = timedelta(hours=6)

    @classmethod
    def parse(cls, zone: str, at: str, grace: str) -> NightSchedule:
        """Read what people write.

        Raises:
            BadInputError: There is no such zone, or it is no time of day or duration.
        """
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise BadInputError(
                f"There is no time zone {zone!r}.", hint="Such as Europe/Berlin or UTC."
            ) from error
        try:
            clock = time.fromisoformat(at)
        except ValueError as error:
            raise BadInputError(f"{at!r} is no time of day.", hint="Write it like 02:00.") from error
        if clock.tzinfo is not None:
            raise BadInputError(f"The time of day {at!r} has a zone.", hint=f"{ZONE_VARIABLE} says which.")
        return cls(zone, clock, parse_duration(grace, zero=True))

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> NightSchedule:
        """Read the variables; 02:00 UTC with six hours of grace where they say nothing."""
        return cls.parse(
            environ.get(ZONE_VARIABLE) or "UTC",
            environ.get(AT_VARIABLE) or "02:00",
            environ.get(GRACE_VARIABLE) or "6h",
        )

    def business_date(self, moment: datetime) -> date:
        """The date that a moment has in the schedule's zone."""
        return moment.astimezone(ZoneInfo(self.zone)).date()

    def read_date(self, text: str, option: str, now: datetime) -> date:
        """Read a business date to run, which has to have begun: a run of it happens once, and never again.

        Raises:
            BadInputError: It is no date, has not begun in the schedule's zone, or is older than any record.
        """
        day = parse_date(text, option)
        today = self.business_date(now)
        if day > today:
            raise BadInputError(
                f"{option} {day} has not begun: it is {today} in {self.zone}.",
                hint=f"A date is run once, so it would not be run when it comes. {ZONE_VARIABLE} (or --zone) "
                "says whose dates they are.",
            )
        if day < _FIRST_DATE:
            raise BadInputError(
                f"{option} {day} lies before {_FIRST_DATE}.", hint="Is the year written with four digits?"
            )
        return day

    def due_at(self, day: date) -> datetime:
        """The moment (UTC) from which a date's run is due."""
        return datetime.combine(day, self.at, ZoneInfo(self.zone)).astimezone(UTC)

    def newest_due(self, now: datetime) -> date:
        """The newest date that is due."""
        day = self.business_date(now)
        return day if self.due_at(day) <= now else day - _DAY


def parse_date(text: str, option: str) -> date:
    """Read a date as people write it.

    Raises:
        BadInputError: It is none.
    """
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise BadInputError(f"{option} {text!r} is no date.", hint="Write it like 2026-11-29.") from error


def night_models(environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Names of models that have nights, also if none was ever run."""
    return tuple(environ.get(MODELS_VARIABLE, "").replace(",", " ").split())


def due_nights(schedule: NightSchedule, now: datetime, first: date | None, days: int) -> tuple[date, ...]:
    """Dates that are due, oldest first.

    Args:
        schedule: When.
        now: With a zone.
        first: None before it; None: only the newest, because no night was ever run.
        days: At most so many, the newest.
    """
    newest = schedule.newest_due(now)
    if first is None:
        return (newest,)
    back = (newest - _DAY * i for i in reversed(range(days)))
    return tuple(day for day in back if day >= first)


def plan_nights(
    schedule: NightSchedule, now: datetime, first: date | None, ended: Collection[date]
) -> tuple[date, ...]:
    """Dates to run now, oldest first: those that are due and have not ended, of a week at most."""
    return tuple(day for day in due_nights(schedule, now, first, CATCH_UP_DAYS) if day not in ended)


def missed_nights(
    schedule: NightSchedule, now: datetime, first: date, ended: Collection[date]
) -> tuple[date, ...]:
    """Dates whose run should have ended by now and has not, oldest first, of two weeks at most."""
    due = due_nights(schedule, now - schedule.grace, first, MISSED_DAYS)
    return tuple(day for day in due if day not in ended)
