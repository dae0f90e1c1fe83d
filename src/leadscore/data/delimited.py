"""Read CSV: every cell is text, and errors name the row and the column.

The contract alone says what cells mean (`leadscore.contract.text`). Arrow reads regular files; what it
refuses is read again, slowly, by `leadscore.data.irregular`.
"""

# Arrow makes its compute functions when it is imported.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from leadscore.data.irregular import check_cells, read_irregular
from leadscore.data.layout import TableLayout, find_layout, read_content
from leadscore.data.report_rows import check_report_rows
from leadscore.errors import TableError

_MOST_BLOCK = 2**31 - 1
_BLOCK = 1 << 20
_PIECE = 1 << 22


def read_csv(path: Path, columns: Sequence[str] | None = None, dictionary: Sequence[str] = ()) -> pa.Table:
    """Read a CSV file with a header: delimiter `,` `;` tab or `|`, UTF-8 or UTF-16, compressed or not.

    Every column is text as it stands in the file. An empty cell is null; one written `""` is the empty text.
    Blank lines, rows of empty cells, lines of titles above the header, a line `sep=;` and columns that have
    neither a name nor a value are passed over; so are lines below the table that a blank line keeps apart. Of
    `="00123"`, which keeps Excel from making a number of it, the text in the quotes is read.

    Args:
        path: The file.
        columns: Only these, in this order; None reads all.
        dictionary: Columns to hand out dictionary-encoded.

    Raises:
        TableError: Empty file, no header, repeated or unnamed columns, ragged rows, a quote that swallows
            rows, rows that look like a report's totals, not UTF-8; names the row, never quotes it.
        OSError: The file cannot be opened (the caller names it).
    """
    content = read_content(path)
    layout = find_layout(path, content, columns)
    if columns is not None:
        # Arrow's own message lists neither the file nor what there is.
        require_columns(path, [name for name in layout.names if name.strip()], columns)
    data = content.slice(layout.start)
    quotes = _count(data, '"')
    quoted = quotes > 0
    try:
        table = _parse(data, layout, columns, dictionary, quoted=quoted)
    except pa.ArrowInvalid:
        return _with_named_columns(path, read_irregular(path, data, layout, columns))
    # More lines than rows: some cells span lines, or some lines are blank. Quotes come in pairs, but for
    # stray ones.
    lines = 1 + max(_count(data.slice(0, data.size - 1), end) for end in "\n\r") if quoted else 0
    if lines > table.num_rows or quotes % 2:
        check_cells(path, data, _parse(data, layout, None, (), quoted=True), layout)
    table = _without_empty_rows(table, data, layout, quoted=quoted)
    check_report_rows(path, data, layout, table.num_rows)
    return _with_named_columns(path, _without_nameless(path, table, layout, columns))


def require_columns(path: Path | str, present: Sequence[str], wanted: Sequence[str]) -> None:
    """Refuse a table that lacks a wanted column, naming all that are missing and what there is."""
    missing = [name for name in wanted if name not in present]
    if missing:
        raise TableError(
            f"{path} has no column {', '.join(map(repr, missing))}.",
            hint=f"It has: {', '.join(present[:40])}{', …' if len(present) > 40 else ''}.",
        )


def _parse(
    data: pa.Buffer,
    layout: TableLayout,
    columns: Sequence[str] | None,
    dictionary: Sequence[str],
    *,
    quoted: bool,
) -> pa.Table:
    names = _distinct_names(layout)
    kinds: dict[str, pa.DataType] = dict.fromkeys(names, pa.string())
    kinds |= dict.fromkeys(dictionary, pa.dictionary(pa.int32(), pa.string()))
    nameless = [name for name, given in zip(names, layout.names, strict=True) if not given.strip()]
    if data.size == 0:
        return pa.table({name: pa.array([], kinds[name]) for name in columns or names})
    parse = pacsv.ParseOptions(delimiter=layout.delimiter, newlines_in_values=quoted)
    convert = pacsv.ConvertOptions(
        column_types=kinds,
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        include_columns=None if columns is None else [*columns, *nameless],
    )

    def read(block_size: int) -> pa.Table:
        options = pacsv.ReadOptions(column_names=names, block_size=block_size)
        return pacsv.read_csv(
            pa.BufferReader(data), read_options=options, parse_options=parse, convert_options=convert
        )

    try:
        return read(_BLOCK)
    except pa.ArrowInvalid:
        if data.size <= _BLOCK or not quoted:
            raise
        # A cell may be longer than a block.
        return read(min(data.size, _MOST_BLOCK))


def _count(data: pa.Buffer, letter: str) -> int:
    """How often an ASCII letter stands in the data; piece by piece, for files that fill the memory."""
    written = np.frombuffer(data, np.uint8)
    pieces = range(0, len(written), _PIECE)
    return sum(int(np.count_nonzero(written[start : start + _PIECE] == ord(letter))) for start in pieces)


def _distinct_names(layout: TableLayout) -> list[str]:
    return [
        name if name.strip() else f"\x00{position}" for position, name in enumerate(layout.names, start=1)
    ]


def _without_empty_rows(table: pa.Table, data: pa.Buffer, layout: TableLayout, *, quoted: bool) -> pa.Table:
    """Drop rows without any value, as spreadsheets leave them below a table."""
    empty = _empty_rows(table)
    if not empty.any():
        return table
    if table.num_columns < len(layout.names):
        empty = _empty_rows(_parse(data, layout, None, (), quoted=quoted))
    return table.filter(pa.array(~empty))


def _empty_rows(table: pa.Table) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    empty = np.ones(table.num_rows, np.bool_)
    for column in table.columns:
        if column.null_count == 0:
            return np.zeros(table.num_rows, np.bool_)
        empty &= column.is_null().to_numpy()
    return empty


def _without_guards(table: pa.Table) -> pa.Table:
    """Texts without the `="…"` by which exports keep Excel from making numbers of them."""
    for position, name in enumerate(table.column_names):
        column = table.column(position)
        texts = column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column
        if pa.types.is_string(texts.type) and pc.any(pc.starts_with(texts, '="')).as_py():
            plain = pc.replace_substring_regex(texts, r'(?s)^="(.*)"$', r"\1")
            encoded = pc.dictionary_encode(plain) if pa.types.is_dictionary(column.type) else plain
            table = table.set_column(position, name, encoded)
    return table


def _with_named_columns(path: Path, table: pa.Table) -> pa.Table:
    if not table.num_columns:
        raise TableError(f"{path} has no column with a name.", hint="A table starts with a header row.")
    return _without_guards(table)


def _without_nameless(
    path: Path, table: pa.Table, layout: TableLayout, columns: Sequence[str] | None
) -> pa.Table:
    for position, (name, given) in enumerate(
        zip(_distinct_names(layout), layout.names, strict=True), start=1
    ):
        if given.strip() or name not in table.column_names:
            continue
        column = table.column(name)
        if column.null_count < len(column) and not (position == 1 and _counts_rows(column)):
            raise TableError(
                f"{path}: column {position} has values but no name in row {layout.header_row} (the header).",
                hint="Name or remove it.",
            )
        table = table.drop_columns([name])
    return table if columns is None else table.select(list(columns))


def _counts_rows(column: pa.ChunkedArray) -> bool:
    """Whether the column is the row numbers that pandas writes before a table."""
    numbers = pa.array(np.arange(len(column))).cast(pa.string())
    return bool(pc.all(pc.equal(column, pa.chunked_array([numbers]))).as_py())
