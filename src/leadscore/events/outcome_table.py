"""Outcomes from a CRM's table: every row is checked before any is stored."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Final, TypeVar

from leadscore.errors import TableError
from leadscore.events.records import Outcome, outcome_id_of
from leadscore.events.windows import to_microseconds

if TYPE_CHECKING:
    import pyarrow as pa

_YES: Final = frozenset({"true", "yes", "y", "1", "1.0"})
_NO: Final = frozenset({"false", "no", "n", "0", "0.0"})
_LONGEST_ID: Final = 256
_Cell = TypeVar("_Cell")


@dataclass(frozen=True, slots=True)
class OutcomeColumns:
    """Which column says what; None: the table does not say."""

    lead: str
    converted: str
    occurred: str
    value: str | None = None
    prediction: str | None = None
    recorded: str | None = None

    def named(self) -> tuple[str, ...]:
        """The columns that the table must have."""
        columns = (self.lead, self.converted, self.occurred, self.value, self.prediction, self.recorded)
        return tuple(column for column in columns if column is not None)


@dataclass(frozen=True, slots=True)
class RowProblem:
    """One bad cell; `row` counts from 1, the first row of data."""

    row: int
    column: str
    reason: str


@dataclass(frozen=True, slots=True)
class OutcomeRows:
    """The good rows as outcomes, and what is wrong with the bad ones (one problem per bad cell)."""

    outcomes: tuple[Outcome, ...]
    problems: tuple[RowProblem, ...]


def outcomes_from_table(
    table: pa.Table, columns: OutcomeColumns, *, recorded_at: int, source: str
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

    Raises:
        TableError: A column is missing.
    """
    missing = [name for name in columns.named() if name not in table.column_names]
    if missing:
        raise TableError(
            f"The table has no column {', '.join(map(repr, missing))}.",
            hint=f"It has: {', '.join(table.column_names)}. Name them with --lead-col, --converted-col, ….",
        )
    cells = {name: table.column(name).to_pylist() for name in columns.named()}
    outcomes: list[Outcome] = []
    problems: list[RowProblem] = []
    for index in range(table.num_rows):
        row = _Row({name: values[index] for name, values in cells.items()}, index + 1, problems)
        outcome = _outcome(row, columns, recorded_at + index, source)
        if outcome is not None:
            outcomes.append(outcome)
    return OutcomeRows(tuple(outcomes), tuple(problems))


class _CellError(ValueError):
    """A cell that is not what its column should hold; the text completes "row 3, column 'x' …"."""


class _Row:
    """Cells of one row; a cell that cannot be read becomes a problem and None."""

    def __init__(self, cells: dict[str, object], number: int, problems: list[RowProblem]) -> None:
        self._cells = cells
        self._number = number
        self._problems = problems
        self.good = True

    def read(self, column: str | None, parse: Callable[[object], _Cell], *, required: bool) -> _Cell | None:
        if column is None:
            return None
        cell = self._cells[column]
        if cell is None or cell == "":
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


def _outcome(row: _Row, columns: OutcomeColumns, recorded_at: int, source: str) -> Outcome | None:
    lead = row.read(columns.lead, _identifier, required=True)
    converted = row.read(columns.converted, _truth, required=True)
    occurred = row.read(columns.occurred, _moment, required=True)
    value = row.read(columns.value, _number, required=False)
    prediction = row.read(columns.prediction, _identifier, required=False)
    recorded = row.read(columns.recorded, _moment, required=True)
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


def _identifier(cell: object) -> str:
    if isinstance(cell, bool) or not isinstance(cell, str | int):
        raise _CellError("is neither text nor an integer")
    text = str(cell)
    if len(text) > _LONGEST_ID or "\x00" in text:
        raise _CellError(f"is longer than {_LONGEST_ID} characters or holds a NUL")
    return text


def _truth(cell: object) -> bool:
    text = str(cell).strip().lower()
    if text in _YES:
        return True
    if text in _NO:
        return False
    raise _CellError("is not true/false, yes/no or 1/0")


def _number(cell: object) -> float:
    if isinstance(cell, bool) or not isinstance(cell, str | int | float | Decimal):
        raise _CellError("is not a number")
    try:
        number = float(cell)
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise _CellError("is not a finite number")
    return number


def _moment(cell: object) -> int:
    if isinstance(cell, str):
        try:
            cell = date.fromisoformat(cell) if len(cell) == 10 else datetime.fromisoformat(cell)
        except ValueError as error:
            raise _CellError("is not an ISO 8601 date or time") from error
    if isinstance(cell, datetime):
        moment = cell if cell.tzinfo is not None else cell.replace(tzinfo=UTC)
    elif isinstance(cell, date):
        moment = datetime.combine(cell, time.max, tzinfo=UTC)
    else:
        raise _CellError("is not a date or time")
    stamp = to_microseconds(moment)
    if stamp < 0:
        raise _CellError("is before 1970")
    return stamp


def listed(problems: Sequence[RowProblem], most: int = 5) -> str:
    """The first problems in words."""
    shown = "; ".join(f"row {p.row}, column {p.column!r} {p.reason}" for p in problems[:most])
    return shown + (f"; and {len(problems) - most} more" if len(problems) > most else "")
