"""Guess how a column writes its times: ISO 8601, day or month first, AM/PM, or a count since some day."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from leadscore.contract.guess.categories import TextCounts
from leadscore.contract.model import ColumnFormat
from leadscore.contract.names import words_of
from leadscore.contract.text import USUAL, read_time

_ORDERS = ("%d{0}%m{0}%Y", "%m{0}%d{0}%Y")
_SHORT = ("%d{0}%m{0}%y", "%m{0}%d{0}%y")
# The shape of a date, and the formats that it may stand for. Dots are written where the day comes first.
_DATES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"\d{1,2}/\d{1,2}/\d{4}", tuple(order.format("/") for order in _ORDERS)),
    (r"\d{1,2}-\d{1,2}-\d{4}", tuple(order.format("-") for order in _ORDERS)),
    (r"\d{1,2}/\d{1,2}/\d{2}", tuple(order.format("/") for order in _SHORT)),
    (r"\d{1,2}-\d{1,2}-\d{2}", tuple(order.format("-") for order in _SHORT)),
    (r"\d{1,2}\.\d{1,2}\.\d{4}", ("%d.%m.%Y",)),
    (r"\d{1,2}\. ?\d{1,2}\. ?\d{4}", ("%d. %m. %Y",)),
    (r"\d{1,2}\.\d{1,2}\.\d{2}", ("%d.%m.%y",)),
    (r"\d{4}/\d{1,2}/\d{1,2}", ("%Y/%m/%d",)),
    (r"\d{4}\.\d{1,2}\.\d{1,2}", ("%Y.%m.%d",)),
    (r"\d{4}-\d{1,2}-\d{1,2}", ("%Y-%m-%d",)),
    *(
        (f"{day}{shape}", tuple(f"{written}{name}" for name in names))
        for day, written in (("", ""), (r"[A-Z]\w{2},? ", "%a, "), (r"[A-Z]\w{2} ", "%a "))
        for shape, names in (
            (r"\d{1,2} \w{3,9} \d{4}", ("%d %b %Y", "%d %B %Y")),
            (r"\d{1,2}\. \w{3,9} \d{4}", ("%d. %b %Y", "%d. %B %Y")),
            (r"\d{1,2}-\w{3}-\d{4}", ("%d-%b-%Y",)),
            (r"\d{1,2}-\w{3}-\d{2}", ("%d-%b-%y",)),
            (r"\d{1,2}/\w{3}/\d{4}", ("%d/%b/%Y",)),
            (r"\w{3,9} \d{1,2}, \d{4}", ("%b %d, %Y", "%B %d, %Y")),
            (r"\w{3,9} \d{1,2} \d{4}", ("%b %d %Y", "%B %d %Y")),
        )
    ),
)
_CLOCK = re.compile(
    r"(?P<between>,? |T| - )(?P<hour>\d{1,2})(?P<mark>[:.])\d{2}(?P<second>(?P=mark)\d{2})?"
    r"(?P<fraction>(?P<point>[.,])\d{1,9})?(?P<noon>(?P<space> ?)[AaPp][Mm])?(?P<gap> ?)"
    r"(?P<zone>Z|[+-]\d{2}:?\d{2})?\Z"
)
# What times as numbers may be: 1970-2100 with some room, days of a spreadsheet from 1954 to 2119.
_COUNTED = {
    "excel": (20_000, 80_000),
    "epoch_s": (5e8, 4.2e9),
    "epoch_ms": (5e11, 4.2e12),
    "epoch_us": (5e14, 4.2e15),
}
_NUMBER = re.compile(r"[0-9]+([.][0-9]*)?\Z")
_TIME_WORDS = frozenset(
    [
        "at",
        "date",
        "time",
        "timestamp",
        "ts",
        "datetime",
        "day",
        "epoch",
        "created",
        "updated",
        "modified",
        "closed",
        "opened",
        "datum",
        "zeit",
    ]
)

_MICROS = {"excel": 86_400e6, "epoch_s": 1e6, "epoch_ms": 1e3, "epoch_us": 1.0}
_EXCEL_EPOCH = 25_569 * 86_400e6  # days from 1899-12-30 to 1970-01-01
_NEAR = np.timedelta64(5 * 366, "D")
_NEARLY_ALL = 0.95
_LEAST_DATES = 20  # numbers; a handful may be anything

_TRIED = 40  # texts to find the formats that are worth a look
_SAMPLE = 5_000
_LEAST_SHARE = 0.9  # of the rows that the format reads; the rest are told


@dataclass(frozen=True, slots=True)
class TimeGuess:
    """How to read the column.

    Attributes:
        forms: The formats that read most rows, more than one where only a person can tell (3/4 or 4/3).
        unread: Rows that none of them reads.
    """

    forms: tuple[ColumnFormat, ...]
    unread: int

    @property
    def form(self) -> ColumnFormat | None:
        """The format, where it is sure."""
        return self.forms[0] if len(self.forms) == 1 else None


def guess_times(seen: TextCounts, *, counted: bool) -> TimeGuess | None:
    """How a column's times are written, or None if it holds none.

    Args:
        seen: Distinct texts (or numbers as text) with their rows, missing ones left out.
        counted: Whether numbers may be times: only where the column's name or role says so.
    """
    sample = seen[:_SAMPLE]
    rows = sum(count for _, count in sample)
    if not rows:
        return None
    best, kept = 0, list[ColumnFormat]()
    for form in _candidates([text for text, _ in seen[:_TRIED]], counted=counted):
        read = sum(count for text, count in sample if read_time(text, form) is not None)
        if read > best:
            best, kept = read, [form]
        elif read == best and read:
            kept.append(form)
    if best < _LEAST_SHARE * rows:
        return None
    kept = [USUAL] if USUAL in kept else _different(kept, sample)
    unread = sum(count for text, count in seen if read_time(text, kept[0]) is None)
    return TimeGuess(tuple(kept), unread)


def _different(forms: Sequence[ColumnFormat], seen: TextCounts) -> list[ColumnFormat]:
    """The formats that do not read all the texts alike (`May` is short and long, 03/03 is 03/03)."""
    readings: dict[tuple[datetime | None, ...], ColumnFormat] = {}
    for form in forms:
        readings.setdefault(tuple(read_time(text, form) for text, _ in seen), form)
    return list(readings.values())


def names_time(name: str) -> bool:
    """Whether a column's name says that it holds a moment."""
    return bool(_TIME_WORDS.intersection(words_of(name)))


