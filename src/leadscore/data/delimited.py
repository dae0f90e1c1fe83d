"""CSV in: types inferred, nothing guessed away, and errors that name the row and the column."""

# Arrow makes its compute functions when it is imported.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import contextlib
import csv
import re
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from leadscore.errors import TableError

_DELIMITERS = ",;\t|"
_HEADER_BYTES = 1 << 20
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?([eE][+-]?\d+)?$|\d{4}-\d{2}(-\d{2})?")
# Missing in a text column. "NA" is not in the list: it is Namibia.
_TEXT_NULLS = ("", "NULL", "null", "N/A", "n/a", "#N/A", "NaN", "nan", "<NA>")
# Text that a number would not give back: leading zeros (postcodes, ids) and ids too long for 64 bits.
_NOT_A_QUANTITY = r"^[+-]?0[0-9]|^[0-9]{17,}$"


def read_csv(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a CSV file with a header (delimiter `,` `;` tab or `|`, UTF-8, optionally compressed).

    Types are inferred over the whole file. A column that looks like numbers but would lose digits (leading
    zeros, more than 64 bits) stays text. Empty cells are null, in text columns too.

    Raises:
        TableError: Empty file, no header, duplicate or unnamed columns, ragged rows, not UTF-8.
        OSError: The file cannot be opened (the caller names it).
    """
    header, delimiter = _read_header(path)
    if columns is not None:
        # Arrow's own message lists neither the file nor what there is.
        require_columns(path, header, columns)
    parse = pacsv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    convert = pacsv.ConvertOptions(include_columns=list(columns) if columns is not None else None)
    table = _parse(path, parse, convert)
    _check_encoding(path, table)
    table = _keep_digits(path, table, parse)
    return _empty_text_to_null(table)


def require_columns(path: Path, present: Sequence[str], wanted: Sequence[str]) -> None:
    """Refuse a table that lacks a wanted column, naming all that are missing and what there is."""
    missing = [name for name in wanted if name not in present]
    if missing:
        raise TableError(
            f"{path} has no column {', '.join(map(repr, missing))}.",
            hint=f"It has: {', '.join(present[:40])}{', …' if len(present) > 40 else ''}.",
        )


def _read_header(path: Path) -> tuple[list[str], str]:
    with pa.input_stream(str(path), compression="detect") as stream:
        head: bytes = stream.read(_HEADER_BYTES)
    if not head.strip():
        raise TableError(f"{path} is empty.", hint="A table starts with a header row.")
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise TableError(f"{path} is UTF-16.", hint="Save it as CSV with UTF-8 encoding.")
    line = head.lstrip(b"\r\n").splitlines()[0]
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TableError(
            f"{path}: row 1 (the header) is not UTF-8 at byte {error.start + 1}.",
            hint="Save it as CSV with UTF-8 encoding.",
        ) from error
    delimiter = max(_DELIMITERS, key=lambda candidate: len(next(csv.reader([text], delimiter=candidate))))
    names = next(csv.reader([text], delimiter=delimiter))
    _check_header(path, names)
    return names, delimiter


def _check_header(path: Path, names: Sequence[str]) -> None:
    if all(_NUMBER.match(name) or not name for name in names):
        raise TableError(
            f"{path} has no header: its first row holds numbers or nothing.",
            hint="Add a first row with the column names.",
        )
    for position, name in enumerate(names, start=1):
        if not name.strip():
            raise TableError(
                f"{path}: column {position} has no name in row 1 (the header).", hint="Name or remove it."
            )
        if names.index(name) != position - 1:
            raise TableError(
                f"{path}: column {name!r} appears twice (columns {names.index(name) + 1} and {position}).",
                hint="Rename or remove one.",
            )


def _parse(path: Path, parse: pacsv.ParseOptions, convert: pacsv.ConvertOptions) -> pa.Table:
    try:
        return pacsv.read_csv(str(path), parse_options=parse, convert_options=convert)
    except pa.ArrowInvalid as error:
        ragged = _first_ragged_row(path, parse)
        if ragged is not None:
            raise ragged from error
        raise TableError(
            f"{path} cannot be read as CSV: {_first_line(error)}.", hint="Check for an unclosed quote."
        ) from error


def _first_ragged_row(path: Path, parse: pacsv.ParseOptions) -> TableError | None:
    """Parse again, slowly: only the serial reader knows row numbers."""
    found: list[pacsv.InvalidRow] = []

    def remember(row: pacsv.InvalidRow) -> str:
        found.append(row)
        return "skip"

    options = pacsv.ParseOptions(
        delimiter=parse.delimiter, newlines_in_values=True, invalid_row_handler=remember
    )
    with contextlib.suppress(pa.ArrowInvalid):
        pacsv.read_csv(str(path), read_options=pacsv.ReadOptions(use_threads=False), parse_options=options)
    if not found:
        return None
    first = found[0]
    more = f" ({len(found)} rows like this)" if len(found) > 1 else ""
    return TableError(
        f"{path}: row {first.number} (the header is row 1) has {first.actual_columns} columns "
        f"instead of {first.expected_columns}{more}.",
        hint="Quote values that contain the delimiter.",
    )


def _check_encoding(path: Path, table: pa.Table) -> None:
    for name, column in zip(table.column_names, table.columns, strict=True):
        if not pa.types.is_binary(column.type):
            continue
        for row, value in enumerate(column.to_pylist(), start=2):
            try:
                (value or b"").decode("utf-8")
            except UnicodeDecodeError as error:
                raise TableError(
                    f"{path}: row {row} (the header is row 1), column {name!r} is not UTF-8.",
                    hint="Save it as CSV with UTF-8 encoding.",
                ) from error


def _keep_digits(path: Path, table: pa.Table, parse: pacsv.ParseOptions) -> pa.Table:
    numeric = [
        field.name
        for field in table.schema
        if pa.types.is_integer(field.type) or pa.types.is_floating(field.type)
    ]
    if not numeric:
        return table
    convert = pacsv.ConvertOptions(include_columns=numeric, column_types=dict.fromkeys(numeric, pa.string()))
    texts = _parse(path, parse, convert)
    for name in numeric:
        if pc.any(pc.match_substring_regex(texts[name], _NOT_A_QUANTITY)).as_py():
            table = table.set_column(table.column_names.index(name), name, texts[name])
    return table


def _empty_text_to_null(table: pa.Table) -> pa.Table:
    nulls = pa.array(_TEXT_NULLS, pa.string())
    for position, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            column = table.column(position)
            missing = pc.is_in(column, value_set=nulls)
            if pc.any(missing).as_py():
                table = table.set_column(
                    position, field.name, pc.if_else(missing, pa.scalar(None, pa.string()), column)
                )
    return table


def _first_line(error: Exception) -> str:
    # The rest of Arrow's message quotes the row, and a row holds people's data.
    return str(error).split(":", maxsplit=2)[0].splitlines()[0]
