"""Features that say when a lead came: a time shorter than their cycle differs from training by itself.

Six hours hold one weekday, which training had seven of, and a week holds one month of twelve. The contract
does not say which features are parts of a time, so their names are asked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

_DAY: Final = timedelta(days=1)
_YEAR: Final = timedelta(days=365)
# How long it takes until all values have come. `created_hour` is a part of a time; `calls_per_hour` is not.
_CYCLES: Final = {
    "hour": _DAY, "hour_of_day": _DAY,
    "weekday": 7 * _DAY, "day_of_week": 7 * _DAY, "dayofweek": 7 * _DAY,
    "day_of_month": 30 * _DAY,
    "week": _YEAR, "week_of_year": _YEAR, "month": _YEAR, "quarter": _YEAR,
}  # fmt: skip
CLOCK_PARTS: Final = tuple(_CYCLES)


def clock_cycle(name: str) -> timedelta | None:
    """How long a feature that is called like a part of a time takes to go round; None for any other."""
    return next((cycle for part, cycle in _CYCLES.items() if follows_clock(name, (part,))), None)


def follows_clock(name: str, parts: Sequence[str] = CLOCK_PARTS) -> bool:
    """Whether a feature is called like a part of a time: `weekday`, `created_weekday`."""
    return bool(parts) and re.fullmatch(clock_pattern(parts), name) is not None


def clock_pattern(parts: Sequence[str]) -> str:
    """A regular expression of such names, as RE2 and Python both read it.

    RE2 cannot look behind: that the word before is not `per` is spelled out.
    """
    before = "((.*[^r]|(.*[^e])?r|(.*[^p])?er)_)?"
    return f"{before}({'|'.join(map(re.escape, parts))})"
