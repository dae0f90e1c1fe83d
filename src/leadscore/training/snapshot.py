"""Record what a run was made from: digest of the data, versions of libraries."""

# Arrow makes its compute functions when it is imported.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable

import lightgbm
import numpy as np
import optuna
import pyarrow as pa
import pyarrow.compute as pc
import xgboost

_CHUNK_ROWS = 65_536


def table_digest(table: pa.Table) -> str:
    """SHA-256 (hex) over the columns' names, kinds, values and nulls.

    The same for the same values, however they are chunked, dictionary-encoded or wide (int32 or int64, large
    strings, milliseconds or microseconds).
    """
    digest = hashlib.sha256(f"leadscore-table-1 {table.num_rows}".encode())
    for name in table.column_names:
        digest.update(b"\0" + name.encode() + b"\0" + _column_digest(table.column(name)))
    return digest.hexdigest()


def library_versions() -> dict[str, str]:
    """Versions of what the model's bytes depend on."""
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "pyarrow": pa.__version__,
        "xgboost": xgboost.__version__,
        "lightgbm": lightgbm.__version__,
        "optuna": optuna.__version__,
    }


def _column_digest(column: pa.ChunkedArray) -> bytes:
    kind = _kind(column.type)
    nulls, values, lengths = (hashlib.sha256() for _ in range(3))
    for begin in range(0, len(column), _CHUNK_ROWS):
        part = column.slice(begin, _CHUNK_ROWS).cast(kind).combine_chunks()
        nulls.update(part.is_null().to_numpy(zero_copy_only=False).tobytes())
        if pa.types.is_null(kind):
            continue
        if pa.types.is_large_string(kind):
            filled = pc.fill_null(part, "")
            lengths.update(pc.binary_length(filled).to_numpy(zero_copy_only=False).tobytes())
            values.update("".join(filled.to_pylist()).encode())
        else:
            zero = pa.scalar(0, pa.int64() if pa.types.is_timestamp(kind) else kind)
            plain = part.cast(pa.int64()) if pa.types.is_timestamp(kind) else part
            values.update(pc.fill_null(plain, zero).to_numpy(zero_copy_only=False).tobytes())
    label = b"text" if pa.types.is_large_string(kind) else str(kind).encode()
    return hashlib.sha256(label + b"\0" + nulls.digest() + values.digest() + lengths.digest()).digest()


def _kind(kind: pa.DataType) -> pa.DataType:
    """The widest type of the same meaning."""
    if pa.types.is_dictionary(kind):
        return _kind(kind.value_type)
    for holds, widest in _WIDEST:
        if holds(kind):
            return widest
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return pa.timestamp("us", tz="UTC" if getattr(kind, "tz", None) else None)
    return pa.large_string()


_WIDEST: tuple[tuple[Callable[[pa.DataType], bool], pa.DataType], ...] = (
    (pa.types.is_null, pa.null()),
    (pa.types.is_boolean, pa.uint8()),
    (pa.types.is_uint64, pa.uint64()),
    (pa.types.is_integer, pa.int64()),
    (pa.types.is_floating, pa.float64()),
    (pa.types.is_decimal, pa.float64()),
)
