"""Find the layout of a CSV file: encoding, delimiter, header, and lines above the header."""

from __future__ import annotations

import csv
import io
import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from leadscore.errors import TableError

# A cell may be as long as the file; the standard library's limit is 128 KB.
csv.field_size_limit(sys.maxsize)

_DELIMITERS = ",;\t|"
_HEAD_BYTES = 1 << 20
_SAMPLE_RECORDS = 200
_MOST_TITLES = 30
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?([eE][+-]?\d+)?$|\d{4}-\d{2}(-\d{2})?")
_SEP_LINE = re.compile(r'"?sep=(.)"?\s*\Z', re.IGNORECASE)
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\x28\xb5\x2f\xfd": "zstd"}
_NOT_TEXT = {
    b"PK\x03\x04": "an Excel workbook or a ZIP archive",
    b"PAR1": "Parquet",
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
}


@dataclass(frozen=True, slots=True)
class TableLayout:
    """Where the data of a CSV file begin and what their columns are called.

    Attributes:
        names: Of the columns, in order; empty where the header has none.
        delimiter: Between cells.
        start: Byte at which the first row of data begins.
        header_row: Number of the header among the rows of the file that are not blank, the first being 1.
        header_line: Number of the header's last line in the file, the first being 1.
    """

    names: tuple[str, ...]
    delimiter: str
    start: int
    header_row: int
    header_line: int


def read_content(path: Path) -> pa.Buffer:
    """The file's text as UTF-8 without a byte order mark, whatever it was stored as.

    Compression is told by the content, not by the name; UTF-16 is told by its byte order mark.

    Raises:
        TableError: Empty, or no text at all.
    """
    with path.open("rb") as file:
        head = file.read(8)
    if not head:
        raise TableError(f"{path} is empty.", hint="A table starts with a header row.")
    for magic, what in _NOT_TEXT.items():
        if head.startswith(magic):
            raise TableError(f"{path} is {what}, not CSV.", hint="Save it as CSV, or name it by what it is.")
    compression = next((name for magic, name in _COMPRESSED.items() if head.startswith(magic)), None)
    with (
        pa.input_stream(str(path), compression=compression)
        if compression
        else pa.memory_map(str(path)) as stream
    ):
        content: pa.Buffer = stream.read_buffer()
    start = content.slice(0, min(3, content.size)).to_pybytes()
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return pa.py_buffer(content.to_pybytes().decode("utf-16").encode())
        except UnicodeError as error:
            raise TableError(
                f"{path} is cut short or damaged UTF-16.", hint="Save it as CSV with UTF-8 encoding."
            ) from error
    return content.slice(3) if start == b"\xef\xbb\xbf" else content


def find_layout(path: Path, content: pa.Buffer, wanted: Sequence[str] | None = None) -> TableLayout:
    """Find the delimiter and the header.

    The delimiter is the one by which most rows have the same number of cells. Lines above the header are
    titles if they have one cell, or few, where the table has many.

    Args:
        path: For messages.
        content: What `read_content` gave.
        wanted: Columns that the header must have: a row that has them all is the header.

    Raises:
        TableError: No header, a repeated name, or a header that is not UTF-8.
    """
    lines = _first_lines(content)
    if not any(line.strip() for line in lines):
        raise TableError(f"{path} is empty.", hint="A table starts with a header row.")
    if any("\0" in line for line in lines[:2]):
        raise TableError(
            f"{path} holds NUL characters: UTF-16 without a byte order mark, or no text at all.",
            hint="Save it as CSV with UTF-8 encoding.",
        )
    skipped, delimiters = 0, _DELIMITERS
    while not lines[skipped].strip("\r\n"):
        skipped += 1
    sep = _SEP_LINE.match(lines[skipped])
    if sep is not None:
        skipped, delimiters = skipped + 1, sep[1]
    samples = [_sample(lines, skipped, delimiter) for delimiter in delimiters]
    best = max(samples, key=lambda sample: _fit(sample, wanted))
    place = _header_index(path, best, wanted)
    record = best.records[place]
    names = tuple(name.strip("\ufeff") for name in record.cells)
    _check_names(path, names, place + 1 + (sep is not None))
    start = sum(len(line.encode("utf-8", "surrogateescape")) for line in lines[: record.end_line])
    return TableLayout(names, best.delimiter, start, place + 1 + (sep is not None), record.end_line)


@dataclass(frozen=True, slots=True)
class _Record:
    cells: list[str]
    end_line: int

    @property
    def filled(self) -> int:
        return sum(1 for cell in self.cells if cell.strip())


@dataclass(frozen=True, slots=True)
class _Sample:
    delimiter: str
    records: list[_Record]
    width: int


def _first_lines(content: pa.Buffer) -> list[str]:
    head = content.slice(0, min(_HEAD_BYTES, content.size)).to_pybytes()
    return list(io.StringIO(head.decode("utf-8", "surrogateescape"), newline=""))


def _sample(lines: list[str], skipped: int, delimiter: str) -> _Sample:
    reader = csv.reader(lines[skipped:], delimiter=delimiter)
    records: list[_Record] = []
    for cells in reader:
        if cells:
            records.append(_Record(cells, skipped + reader.line_num))
        if len(records) == _SAMPLE_RECORDS:
            break
    # The last one may be cut off by the end of the sample.
    whole = records[:-1] if len(records) > 2 else records
    lengths = Counter(len(record.cells) for record in whole)
    width = max(lengths, key=lambda length: (lengths[length], length), default=1)
    return _Sample(delimiter, records, width)


def _fit(sample: _Sample, wanted: Sequence[str] | None) -> tuple[bool, bool, float, int]:
    has_wanted = bool(wanted) and any(
        set(wanted or ()) <= set(record.cells) for record in sample.records[:_MOST_TITLES]
    )
    agree = sum(len(record.cells) == sample.width for record in sample.records)
    return has_wanted, sample.width > 1, agree / len(sample.records), sample.width


def _header_index(path: Path, sample: _Sample, wanted: Sequence[str] | None) -> int:
    records = sample.records[: _MOST_TITLES + 1]
    if wanted:
        for index, record in enumerate(records):
            if set(wanted) <= set(record.cells):
                return index
    index = next((i for i, record in enumerate(records) if not _is_title(record, sample.width)), 0)
    names = [name.strip() for name in records[index].cells]
    if index and (not all(names) or len(set(names)) < len(names) or any(map(_NUMBER.match, names))):
        raise TableError(
            f"{path}: it is not clear which row is the header: row 1 has {records[0].filled} cells, most "
            f"rows have {sample.width}.",
            hint="Remove the lines above the row with the column names.",
        )
    return index


def _is_title(record: _Record, width: int) -> bool:
    """Whether a row above the table is none of it.

    It fills one cell of three or more, or less than half of them.
    """
    return (
        width >= 3
        and (record.filled == 1 or 2 * record.filled < width)
        and len(record.cells) in {record.filled, width, 1}
    )


def _check_names(path: Path, names: Sequence[str], row: int) -> None:
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise TableError(
                f"{path}: row {row} (the header) is not UTF-8 in the column name at "
                f"character {error.start + 1}.",
                hint="Save it as CSV with UTF-8 encoding.",
            ) from error
    if all(_NUMBER.match(name) or not name for name in names):
        raise TableError(
            f"{path} has no header: its first row holds numbers or nothing.",
            hint="Add a first row with the column names.",
        )
    for position, name in enumerate(names, start=1):
        if name.strip() and names.index(name) != position - 1:
            raise TableError(
                f"{path}: column {name!r} appears twice (columns {names.index(name) + 1} and {position}).",
                hint="Rename or remove one.",
            )
