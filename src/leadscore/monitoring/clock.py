"""Features that say when a lead came: in a few hours they differ from training without any change.

Six hours hold one weekday, which training had seven of, and a month is one of twelve. The contract does not
say which features are parts of a time, so their names are asked. Pages, metrics and alerts compare none of
them; detectors, whose windows and seasons are chosen, do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

# `created_hour` is a part of a time; `calls_per_hour` is not.
CLOCK_PARTS: Final = (
    "hour", "hour_of_day", "weekday", "day_of_week", "dayofweek", "day_of_month", "week", "week_of_year",
    "month", "quarter",
)  # fmt: skip


def follows_clock(name: str, parts: Sequence[str] = CLOCK_PARTS) -> bool:
    """Whether a feature is called like a part of a time: `weekday`, `created_weekday`."""
    return bool(parts) and re.fullmatch(clock_pattern(parts), name) is not None


def clock_pattern(parts: Sequence[str]) -> str:
    """A regular expression of such names, as RE2 and Python both read it.

    RE2 cannot look behind: that the word before is not `per` is spelled out.
    """
    before = "((.*[^r]|(.*[^e])?r|(.*[^p])?er)_)?"
    return f"{before}({'|'.join(map(re.escape, parts))})"
