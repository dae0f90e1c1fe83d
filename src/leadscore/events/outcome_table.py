"""Outcomes from a CRM's table: every row is checked before any is stored."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, TypeVar

from leadscore.contract import ColumnFormat
from leadscore.contract.model import NUMERIC_TIMES
from leadscore.contract.outcomes import unlisted_outcomes
from leadscore.contract.plain import ID_MAX, ID_MIN, id_problem, is_nan
from leadscore.contract.text import (
    is_missing,
    is_value,
    may_be_thousands,
    missing_words,
    mixed_units,
    read_number,
    read_time,
    read_truth,
    time_of_number,
    whole_id,
)
from leadscore.errors import TableError
from leadscore.events.matching import FUTURE_MARGIN
from leadscore.events.outcome_formats import OutcomeColumns, OutcomeFormats
from leadscore.events.records import Outcome, outcome_id_of
from leadscore.events.windows import to_microseconds

if TYPE_CHECKING:
    import pyarrow as pa

_Cell = TypeVar("_Cell")


@dataclass(frozen=True, slots=True)
class RowProblem:
    """One bad cell; `row` counts from 1, the first row of data."""

    row: int
    column: str
    reason: str


@dataclass(frozen=True, slots=True)
class OutcomeRows:
    """What a table says.

    Attributes:
        outcomes: Its good rows.
        problems: What is wrong with the bad ones, one per bad cell.
        open: Rows whose outcome is not known yet.
        unlisted: A sentence each about values that count as not converted though the contract does not say
            so.
    """

    outcomes: tuple[Outcome, ...]
    problems: tuple[RowProblem, ...]
    open: int = 0
    unlisted: tuple[str, ...] = ()


def outcomes_from_table(
    table: pa.Table,
    columns: OutcomeColumns,
    *,
    recorded_at: int,
    source: str,
    formats: OutcomeFormats | None = None,
    now: int | None = None,
) -> OutcomeRows:
    """Read outcomes from a table.

    A bare date means the end of that day, so that a lead scored in the morning and won the same day counts; a
    time without zone is UTC. The id of an outcome is derived from what the row says, so that the same row
    imported again is the same outcome; `columns.recorded` is part of that, when given.

    Args:
        table: One row per outcome.
        columns: Where to find what.
        recorded_at: When the table was given to us (µs); later rows count as recorded later.
        source: Name of who said so.
        formats: How the table writes its cells.
        now: What happened more than a day after this (µs) is a mistake; None takes every time.

    Raises:
        TableError: A column is missing, the values are in two currencies (or some in percent), or their dots
            may group thousands and nobody said so.
    """
    missing = [name for name in columns.named() if name not in table.column_names]
    if missing:
        raise TableError(
            f"The table has no column {', '.join(map(repr, missing))}.",
            hint=f"It has: {', '.join(table.column_names)}. Name them with --lead-col, --converted-col, ….",
        )
    cells = {name: _cells(table, name) for name in columns.named()}
    formats = formats or OutcomeFormats()
    if columns.value is not None:
        _check_marks(columns.value, cells[columns.value], formats)
    parsers = _Parsers(columns, formats, math.inf if now is None else now + FUTURE_MARGIN)
    outcomes: list[Outcome] = []
    problems: list[RowProblem] = []
    still_open = 0
    negatives: Counter[str] = Counter()
    for index in range(table.num_rows):
        row = _Row(
            {name: values[index] for name, values in cells.items()}, index + 1, problems, parsers.missing
        )
        outcome = parsers.outcome(row, recorded_at + index, source)
        still_open += row.good and outcome is None
        if outcome is not None:
            outcomes.append(outcome)
            if not outcome.converted:
                negatives[str(cells[columns.converted][index])] += 1
    found = () if formats.target is None else unlisted_outcomes(formats.target, negatives.most_common())
    return OutcomeRows(
        tuple(outcomes), tuple(problems), still_open, tuple(unlisted.sentence for unlisted in found)
    )


def _cells(table: pa.Table, name: str) -> Sequence[object]:
    column = table.column(name)
    if str(column.type).startswith("timestamp[ns"):
        # Python has no nanoseconds.
        column = column.cast(
            str(column.type).split(",")[0].replace("[ns", "[us").rstrip("]") + "]", safe=False
        )
    return column.to_pylist()


def _check_marks(column: str, cells: Sequence[object], formats: OutcomeFormats) -> None:
    texts = [cell for cell in cells if isinstance(cell, str)]
    form = formats.of_column(column)
    if units := mixed_units(text for text in texts if read_number(text, form) is not None):
        raise TableError(
            f"Column {column!r} holds numbers with different signs behind or before "
            f"them: {', '.join(units)}.",
            hint="Bring them to one currency or unit first: their sums would mean nothing.",
        )
    if column not in formats.columns and may_be_thousands(texts):
        raise TableError(
            f"Column {column!r}: the dots of its numbers may be decimal points or group thousands: each "
            "has three digits behind it.",
            hint="Say which: --decimal . or --thousands . (or a contract with `formats`, by --contract).",
        )


class _CellError(ValueError):
    """A cell that is not what its column should hold; the text completes "row 3, column 'x' …"."""


class _Row:
    """Cells of one row; a cell that cannot be read becomes a problem and None."""

    def __init__(
        self,
        cells: dict[str, object],
        number: int,
        problems: list[RowProblem],
        missing: Mapping[str, frozenset[str]],
    ) -> None:
        self._cells = cells
        self._missing = missing
        self._number = number
        self._problems = problems
        self.good = True

    def read(self, column: str | None, parse: Callable[[object], _Cell], *, required: bool) -> _Cell | None:
        if column is None:
            return None
        cell = self._cells[column]
        if (
            cell is None
            or is_nan(cell)
            or (isinstance(cell, str) and is_missing(cell, self._missing[column]))
        ):
            if required:
                self._note(column, "is missing")
            return None
        try:
            return parse(cell)
        except _CellError as error:
            self._note(column, str(error))
            return None

    def _note(self, column: str, reason: str) -> None:
        self._problems.append(RowProblem(self._number, column, reason))
        self.good = False


class _Parsers:
    """Reads the cells of a row by the formats of their columns."""

    def __init__(self, columns: OutcomeColumns, formats: OutcomeFormats, latest: float) -> None:
        self._columns = columns
        self._formats = formats
        self._latest = latest
        ids = {columns.lead, columns.prediction}
        self.missing = {
            name: missing_words(formats.of_column(name), text=name in ids) for name in columns.named()
        }
        if formats.target is not None:
            kept = {str(value) for value in (formats.target.positive, *formats.target.open_values)}
            self.missing[columns.converted] -= kept

    def outcome(self, row: _Row, recorded_at: int, source: str) -> Outcome | None:
        """The row as an outcome; None if the row is bad, or its outcome open."""
        columns = self._columns
        lead = row.read(columns.lead, _identifier, required=True)
        converted = row.read(columns.converted, self._truth, required=self._formats.target is None)
        if converted is None and row.good:
            return None
        occurred = row.read(columns.occurred, self._moment(columns.occurred), required=True)
        value = row.read(columns.value, self._number, required=False)
        prediction = row.read(columns.prediction, _identifier, required=False)
        recorded = row.read(columns.recorded, self._moment(columns.recorded), required=True)
        if not row.good or lead is None or converted is None or occurred is None:
            return None
        return Outcome(
            outcome_id=outcome_id_of(lead, prediction, converted, value, occurred, recorded),
            lead_id=lead,
            prediction_id=prediction,
            converted=converted,
            value=value,
            occurred_at=occurred,
            recorded_at=recorded_at if recorded is None else recorded,
            source=source,
        )

    def _truth(self, cell: object) -> bool | None:
        text, target = str(cell), self._formats.target
        if target is None:
            truth = read_truth(text)
            if truth is None:
                raise _CellError(
                    "is not true/false, yes/no or 1/0 (--contract says what else means converted)"
                )
            return truth
        if any(is_value(text, value) for value in target.open_values):
            return None
        if is_value(text, target.positive):
            return True
        # A table of its own may say yes and no where the contract's target is a stage.
        return bool(read_truth(text)) if read_truth(str(target.positive)) is None else False

    def _number(self, cell: object) -> float:
        if isinstance(cell, str):
            number = read_number(cell, self._formats.of_column(self._columns.value))
            if number is None:
                raise _CellError("is not a number by the format of the column (--decimal, --thousands)")
            return number
        if isinstance(cell, bool) or not isinstance(cell, int | float | Decimal):
            raise _CellError("is not a number")
        try:
            number = float(cell)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise _CellError("is not a finite number")
        return number

    def _moment(self, column: str | None) -> Callable[[object], int]:
        form = self._formats.of_column(column)

        def moment_of(cell: object) -> int:
            stamp = to_microseconds(_utc(cell, form))
            if stamp < 0:
                raise _CellError("is before 1970")
            if stamp > self._latest:
                raise _CellError("lies in the future")
            return stamp

        return moment_of


def _utc(cell: object, form: ColumnFormat) -> datetime:
    moment: datetime | None = None
    if isinstance(cell, str):
        moment = read_time(cell, form, end_of_day=True)
        if moment is None:
            wanted = (
                "an ISO 8601 date or time" if form.time_format is None else f"a time as {form.time_format!r}"
            )
            raise _CellError(f"is not {wanted}")
    elif isinstance(cell, datetime):
        moment = cell
    elif isinstance(cell, date):
        moment = datetime.combine(cell, time.max)
    elif isinstance(cell, int | float | Decimal) and form.time_format in NUMERIC_TIMES:
        try:
            moment = time_of_number(cell, form.time_format)
        except (ValueError, OverflowError) as error:
            raise _CellError(f"is not a time as {form.time_format!r}") from error
    if moment is None:
        raise _CellError("is not a date or time")
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _identifier(cell: object) -> str:
    """An id as `leadscore.data.keys` reads it."""
    if isinstance(cell, str):
        text = whole_id(cell)
    elif isinstance(cell, date) and not isinstance(cell, datetime):
        text = cell.isoformat()
    elif isinstance(cell, int | float | Decimal) and not isinstance(cell, bool) and cell == cell // 1:
        if isinstance(cell, float) and not ID_MIN <= cell < ID_MAX:
            raise _CellError("is a number of more than 64 bits")
        text = str(int(cell))
    else:
        raise _CellError("is neither text nor a whole number")
    if id_problem(text) is not None:
        raise _CellError("is longer than 256 characters, holds a control character or nothing but blanks")
    return text


def listed(problems: Sequence[RowProblem], most: int = 5) -> str:
    """The first problems in words."""
    shown = "; ".join(f"row {p.row}, column {p.column!r} {p.reason}" for p in problems[:most])
    return shown + (f"; and {len(problems) - most} more" if len(problems) > most else "")
