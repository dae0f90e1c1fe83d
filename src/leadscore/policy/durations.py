"""Spans of time as people write them in YAML: `90s`, `30m`, `24h`, `7d`, `2w`."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

from leadscore.errors import BadInputError

# The same as the pattern in the custom resources' schemas. Some 30 years at most: no sum with a time can overflow.
PATTERN: Final = "([1-9][0-9]{0,8}s|[1-9][0-9]{0,6}m|[1-9][0-9]{0,4}h|[1-9][0-9]{0,3}d|[1-9][0-9]{0,2}w)"
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_duration(text: str) -> timedelta:
    """The span of time.

    Raises:
        BadInputError: Not a whole number followed by s, m, h, d or w, or more than 999 weeks.
    """
    if not re.fullmatch(PATTERN, text):
        raise BadInputError(
            f"{text[:40]!r} is not a duration.", hint="Write 90s, 30m, 24h, 7d or 2w; at most 999w."
        )
    return timedelta(**{_UNITS[text[-1]]: int(text[:-1])})


def format_time(moment: datetime) -> str:
    """RFC 3339 in UTC to the second, as the API server writes times."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
