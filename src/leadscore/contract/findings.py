"""Findings of a proposal: what was seen in each column, and what people should look at."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Literal

import msgspec

from leadscore.contract.model import ColumnFormat

FindingKind = Literal[
    "code",
    "constant",
    "description",
    "duplicate_ids",
    "empty",
    "id_like",
    "leak",
    "many_categories",
    "mostly_missing",
    "name",
    "nearly_constant",
    "number_format",
    "open_values",
    "placeholder",
    "rare_categories",
    "sensitive",
    "sentinel",
    "spellings",
    "suspicious",
    "target",
    "time",
    "time_format",
    "unsupported_type",
]


class Finding(msgspec.Struct, frozen=True):
    """Something a person should know about a column.

    Attributes:
        column: Its name.
        kind: Stable word.
        reason: What was seen, with the figure.
        action: What was done about it, and what the person may do instead: the line to write.
    """

    column: str
    kind: FindingKind
    reason: str
    action: str


class ColumnSummary(msgspec.Struct, frozen=True):
    """What was seen of one column.

    Attributes:
        column: Its name.
        role: `id`, `time`, `target`, `known_at`, `value`, the feature's type, or `left out`.
        missing: Share of rows without a value (null, NaN, and the words for it), 0 to 1.
        distinct: Number of different values.
        minimum: Smallest number; None for other columns.
        maximum: Largest number; None for other columns.
        categories: Most frequent values of a categorical feature with their counts.
    """

    column: str
    role: str
    missing: float
    distinct: int
    minimum: float | None = None
    maximum: float | None = None
    categories: tuple[tuple[str, int], ...] = ()


def format_line(column: str, form: ColumnFormat) -> str:
    """The line of a contract that says how a column is written: `formats: {amount: {decimal: ","}}`."""
    told: list[str] = []
    if form.decimal != ".":
        told.append(f'decimal: "{form.decimal}"')
    if form.thousands:
        told.append(f'thousands: "{form.thousands}"')
    if form.time_format is not None:
        told.append(f'format: "{form.time_format}"')
    if form.missing:
        told.append(f"missing: [{', '.join(map(_quoted, form.missing))}]")
    # Defaults are written too where they answer a question.
    inner = ", ".join(told) or 'decimal: "."'
    return f"`formats: {{{_key(column)}: {{{inner}}}}}`"


def with_rows(seen: Iterable[tuple[object, int]], most: int = 6) -> str:
    """Values with their rows, for people: 'Event' (20 rows), 'event' (8 rows)."""
    pairs = list(seen)
    shown = ", ".join(f"{_quoted(str(value))} ({count} rows)" for value, count in pairs[:most])
    return shown + (f", … ({len(pairs)} in all)" if len(pairs) > most else "")


def shape_of(text: str) -> str:
    """How a text is written without what it says: 03/14/2026 becomes 99/99/9999."""
    return re.sub(r"[^\W\d_]", "a", re.sub(r"\d", "9", text))[:40]


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_][\w .-]*", name) else _quoted(name)
