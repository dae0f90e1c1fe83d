"""When a cron schedule runs next, for the person who looks at a DriftDetector (Kubernetes itself starts the Jobs).

The five fields as in POSIX crontab with names, lists, ranges and steps; day of month and day of week are alternatives
where both are restricted. Sunday is 0 and never 7, as Kubernetes has it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from leadscore.errors import BadInputError

_NICKNAMES: Final = {
    "@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *",
}  # fmt: skip
_MONTHS: Final = ("", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_BOUNDS: Final = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
# A leap day that must be a given weekday may take that long.
_HORIZON: Final = timedelta(days=366 * 8 + 1)


def next_run(schedule: str, zone: str, after: datetime) -> datetime | None:
    """The first minute after `after` that the schedule names, in UTC; None if there is none within years.

    Raises:
        BadInputError: Not a schedule, or no such time zone.
    """
    minutes, hours, days, months, weekdays = _fields(schedule)
    any_day, any_weekday = len(days) == 31, len(weekdays) == 7
    try:
        local = after.astimezone(ZoneInfo(zone))
    # OSError: a folder of the database, such as Europe, or a name that no file can have.
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise BadInputError(f"There is no time zone {zone!r}.", hint="Use an IANA name.") from error
    wall = local.replace(tzinfo=None, second=0, microsecond=0) + timedelta(minutes=1)
    end = wall + _HORIZON
    while wall < end:
        by_day, by_weekday = wall.day in days, wall.isoweekday() % 7 in weekdays
        right_day = (by_day and by_weekday) if any_day or any_weekday else (by_day or by_weekday)
        if wall.month not in months or not right_day:
            wall = wall.replace(hour=0, minute=0) + timedelta(days=1)
        elif wall.hour not in hours:
            wall = wall.replace(minute=0) + timedelta(hours=1)
        elif wall.minute not in minutes:
            wall += timedelta(minutes=1)
        else:
            moment = wall.replace(tzinfo=local.tzinfo).astimezone(UTC)
            # In the hour that a change of clocks leaves out, wall time does not come back as itself.
            if moment > after and moment.astimezone(local.tzinfo).replace(tzinfo=None) == wall:
                return moment
            wall += timedelta(minutes=1)
    return None


def _fields(schedule: str) -> tuple[frozenset[int], ...]:
    parts = _NICKNAMES.get(schedule.strip(), schedule).split()
    if len(parts) != len(_BOUNDS):
        raise BadInputError(f"{schedule!r} is not a cron schedule.", hint="Write five fields or @daily.")
    try:
        fields = [
            _field(part, *bounds, names)
            for part, bounds, names in zip(parts, _BOUNDS, ((), (), (), _MONTHS, _DAYS), strict=True)
        ]
    except ValueError as error:
        raise BadInputError(
            f"{schedule!r} is not a cron schedule: {error}.", hint="See crontab(5)."
        ) from error
    return tuple(fields)


def _field(text: str, low: int, high: int, names: tuple[str, ...]) -> frozenset[int]:
    found: set[int] = set()
    for part in text.lower().split(","):
        span, _, step = part.partition("/")
        if span in {"*", "?"}:
            first, last = low, high
        elif "-" in span:
            a, b = span.split("-", 1)
            first, last = _number(a, names), _number(b, names)
        else:
            first = _number(span, names)
            last = high if step else first
        if not low <= first <= last <= high:
            raise ValueError(f"{part} is out of range")
        stride = _number(step, ()) if "/" in part else 1
        if stride < 1:
            raise ValueError(f"{part} has no step")
        found.update(range(first, last + 1, stride))
    return frozenset(found)


def _number(text: str, names: tuple[str, ...]) -> int:
    if text and text in names:
        return names.index(text)
    # int() takes signs, underlines and every script's digits, and Kubernetes takes none of them.
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{text!r} is not a number")
    return int(text)
