"""Find rows of a report that are no leads: subtotals, totals and small print."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from leadscore.data.layout import TableLayout
from leadscore.errors import TableError

_TAIL_BYTES: Final = 4096
_TAIL_LINES: Final = 6
_PIECE: Final = 1 << 22
_LONGEST_LINE: Final = 1 << 16
_TOTAL: Final = re.compile(r"(grand |sub-?)?totals?:?|summe:?|gesamt:?|sum:?", re.IGNORECASE)
_FOOTER: Final = re.compile(
    r"(grand )?totals?\b|sub-?totals?\b|(teil|zwischen)?(summe|ergebnis)\b|sum\b|gesamt|somme\b|"
    r"count\b|anzahl\b|average\b|copyright|©|confidential|generated\b|exported\b|report\b|"
    r"\d+ (rows|records|leads)\b|[-=*_ ]*end(e)? (of|des)\b|[-=*_]{3,}",
    re.IGNORECASE,
)
# Words for sums alone; a row that begins so is no lead.
_SUBTOTAL: Final = re.compile(
    r"sub-?\s?totals?\b|(zwischen|teil)(summe|ergebnis)\b|grand totals?\b|"
    r"gesamt(summe|ergebnis)\b|sous[- ]total\b|"
    r"(total parcial|totale parziale|subtotaal|suma parcial)\b",
    re.IGNORECASE,
)
# May be a company's name as well ("Total"): told by the cells that are empty beside it ("Berlin Total" is
# Excel's).
_MAY_BE_TOTAL: Final = re.compile(
    r"(totals?|summe|sum|gesamt|ergebnis|somme)\b.*|.+ (total|ergebnis|summe|gesamt)", re.IGNORECASE
)
TOTAL_IDS: Final = frozenset(
    form
    for word in (
        *(
            "total",
            "sub-total",
            "subtotal",
            "sub total",
            "grand total",
            "summe",
            "zwischensumme",
            "teilsumme",
            "gesamtsumme",
        ),
        *("teilergebnis", "zwischenergebnis", "gesamtergebnis", "sous-total"),
    )
    for form in (word, word.capitalize(), word.title(), word.upper())
)
"""What stands in place of an id where a row is a sum of others."""

# What all of these words hold, so that the rest of the file is passed over fast.
_HINTS: Final = (
    b"otal",
    b"OTAL",
    b"umme",
    b"UMME",
    b"omme",
    b"esamt",
    b"ESAMT",
    b"rgebnis",
    b"RGEBNIS",
    b"parcial",
    b"Sum",
    b"SUM",
)


def check_report_rows(path: Path, data: pa.Buffer, layout: TableLayout, rows: int) -> None:
    """Refuse a table with rows that are a report's: subtotals anywhere, totals and small print at its end.

    Args:
        path: For messages.
        data: The rows of the file.
        layout: The file's layout.
        rows: How many rows were read.

    Raises:
        TableError: Names the row.
    """
    if len(layout.names) < 3:
        return
    tail = data.slice(max(0, data.size - _TAIL_BYTES)).to_pybytes().decode("utf-8", "replace").rstrip("\r\n")
    for back, line in enumerate(reversed(tail.splitlines()[-_TAIL_LINES:])):
        cells, filled = _cells(line, layout)
        few = filled and 2 * len(filled) <= len(cells) and _FOOTER.match(filled[0])
        if few or (len(filled) < len(cells) and filled and _TOTAL.fullmatch(filled[0])):
            raise TableError(
                f"{path}: row {layout.header_row + rows - back} (the header is row {layout.header_row}) "
                "looks like a report's footer, not like a lead.",
                hint="Remove the rows below the table.",
            )
    for start, line in _suspects(data):
        cells, filled = _cells(line, layout)
        if len(cells) != len(layout.names) or not filled:
            continue
        sparse = 2 * len(filled) <= len(cells) + 1 and len(filled) < len(cells)
        if _SUBTOTAL.match(filled[0]) or (sparse and _MAY_BE_TOTAL.fullmatch(filled[0])):
            number = layout.header_line + 1 + _lines(data.slice(0, start))
            raise TableError(
                f"{path}: line {number} looks like a report's subtotal, not like a lead.",
                hint="Export the leads without subtotals, or remove those rows.",
            )


def _cells(line: str, layout: TableLayout) -> tuple[list[str], list[str]]:
    cells = [cell.strip() for cell in next(csv.reader([line], delimiter=layout.delimiter), [])]
    return cells, [cell for cell in cells if cell]


def _suspects(data: pa.Buffer) -> Iterator[tuple[int, str]]:
    """Lines in which one of the words may stand, with the byte at which they begin.

    Each once, piece by piece.
    """
    done = -1
    for piece_start in range(0, data.size, _PIECE):
        # Lines that begin in this piece may end in the next.
        piece = data.slice(piece_start, min(_PIECE + _LONGEST_LINE, data.size - piece_start)).to_pybytes()
        places = sorted({line for hint in _HINTS for line in _line_starts(piece, hint)})
        for line in places:
            start = piece_start + line
            if start <= done or (line == 0 and piece_start):
                continue
            done = start
            end = piece.find(b"\n", line)
            yield start, piece[line : end if end >= 0 else len(piece)].decode("utf-8", "replace").strip("\r")


def _line_starts(piece: bytes, hint: bytes) -> Iterator[int]:
    at = piece.find(hint)
    while at >= 0:
        start = piece.rfind(b"\n", 0, at) + 1
        yield start
        end = piece.find(b"\n", at)
        at = piece.find(hint, end) if end >= 0 else -1


def _lines(data: pa.Buffer) -> int:
    return int(np.count_nonzero(np.frombuffer(data, np.uint8) == ord("\n"))) if data.size else 0
