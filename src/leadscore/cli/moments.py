"""Moments and durations that people type.

One reading for all commands, and an error that names the option.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, datetime, timedelta

from leadscore.durations import parse_duration
from leadscore.errors import BadInputError

_MONTH, _DAY = len("2026-03"), len("2026-03-01")


def parse_moment(text: str, option: str, *, last: bool = False) -> datetime:
    """A day (`2026-03-01`), a month (`2026-03`) or an ISO 8601 time.

    In UTC, which is also meant where no zone is given.

    Args:
        text: As typed.
        option: Which option it was typed for, such as `--since`.
        last: A day or month means its last moment, not its first.

    Raises:
        BadInputError: None of the three.
    """
    try:
        if len(text) == _MONTH:
            moment = datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC)
        else:
            moment = datetime.fromisoformat(text)
            moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        if not last or len(text) > _DAY:
            return moment
        days = monthrange(moment.year, moment.month)[1] if len(text) == _MONTH else 1
        return moment + (timedelta(days=days) - timedelta(microseconds=1))
    # The second: a time whose day in UTC is not in the calendar (0001-01-01T00:00+14:00).
    except (ValueError, OverflowError) as error:
        raise BadInputError(
            f"{option} {text!r} is not a day, month or time.",
            hint=f"Write {option} 2026-03-01, 2026-03 or 2026-03-01T12:00:00Z.",
        ) from error


def parse_span(text: str, option: str, *, zero: bool = False) -> timedelta:
    """Return a duration such as `30d` that was typed for an option.

    Args:
        text: As typed.
        option: Which option it was typed for, such as `--exposure`.
        zero: Whether it may be nothing, such as `0d`.

    Raises:
        BadInputError: As `parse_duration`; the sentence names the option.
    """
    try:
        return parse_duration(text, zero=zero)
    except BadInputError as error:
        raise BadInputError(f"{option}: {error.message}", hint=error.hint) from error
