"""Spans of time as people write them in YAML: `90s`, `30m`, `24h`, `7d`, `2w`."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

from leadscore.errors import BadInputError

# The same as the pattern in the custom resources' schemas.
PATTERN: Final = r"^[1-9][0-9]*(s|m|h|d|w)$"
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_duration(text: str) -> timedelta:
    """The span of time.

    Raises:
        BadInputError: Not a whole number followed by s, m, h, d or w.
    """
    if not re.fullmatch(PATTERN, text):
        raise BadInputError(f"{text!r} is not a duration.", hint="Write 90s, 30m, 24h, 7d or 2w.")
    return timedelta(**{_UNITS[text[-1]]: int(text[:-1])})


def format_time(moment: datetime) -> str:
    """RFC 3339 in UTC to the second, as the API server writes times."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
