"""Durations as people write them (`90s`, `30m`, `24h`, `7d`, `2w`), and times as the API server does."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

from leadscore.errors import BadInputError

# The same as the pattern in the custom resources' schemas. Some 30 years at most: no sum with a time can
# overflow.
PATTERN: Final = "([1-9][0-9]{0,8}s|[1-9][0-9]{0,6}m|[1-9][0-9]{0,4}h|[1-9][0-9]{0,3}d|[1-9][0-9]{0,2}w)"
_ZERO: Final = "0[smhdw]"
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_duration(text: str, *, zero: bool = False) -> timedelta:
    """Return the duration.

    Args:
        text: A whole number followed by s, m, h, d or w.
        zero: Whether it may be nothing, such as `0d`.

    Raises:
        BadInputError: Not of that form, nothing where `zero` is false, or more than 999 weeks.
    """
    if not re.fullmatch(f"{PATTERN}|{_ZERO}" if zero else PATTERN, text):
        least = "0d, " if zero else ""
        raise BadInputError(
            f"{text[:40]!r} is not a duration.", hint=f"Write {least}90s, 30m, 24h, 7d or 2w; at most 999w."
        )
    return timedelta(**{_UNITS[text[-1]]: int(text[:-1])})


def format_time(moment: datetime) -> str:
    """Return RFC 3339 in UTC to the second, as the API server writes times."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
