"""When a cron schedule runs next, for people who look at a DriftDetector.

Kubernetes itself starts the Jobs.

CronSim iterates over wall-clock times; this module handles changes of clocks, and spellings of Kubernetes
that differ from Debian's cron. Kubernetes' scheduler (github.com/robfig/cron) runs nothing in
the hour that the clocks leave out, and twice what lies in the hour that they repeat; Debian's cron
makes up for the one and leaves out the other.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from leadscore.errors import BadInputError

_NICKNAMES: Final = {
    "@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *",
}  # fmt: skip
_ANY_TIME: Final = datetime(2000, 1, 1, tzinfo=UTC)
# More than any change of clocks puts back or forward.
_SHIFT: Final = timedelta(hours=2)


def next_run(schedule: str, zone: str, after: datetime) -> datetime | None:
    """Return the first minute after `after` that the schedule names, in UTC; None if no calendar has one.

    Raises:
        BadInputError: Not a schedule, or no such time zone.
    """
    try:
        local = after.astimezone(ZoneInfo(zone))
    # OSError: a folder of the database, such as Europe, or a name that no file can have.
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise BadInputError(f"There is no time zone {zone!r}.", hint="Use an IANA name.") from error
    expression = _expression(schedule)
    try:
        walls = CronSim(expression, local.replace(tzinfo=None) - _SHIFT)
    except CronSimError:
        # Each field is well-formed, and together they name a day such as 31 February.
        return None
    found, until = None, datetime.max  # noqa: DTZ901 (a wall clock has no zone)
    for wall in walls:
        if wall > until:
            break
        for fold in (0, 1):
            moment = wall.replace(tzinfo=local.tzinfo, fold=fold).astimezone(UTC)
            # In the hour that a change of clocks leaves out, wall time does not come back as itself.
            if moment > after and moment.astimezone(local.tzinfo).replace(tzinfo=None) == wall:
                # In the hour that is repeated, a later wall time may be the earlier moment.
                found, until = min(found or moment, moment), min(until, wall + _SHIFT)
    return found


def _expression(schedule: str) -> str:
    """The five fields as CronSim reads them.

    Raises:
        BadInputError: Kubernetes would refuse the schedule.
    """
    parts = _NICKNAMES.get(schedule.strip(), schedule).replace("?", "*").upper().split()
    # Debian's cron knows more: the last day or weekday of a month, the third Monday, and Sunday as 7.
    if len(parts) != 5 or re.search(r"[^0-9*,/-]", parts[2]) or re.search(r"L|#|(?<![0-9/])7", parts[4]):
        raise BadInputError(
            f"{schedule!r} is not a cron schedule.",
            hint="Write five fields as Kubernetes reads them, or @daily.",
        )
    minute, hour, day, month, weekday = parts
    day, weekday = _stepped(day, 1, 31), _stepped(weekday, 0, 6)
    try:
        CronSim(f"{minute} {hour} {day} * {weekday}", _ANY_TIME)
        CronSim(f"0 0 1 {month} *", _ANY_TIME)
    except CronSimError as error:
        raise BadInputError(
            f"{schedule!r} is not a cron schedule: {error}.", hint="See crontab(5)."
        ) from error
    return f"{minute} {hour} {day} {month} {weekday}"


def _stepped(field: str, first: int, last: int) -> str:
    """A field of days with the ends of its steps.

    With a step, `*` restricts a field, and `3/2` ends where days do.
    """
    terms = [re.sub(r"^(\w+)/", rf"\1-{last}/", term) for term in field.split(",")]
    return ",".join(re.sub(r"^\*/(?!0*1$)", f"{first}-{last}/", term) for term in terms)
