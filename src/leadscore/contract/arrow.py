"""The Arrow methods that this package calls, as protocols, so that nothing here imports pyarrow."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from leadscore.contract.model import ColumnFormat
from leadscore.contract.plain import is_nan
from leadscore.contract.text import USUAL, read_time

ArrowKind = Literal["boolean", "integer", "number", "text", "time", "empty", "other"]

_NUMBER = re.compile(r"-?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?\Z")


class ArrowArray(Protocol):
    """The part of `pyarrow.Array` that is used."""

    @property
    def indices(self) -> ArrowArray:
        """Codes of a dictionary array."""
        ...

    def __len__(self) -> int: ...

    def dictionary_encode(self) -> ArrowArray:
        """The array as codes into its distinct values."""
        ...

    def field(self, index: str) -> ArrowArray:
        """One field of a struct array."""
        ...

    def to_numpy(self, zero_copy_only: bool) -> NDArray[np.generic]:
        """The values; null as NaN in numbers."""
        ...

    def to_pylist(self) -> Sequence[object]:
        """The values as Python objects."""
        ...


class ArrowColumn(Protocol):
    """The part of `pyarrow.ChunkedArray` that is used."""

    @property
    def type(self) -> object:
        """The Arrow data type."""
        ...

    def __len__(self) -> int: ...

    def cast(self, target_type: str) -> ArrowColumn:
        """The column as another type."""
        ...

    def combine_chunks(self) -> ArrowArray:
        """The column as one array."""
        ...

    def is_null(self) -> ArrowColumn:
        """Where the column is null."""
        ...

    def to_numpy(self) -> NDArray[np.generic]:
        """The values; null as NaN in numbers and None in objects."""
        ...

    def to_pylist(self) -> Sequence[object]:
        """The values as Python objects."""
        ...

    def unique(self) -> ArrowArray:
        """The distinct values, null included."""
        ...

    def value_counts(self) -> ArrowArray:
        """Distinct values with their counts."""
        ...


class ArrowTable(Protocol):
    """The part of `pyarrow.Table` that is used."""

    @property
    def column_names(self) -> Sequence[str]:
        """Names in table order."""
        ...

    @property
    def num_rows(self) -> int:
        """Number of rows."""
        ...

    def column(self, i: str) -> ArrowColumn:
        """One column by name."""
        ...


def kind_of(column: ArrowColumn) -> ArrowKind:
    """What the Arrow type can hold, dictionaries by their values."""
    name = str(column.type)
    if name.startswith("dictionary<values="):
        name = name.removeprefix("dictionary<values=").split(",")[0]
    if name == "bool":
        return "boolean"
    if re.fullmatch(r"u?int\d+", name):
        return "integer"
    if name in {"halffloat", "float", "double"} or name.startswith("decimal"):
        return "number"
    if name in {"string", "large_string", "string_view", "utf8"}:
        return "text"
    if name.startswith(("timestamp", "date")):
        return "time"
    return "empty" if name == "null" else "other"


def counts(column: ArrowColumn) -> list[tuple[object, int]]:
    """Distinct values with counts, null and NaN left out, most frequent first, ties in order of their text.

    Empty for columns that are no feature, time or id whatever they hold (lists, bytes, …).
    """
    kind = kind_of(column)
    if kind in {"empty", "other"}:
        return []
    found = _plain(column).value_counts()
    sizes = cast("Sequence[int]", found.field("counts").to_pylist())
    pairs = zip(found.field("values").to_pylist(), sizes, strict=True)
    known = [pair for pair in pairs if pair[0] is not None and not is_nan(pair[0])]
    return sorted(known, key=lambda pair: (-pair[1], str(pair[0])))


def distinct_values(column: ArrowColumn) -> int:
    """Number of different values, null and NaN left out; 0 for columns that `counts` does not count."""
    kind = kind_of(column)
    if kind in {"empty", "other"}:
        return 0
    if kind == "number":
        values = floats(column)
        return len(np.unique(values[~np.isnan(values)]))
    return len(_plain(column).unique()) - int(bool(nulls(column).any()))


def _plain(column: ArrowColumn) -> ArrowColumn:
    """The column in a type that Arrow can count."""
    if str(column.type).startswith("dictionary") or str(column.type) == "string_view":
        return column.cast("string" if kind_of(column) == "text" else "float64")
    return column


def floats(column: ArrowColumn) -> NDArray[np.float64]:
    """A boolean, integer, decimal or floating column as float64; null as NaN."""
    if str(column.type).startswith(("decimal", "dictionary", "bool")):
        column = column.cast("float64")
    return column.to_numpy().astype(np.float64)


def nulls(column: ArrowColumn) -> NDArray[np.bool_]:
    """Where the column is null, or NaN if it holds numbers."""
    if kind_of(column) == "empty":
        return np.ones(len(column), dtype=np.bool_)
    missing = column.is_null().to_numpy().astype(np.bool_)
    return missing | np.isnan(floats(column)) if kind_of(column) == "number" else missing


def arrow_times(column: ArrowColumn, form: ColumnFormat | None = None) -> NDArray[np.datetime64] | None:
    """Times in UTC as `datetime64[us]`, NaT where there is none or it cannot be read.

    None if the column holds none.

    Args:
        column: Times, or texts and numbers that the format reads.
        form: How they are written; None: ISO 8601.
    """
    if kind_of(column) == "time":
        return column.to_numpy().astype("datetime64[us]")
    if kind_of(column) not in {"text", "integer", "number"}:
        return None
    texts = [None if value is None else str(value) for value in column.to_pylist()]
    moments = {text: read_time(text, form or USUAL) for text in set(texts) if text is not None}
    if not any(moment is not None for moment in moments.values()):
        return None
    missing = np.datetime64("NaT", "us")
    known = {text: np.datetime64(moment, "us") for text, moment in moments.items() if moment is not None}
    found = [missing if text is None else known.get(text, missing) for text in texts]
    return np.array(found, dtype="datetime64[us]")
