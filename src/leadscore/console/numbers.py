"""How numbers, times and ages are written: the same everywhere on the console.

Units stand behind a space that no line is broken at.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from leadscore.console.page import Money, NumberName, NumberUnit
from leadscore.monitoring.measures import Measure

UNKNOWN_TEXT: Final = "unknown"


def count_text(value: float) -> str:
    """`1,234,567`."""
    return f"{value:,.0f}"


def share_text(value: float) -> str:
    """`12.3 %`; two digits more below a tenth of a percent, so that a small share is not written as none."""
    percent = value * 100
    return f"{percent:.3g}\u00a0%" if 0 < abs(percent) < 0.1 else f"{percent:.1f}\u00a0%"


def number_text(value: float) -> str:
    """Four significant digits, thousands parted: `0.8123`, `12.35`, `1,235`."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    digits = max(3 - math.floor(math.log10(abs(value))), 0)
    return f"{value:,.{min(digits, 6)}f}"


def index_text(value: float) -> str:
    """Three decimals, so that a column of them can be compared: `0.245`, `0.007`, `< 0.001`."""
    return "< 0.001" if 0 < value < 0.0005 else f"{value:,.3f}"


def milliseconds_text(value: float) -> str:
    """`25 ms`; a decimal below ten, two below one."""
    decimals = 0 if value >= 10 else 1 if value >= 1 else 2
    return f"{value:,.{decimals}f}\u00a0ms"


def money_text(value: float, currency: str = "") -> str:
    """Whole units, `EUR 12,345`; cents below a hundred; no sign where the currency is not known."""
    amount = f"{value:,.2f}" if abs(value) < 100 else f"{value:,.0f}"
    return f"{currency}\u00a0{amount}" if currency else amount


_WRITERS: Final[Mapping[NumberName, Callable[[float], str]]] = {
    "count": count_text,
    "share": share_text,
    "number": number_text,
    "index": index_text,
    "times": lambda value: f"{value:,.1f}\u00a0×",
    "milliseconds": milliseconds_text,
    "per_second": lambda value: f"{number_text(value)}\u00a0/s",
}


_UNIT_NAMES: Final[Mapping[NumberName, str]] = {
    "share": "share of 1", "milliseconds": "ms", "per_second": "per s", "times": "times",
}  # fmt: skip


def value_text(value: float | None, unit: NumberUnit) -> str:
    """A number as people read it; `unknown` for None or what is not finite."""
    if value is None or not math.isfinite(value):
        return UNKNOWN_TEXT
    return money_text(value, unit.currency) if isinstance(unit, Money) else _WRITERS[unit](value)


def column_title(name: str, unit: NumberUnit | None) -> str:
    """A column's name in a file, where no cell says the unit: `conversion rate (share of 1)`."""
    said = unit.currency if isinstance(unit, Money) else "" if unit is None else _UNIT_NAMES.get(unit, "")
    return f"{name} ({said})" if said and said not in name else name


def interval_text(measure: Measure, unit: NumberUnit) -> str:
    """`11.2 % to 13.1 %`; empty if there is none."""
    if measure.low is None or measure.high is None:
        return ""
    return f"{value_text(measure.low, unit)} to {value_text(measure.high, unit)}"


def moment_text(moment: datetime) -> str:
    """`2026-11-29 14:03 UTC`."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def age_text(moment: datetime, now: datetime) -> str:
    """`12 s ago`, `5 min ago`, `3 h ago`, `12 days ago`."""
    seconds = max((now - moment).total_seconds(), 0.0)
    for word, length in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {word} ago"
    return f"{seconds:.0f} s ago"


def as_sentence(text: str) -> str:
    """A text with exactly one full stop at its end: what it is put together from may bring one of its own."""
    ended = text.rstrip()
    return ended if ended.endswith(("!", "?", "…")) else f"{ended.rstrip('.')}."
