"""One column of a table: a feature proposed for it, or the reason why it should be none."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from leadscore.contract.arrow import (
    ArrowColumn,
    counts,
    distinct,
    floats,
    is_time_text,
    kind_of,
    nulls,
    number_texts,
    text_codes,
)
from leadscore.contract.model import RESERVED, Boolean, Categorical, Feature, Numeric, is_usable_name
from leadscore.contract.names import names_identifier

MAX_CATEGORIES = 50
MIN_COVERAGE = 0.8
ID_LIKE_SHARE = 0.95
MIN_ID_ROWS = 50
SENTINELS = frozenset({-1.0, -9.0, -99.0, -999.0, -9999.0, 99.0, 999.0, 9999.0, 99999.0, 999999.0})

FindingKind = Literal[
    "constant",
    "duplicate_ids",
    "empty",
    "id_like",
    "leak",
    "many_categories",
    "name",
    "numbers_as_text",
    "rare_categories",
    "sensitive",
    "sentinel",
    "suspicious",
    "target",
    "time",
    "unsupported_type",
]


class Finding(msgspec.Struct, frozen=True):
    """Something a person should know about a column.

    Attributes:
        column: Its name.
        kind: Stable word.
        reason: What was seen, with the figure.
        action: What was done about it, and what the person may do instead.
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
        missing: Share of null (and NaN) rows, 0 to 1.
        distinct: Number of different non-null values.
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


@dataclass(frozen=True, slots=True)
class Proposal:
    """A feature (None: leave the column out) with what was found, and codes (NaN: missing) to judge it by."""

    feature: Feature | None
    summary: ColumnSummary
    findings: tuple[Finding, ...] = ()
    codes: NDArray[np.float64] | None = None


def propose(name: str, column: ArrowColumn) -> Proposal:
    """Propose a feature for one column, from its Arrow type and its content."""
    kind = kind_of(column)
    missing = float(nulls(column).mean()) if len(column) else 0.0
    seen = counts(column) if kind == "text" else []
    different = len(seen) if kind == "text" else distinct(column)
    summary = ColumnSummary(column=name, role="left out", missing=missing, distinct=different)
    rejected = _reject(summary, column, seen)
    if rejected is not None:
        return Proposal(None, summary, (rejected,))
    if kind in {"integer", "number"}:
        return _numeric(summary, floats(column), integer=kind == "integer")
    if kind == "boolean":
        summary = msgspec.structs.replace(summary, role="boolean")
        return Proposal(Boolean(name=name), summary, codes=floats(column))
    return _text(summary, column, seen)


def _reject(summary: ColumnSummary, column: ArrowColumn, seen: list[tuple[object, int]]) -> Finding | None:
    name, kind = summary.column, kind_of(column)
    if not is_usable_name(name) or name in RESERVED:
        return Finding(name, "name", "the API cannot use this name", "left out; rename the column to use it")
    if summary.missing == 1.0:
        return Finding(name, "empty", "no row has a value", "left out")
    if kind == "other":
        reason = f"columns of type {column.type} cannot enter the model"
        return Finding(name, "unsupported_type", reason, "left out; derive plain columns from it")
    if summary.distinct == 1:
        return Finding(
            name, "constant", "every row has the same value", "left out: it tells the model nothing"
        )
    if kind == "time" or (kind == "text" and all(is_time_text(str(value)) for value, _ in seen)):
        return Finding(
            name, "time", "holds dates or times", "left out; derive durations from it if they help"
        )
    return _identifier(summary, column)


def _identifier(summary: ColumnSummary, column: ArrowColumn) -> Finding | None:
    rows = round(len(column) * (1.0 - summary.missing))
    unique = rows >= MIN_ID_ROWS and summary.distinct >= ID_LIKE_SHARE * rows
    if not unique or not _names_leads(summary.column, column):
        return None
    reason = f"{summary.distinct} different values in {rows} rows: it names leads rather than describes them"
    return Finding(summary.column, "id_like", reason, "left out")


def _names_leads(name: str, column: ArrowColumn) -> bool:
    """Whether a column of nearly unique values is an identifier: text, a telling name, or a running number."""
    if names_identifier(name):
        return kind_of(column) in {"text", "integer"}
    if kind_of(column) == "integer":
        steps = np.diff(floats(column))
        return bool(np.all(steps > 0)) or bool(np.all(steps < 0))
    return kind_of(column) == "text" and number_texts(column) is None


