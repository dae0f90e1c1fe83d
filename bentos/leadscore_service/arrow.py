"""Arrow IPC streams: leads in, scores out.

Streams of callers are read by our own code (`flatbuffers`, `arrow_stream`, and here), into lists and NumPy
arrays: existing readers trust their input (docs/decisions/0018). Our own replies are written by nanoarrow.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, cast

import nanoarrow as na
import numpy as np
import numpy.typing as npt
from nanoarrow import ipc

from leadscore.errors import BodyTooLargeError
from leadscore_service.arrow_stream import Array, ArrowBatch, Field, Storage, invalid, read_stream

WireColumn = Sequence[object] | npt.NDArray[np.generic]

# Columns besides those of the contract, which are refused, or warned of, by name.
MORE_COLUMNS: Final = 256
# Of all dictionaries of a request: each value may become an object.
MAX_DICTIONARY: Final = 1_000_000
# Bytes of a number; integers that are wider stay Python's, because a float would round them.
_NARROW: Final = 4


def read_columns(body: bytes, limit: int, known: int) -> dict[str, WireColumn]:
    """The columns of a stream, by name, for `LeadDecoder.columns_to_rows`.

    Args:
        body: The whole stream.
        limit: Rows that are taken at most.
        known: Columns of the contract; some more are taken, so that the refusal can name them.

    Raises:
        MalformedBodyError: Not a stream, a compressed one (a few bytes could unfold to any size), two columns
            of one name, too many columns, or a type that no feature has.
        ArrowInvalidError: A stream that contradicts itself.
        BodyTooLargeError: More than `limit` rows.
    """
    fields, batches = read_stream(body, known + MORE_COLUMNS)
    parts: list[list[WireColumn]] = [[] for _ in fields]
    dictionaries: dict[int, list[object]] = {}
    rows = entries = 0
    for batch in batches:
        if batch.dictionary is not None:
            entries += batch.length
            if entries > MAX_DICTIONARY:
                raise BodyTooLargeError(
                    f"The dictionaries of the request hold more than {MAX_DICTIONARY} values.",
                    hint="Send the columns without dictionaries.",
                )
            _learn(batch, fields, dictionaries)
            continue
        if not batch.length:
            continue
        rows += batch.length
        if rows > limit:
            raise BodyTooLargeError(
                f"The request holds more than {limit} leads.", hint="Send them in several requests."
            )
        for field, array, found in zip(fields, batch.arrays, parts, strict=True):
            found.append(_column(field, array, dictionaries))
    return {field.name: _joined(found) for field, found in zip(fields, parts, strict=True)}


def write_columns(columns: dict[str, list[str] | npt.NDArray[np.float64]], rows: int) -> bytes:
    """An Arrow IPC stream of one batch with text and float64 columns, in that order."""
    types = {
        name: na.string() if isinstance(values, list) else na.float64() for name, values in columns.items()
    }
    children = [na.c_array(values, types[name]) for name, values in columns.items()]
    batch = na.c_array_from_buffers(na.struct(types), rows, [None], children=children)
    target = io.BytesIO()
    with ipc.StreamWriter.from_writable(target) as writer:
        writer.write_array(batch)
    return target.getvalue()


def _learn(batch: ArrowBatch, fields: list[Field], dictionaries: dict[int, list[object]]) -> None:
    number = cast("int", batch.dictionary)
    storage = next(f.values for f in fields if f.dictionary == number and f.values is not None)
    values = _listed(_values(storage, batch.arrays[0]))
    if batch.delta:
        dictionaries.setdefault(number, []).extend(values)
    else:
        dictionaries[number] = values


def _column(field: Field, array: Array, dictionaries: dict[int, list[object]]) -> WireColumn:
    if field.dictionary is None:
        return _values(field.storage, array)
    values = dictionaries.get(field.dictionary)
    if values is None:
        # An all-null column need not have one.
        if array.nulls != array.length:
            raise invalid("a column's dictionary is missing")
        return [None] * array.length
    present = _present(array)
    indices = _fixed(field.storage, array)
    used = indices if present is None else indices[present]
    if len(used) and (int(used.min()) < 0 or int(used.max()) >= len(values)):
        raise invalid("an index is not in its dictionary")
    if present is not None:
        # Bytes of null values may be anything.
        indices = np.where(present, indices, np.zeros(1, indices.dtype))
    found: list[object] = [values[i] for i in indices.tolist()] if values else [None] * array.length
    return _with_nulls(found, present)


def _values(storage: Storage, array: Array) -> WireColumn:
    """Numbers of up to 32 bits, floats and times as arrays, NaN or NaT for null.

    All else as a list, None for null.
    """
    if storage.layout == "null":
        return [None] * array.length
    present = _present(array)
    if storage.layout == "text":
        return _texts(storage, array, present)
    if storage.layout == "bool":
        return _with_nulls(_bits(array.buffers[1], array.length).tolist(), present)
    found = _fixed(storage, array)
    if storage.time:
        times = found.astype(f"<M8[{storage.time}]")
        return times if present is None else np.where(present, times, np.array("NaT", dtype=times.dtype))
    if found.dtype.kind == "f" or found.dtype.itemsize <= _NARROW:
        return found if present is None else np.where(present, found, np.nan)
    return _with_nulls(found.tolist(), present)


def _with_nulls(values: list[object], present: npt.NDArray[np.bool_] | None) -> list[object]:
    if present is None:
        return values
    return [value if there else None for value, there in zip(values, present.tolist(), strict=True)]


def _texts(storage: Storage, array: Array, present: npt.NDArray[np.bool_] | None) -> list[object]:
    _, given, data = array.buffers
    if array.length == 0:
        return []
    offsets = _numbers(given, storage.dtype, array.length + 1)
    # Compared with each other, never subtracted: a difference could wrap.
    if (
        int(offsets[0]) < 0
        or int(offsets[-1]) > len(data)
        or bool(np.any(np.less(offsets[1:], offsets[:-1])))
    ):
        raise invalid("a text lies outside its buffer")
    raw = bytes(data)
    places = pairwise(offsets.tolist())
    if raw.isascii():
        text = raw.decode("ascii")
        return _with_nulls([text[a:b] for a, b in places], present)
    flags = [True] * array.length if present is None else present.tolist()
    try:
        return [raw[a:b].decode() if there else None for (a, b), there in zip(places, flags, strict=True)]
    except UnicodeDecodeError as error:
        raise invalid("a text is not UTF-8") from error


def _fixed(storage: Storage, array: Array) -> npt.NDArray[np.generic]:
    return _numbers(array.buffers[1], storage.dtype, array.length)


def _numbers(buffer: memoryview, dtype: str, count: int) -> npt.NDArray[np.generic]:
    if len(buffer) < count * np.dtype(dtype).itemsize:
        raise invalid("a buffer is too short for its column")
    return np.frombuffer(buffer, dtype, count) if count else np.empty(0, dtype)


def _bits(buffer: memoryview, count: int) -> npt.NDArray[np.bool_]:
    if len(buffer) < (count + 7) // 8:
        raise invalid("a bitmap is too short for its column")
    return np.unpackbits(np.frombuffer(buffer, np.uint8), count=count, bitorder="little").astype(np.bool_)


def _present(array: Array) -> npt.NDArray[np.bool_] | None:
    """Which values are there; None: all of them."""
    bitmap = array.buffers[0]
    if not len(bitmap):
        if array.nulls:
            raise invalid("a column has nulls and does not say which")
        return None
    present = _bits(bitmap, array.length)
    if array.length - int(np.count_nonzero(present)) != array.nulls:
        raise invalid("a column's count of nulls is not its bitmap's")
    return present if array.nulls else None


def _listed(column: WireColumn) -> list[object]:
    """Return a dictionary's values, null as NaN or None, which readers treat alike."""
    return column.tolist() if isinstance(column, np.ndarray) else list(column)


def _joined(parts: list[WireColumn]) -> WireColumn:
    """The parts of one column, which are all arrays or all lists."""
    if len(parts) == 1:
        return parts[0]
    arrays = [part for part in parts if isinstance(part, np.ndarray)]
    return np.concatenate(arrays) if arrays else [value for part in parts for value in part]