def dates_near(
    numbers: NDArray[np.float64], created: NDArray[np.datetime64]
) -> tuple[NDArray[np.datetime64], str] | None:
    """The moments that numbers stand for, and by which count, if nearly all lie near the leads' own times.

    Near is within years.

    Amounts may be of the size of a spreadsheet's days, too, but they are not gathered around each lead's day.

    Args:
        numbers: One per lead, NaN where there is none.
        created: When each lead was created, NaT where that is not known.
    """
    known = np.isfinite(numbers) & ~np.isnat(created)
    if np.count_nonzero(known) < _LEAST_DATES:
        return None
    for form, (low, high) in _COUNTED.items():
        inside = known & (numbers >= low) & (numbers <= high)
        if np.count_nonzero(inside) < _LEAST_SHARE * np.count_nonzero(known):
            continue
        micros = np.where(inside, numbers, 0.0) * _MICROS[form] - (_EXCEL_EPOCH if form == "excel" else 0.0)
        moments = np.where(inside, micros, 0.0).astype(np.int64).astype("datetime64[us]")
        moments[~inside] = np.datetime64("NaT", "us")
        near = np.abs(moments - created.astype("datetime64[us]")) <= _NEAR
        if np.count_nonzero(near & inside) >= _NEARLY_ALL * np.count_nonzero(known):
            return moments, form
    return None


def _candidates(texts: Sequence[str], *, counted: bool) -> list[ColumnFormat]:
    """Formats that some of the texts may be written in."""
    texts = [text.strip() for text in texts]
    if all(_NUMBER.match(text) for text in texts):
        found = _as_numbers(texts) if counted else []
        dates = all(re.fullmatch(r"(19|20)[0-9]{6}", text) for text in texts)
        return [*found, ColumnFormat(time_format="%Y%m%d")] if dates else found
    return [
        USUAL,
        *(ColumnFormat(time_format=form) for form in dict.fromkeys(f for t in texts for f in _written(t))),
    ]


def _written(text: str) -> list[str]:
    """The formats that a text's shape allows."""
    found: list[str] = []
    for shape, names in _DATES:
        date = re.match(shape + r"(?!\d)", text)
        clock = None if date is None else _clock(text[date.end() :])
        if clock is not None:
            found += [name + clock for name in names]
    return found


def _clock(rest: str) -> str | None:
    """The format of what follows a date; None if it is no time of day."""
    if not rest:
        return ""
    found = _CLOCK.match(rest)
    if found is None:
        return None
    mark = found["mark"]
    return "".join(
        (
            found["between"],
            f"%I{mark}%M" if found["noon"] else f"%H{mark}%M",
            f"{mark}%S" if found["second"] else "",
            f"{found['point']}%f" if found["fraction"] else "",
            f"{found['space']}%p" if found["noon"] else "",
            f"{found['gap']}%z" if found["zone"] else "",
        )
    )


def _as_numbers(texts: Sequence[str]) -> list[ColumnFormat]:
    numbers = [float(text) for text in texts]
    return [
        ColumnFormat(time_format=name)
        for name, (low, high) in _COUNTED.items()
        if all(low <= number <= high for number in numbers)
    ]