def _numeric(summary: ColumnSummary, values: NDArray[np.float64], *, integer: bool) -> Proposal:
    finite = values[np.isfinite(values)]
    low, high = float(finite.min()), float(finite.max())
    feature = Numeric(name=summary.column, integer=integer, range=widen(low, high, integer=integer))
    summary = msgspec.structs.replace(summary, role="numeric", minimum=low, maximum=high)
    sentinel = _sentinel(summary.column, finite)
    return Proposal(feature, summary, () if sentinel is None else (sentinel,), values)


def widen(low: float, high: float, *, integer: bool) -> tuple[float, float]:
    """The expected range for observed extremes: a tenth of the span more on each side, rounded outwards.

    It does not cross zero where the data do not, and shares (0 to 1, not whole) stay within 0 to 1. Rounding is
    to a hundredth to a tenth of the span, and to whole numbers for integers.
    """
    span = high - low
    if span <= 0.0 or not math.isfinite(span):
        return low, high
    if not integer and low >= 0.0 and high <= 1.0:
        return 0.0, 1.0
    step = 10.0 ** (math.floor(math.log10(span)) - 1)
    step = max(step, 1.0) if integer else step
    wide_low = _rounded(math.floor(_clean((low - 0.1 * span) / step)) * step, step)
    wide_high = _rounded(math.ceil(_clean((high + 0.1 * span) / step)) * step, step)
    if low >= 0.0:
        wide_low = max(wide_low, 0.0)
    if high <= 0.0:
        wide_high = min(wide_high, 0.0)
    return min(wide_low, low), max(wide_high, high)


def _clean(steps: float) -> float:
    """A number of steps without the noise of binary fractions: 2.0000000000000004 must not become 3."""
    return round(steps, 9)


def _rounded(value: float, step: float) -> float:
    """The multiple without the noise of binary fractions (0.30000000000000004)."""
    return round(value, max(0, -math.floor(math.log10(step)))) + 0.0


def _sentinel(name: str, finite: NDArray[np.float64]) -> Finding | None:
    for extreme, inner in (
        (finite.max(), finite[finite < finite.max()]),
        (finite.min(), finite[finite > finite.min()]),
    ):
        if float(extreme) not in SENTINELS or len(inner) == 0:
            continue
        share = float((finite == extreme).mean())
        gap = float(min(abs(extreme - inner.max()), abs(extreme - inner.min())))
        if share >= 0.01 and gap > float(inner.max() - inner.min()):
            reason = f"{extreme:g} stands far from the other values in {share:.0%} of the rows: it may mean 'unknown'"
            return Finding(name, "sentinel", reason, "kept as a number; null would say it better")
    return None


def _text(summary: ColumnSummary, column: ArrowColumn, seen: list[tuple[object, int]]) -> Proposal:
    name = summary.column
    as_numbers = number_texts(column)
    if as_numbers is not None:
        proposal = _numeric(summary, as_numbers, integer=False)
        finding = Finding(
            name,
            "numbers_as_text",
            "every value is a number written as text",
            'taken as numeric; requests must send JSON numbers (12, not "12")',
        )
        return Proposal(proposal.feature, proposal.summary, (finding, *proposal.findings), proposal.codes)
    rows = sum(count for _, count in seen)
    kept = seen[:MAX_CATEGORIES]
    covered = sum(count for _, count in kept) / rows
    if covered < MIN_COVERAGE:
        reason = f"{len(seen)} different texts, of which the {MAX_CATEGORIES} most frequent cover only {covered:.0%}"
        return Proposal(
            None, summary, (Finding(name, "many_categories", reason, "left out; group the values to use it"),)
        )
    findings: tuple[Finding, ...] = ()
    if len(seen) > len(kept):
        reason = f"{len(seen) - len(kept)} of {len(seen)} categories make up {1 - covered:.1%} of the rows"
        findings = (Finding(name, "rare_categories", reason, "not listed: they are scored as unseen"),)
    categories = tuple((str(value), count) for value, count in kept)
    summary = msgspec.structs.replace(summary, role="categorical", categories=categories)
    return Proposal(
        Categorical(name=name, categories=tuple(c for c, _ in categories)),
        summary,
        findings,
        text_codes(column),
    )
