"""Read irregular CSV files row by row; rows that are not clear are refused by number."""

# Arrow makes its compute functions when it is imported.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from leadscore.data.layout import TableLayout
from leadscore.errors import TableError

_MOST_FOOTERS = 10
_TAIL_BYTES = 1024


@dataclass(frozen=True, slots=True)
class _Row:
    """One row: its number, its lines, and whether a blank line came before.

    The first row of the file that is not blank is 1.
    """

    number: int
    first_line: int
    last_line: int
    cells: list[str]
    after_blank: bool

    @property
    def filled(self) -> int:
        return sum(1 for cell in self.cells if cell.strip())


def read_irregular(
    path: Path, data: pa.Buffer, layout: TableLayout, columns: Sequence[str] | None
) -> pa.Table:
    """Read the rows of a file that Arrow refused.

    A row may end in one delimiter too many. Rows of other widths are passed over if they stand below the
    table, at most ten, after a blank line, and fill no more than two cells: a report's footer.

    Raises:
        TableError: Any other row of another width, a quote that is never closed or
            swallows rows, or text that is not UTF-8.
    """
    width = len(layout.names)
    rows: list[_Row] = []
    odd: list[_Row] = []
    row: _Row | None = None
    for row in _rows(data, layout):
        if not any(row.cells):
            continue
        if len(row.cells) == width + 1 and not row.cells[-1]:
            row.cells.pop()
        if len(row.cells) != width:
            odd.append(row)
            continue
        rows.append(row)
        _check_row(path, row, layout)
    if row is not None and (
        (row.last_line > row.first_line and len(row.cells) < width) or is_unclosed(row.cells[-1], data)
    ):
        raise _unclosed(path, row, layout)
    _check_odd(path, odd, rows, layout)
    return _table(path, rows, layout, columns)


def check_cells(path: Path, data: pa.Buffer, table: pa.Table, layout: TableLayout) -> None:
    """Refuse a table in which a quoted cell is never closed, or holds what look like rows.

    Args:
        path: For messages.
        data: The rows of the file.
        table: All columns of the file, as text.
        layout: The file's layout.

    Raises:
        TableError: Names the first such row and how many lines its cell spans.
    """
    last = table.column(-1)[-1].as_py() if table.num_rows else None
    if last is not None and is_unclosed(last, data):
        raise TableError(
            f"{path}: a quote that is opened in row {table.num_rows} (the first row of data is row 1) is "
            "never closed: its cell runs to the end of the file.",
            hint="Close the quote, or remove it if it is a stray one.",
        )
    for position, column in enumerate(table.columns):
        long = pc.match_substring(column, "\n").combine_chunks()
        if not pc.any(long).as_py():
            continue
        for index in pc.indices_nonzero(long.fill_null(False)).to_pylist():
            text = column[index].as_py()
            if _holds_rows(text, position, layout):
                raise _swallowed(path, index + 1, text.count("\n") + 1, layout, position)


def is_unclosed(cell: str, data: pa.Buffer) -> bool:
    """Whether the last cell of a file is text of several lines whose quote is never closed."""
    end = data.slice(max(0, data.size - _TAIL_BYTES)).to_pybytes().rstrip()
    return "\n" in cell and (not end.endswith(b'"') or not cell.strip())


def _rows(data: pa.Buffer, layout: TableLayout) -> Iterator[_Row]:
    text = io.TextIOWrapper(pa.BufferReader(data), "utf-8", "surrogateescape", newline="")
    reader = csv.reader(text, delimiter=layout.delimiter)
    number, line, after_blank = layout.header_row, 0, False
    for cells in reader:
        first, line = line + 1, reader.line_num
        if not cells:
            after_blank = True
            continue
        number += 1
        start = layout.header_line
        yield _Row(number, start + first, start + line, cells, after_blank)
        after_blank = False


def _check_row(path: Path, row: _Row, layout: TableLayout) -> None:
    for position, cell in enumerate(row.cells):
        if not cell.isascii() and any("\udc80" <= letter <= "\udcff" for letter in cell):
            raise TableError(
                f"{path}: row {row.number} (the header is row {layout.header_row}), column "
                f"{layout.names[position]!r} is not UTF-8.",
                hint="Save it as CSV with UTF-8 encoding.",
            )
        if "\n" in cell and _holds_rows(cell, position, layout):
            raise _swallowed(path, row.number - layout.header_row, cell.count("\n") + 1, layout, position)


def _holds_rows(text: str, position: int, layout: TableLayout) -> bool:
    """Whether a cell is the rest of one row, whole rows, and the beginning of another."""
    width = len(layout.names)
    counts = [line.count(layout.delimiter) for line in text.split("\n")]
    first, *between, last = counts
    return (
        width >= 3
        and first == width - 1 - position
        and last == position
        and all(count == width - 1 for count in between)
    )


def _swallowed(path: Path, row: int, lines: int, layout: TableLayout, position: int) -> TableError:
    return TableError(
        f"{path}: a quoted cell from row {row} (the first row of data is row 1) of column "
        f"{layout.names[position]!r} spans {lines} lines that look like rows.",
        hint="There is a stray quote in that row: remove it, or write it twice if it belongs to the text.",
    )


def _unclosed(path: Path, row: _Row, layout: TableLayout) -> TableError:
    return TableError(
        f"{path}: a quote that is opened in row {row.number} (the header is row {layout.header_row}; line "
        f"{row.first_line} of the file) spans all {row.last_line - row.first_line + 1} "
        "lines to the end of the file.",
        hint="Close the quote, or remove it if it is a stray one.",
    )


def _check_odd(path: Path, odd: list[_Row], rows: list[_Row], layout: TableLayout) -> None:
    if not odd:
        return
    below = [row for row in odd if not rows or row.number > rows[-1].number]
    small = (
        len(below) == len(odd) <= _MOST_FOOTERS
        and all(row.filled <= 2 for row in below)
        and len(layout.names) >= 3
    )
    if small and rows and below[0].after_blank:
        return
    first, last = odd[0], odd[-1]
    if small and (len(odd) > 1 or first.filled == len(first.cells) == 1):
        which = f"rows {first.number} to {last.number}" if len(odd) > 1 else f"row {first.number}"
        raise TableError(
            f"{path}: {which} (the header is row {layout.header_row}) look like a "
            "report's footer, not like leads.",
            hint="Remove the rows below the table; or copy the file again if it was cut short.",
        )
    more = f" ({len(odd)} rows like this)" if len(odd) > 1 else ""
    raise TableError(
        f"{path}: row {first.number} (the header is row {layout.header_row}) has {len(first.cells)} columns "
        f"instead of {len(layout.names)}{more}.",
        hint="Quote values that contain the delimiter.",
    )


def _table(path: Path, rows: list[_Row], layout: TableLayout, columns: Sequence[str] | None) -> pa.Table:
    found: dict[str, pa.Array] = {}
    for position, name in enumerate(layout.names):
        cells = pa.array([row.cells[position] or None for row in rows], pa.string())
        if name.strip():
            found[name] = cells
        elif cells.null_count < len(cells):
            raise TableError(
                f"{path}: column {position + 1} has values but no name in row "
                f"{layout.header_row} (the header).",
                hint="Name or remove it.",
            )
    table = pa.table(found)
    return table if columns is None else table.select(list(columns))
