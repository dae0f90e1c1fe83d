"""Arrow IPC streams in and out (nanoarrow; https://arrow.apache.org/docs/format/Columnar.html#ipc-streaming-format)."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Sequence
from typing import Final

import nanoarrow as na
import numpy as np
import numpy.typing as npt
from nanoarrow import ipc

from leadscore.errors import BodyTooLargeError, MalformedBodyError

Column = Sequence[object] | npt.NDArray[np.generic]

_CONTINUATION: Final = 0xFFFFFFFF
_DICTIONARY_BATCH, _RECORD_BATCH = 2, 3
_NUMERIC: Final = frozenset(
    na.Type[name]
    for name in ("INT8", "UINT8", "INT16", "UINT16", "INT32", "UINT32", "HALF_FLOAT", "FLOAT", "DOUBLE")
)
_TEXT: Final = frozenset(
    na.Type[name]
    for name in ("STRING", "LARGE_STRING", "STRING_VIEW", "DICTIONARY", "BOOL", "INT64", "UINT64", "NULL")
)


def read_columns(body: bytes, limit: int) -> dict[str, Column]:
    """The columns of a stream, by name, for `LeadDecoder.columns_to_rows`.

    Args:
        body: The whole stream.
        limit: Rows that are taken at most.

    Raises:
        MalformedBodyError: Not a stream, a compressed one (a few bytes could unfold to any size), two columns of
            one name, or a type that no feature has.
        BodyTooLargeError: More than `limit` rows.
    """
    _check_batches(body, limit)
    try:
        with ipc.InputStream.from_readable(io.BytesIO(body)) as source:
            table = na.ArrayStream(source).read_all()
        names = [table.schema.field(i).name or "" for i in range(table.n_children)]
        if len(set(names)) != len(names):
            raise MalformedBodyError("Two columns of the Arrow body have the same name.", hint="Rename one.")
        return {name: _column(name, table.child(i)) for i, name in enumerate(names)}
    except (RuntimeError, ValueError, NotImplementedError, KeyError) as error:  # what nanoarrow raises
        raise MalformedBodyError(
            "The body cannot be read as an Arrow IPC stream.", hint=f"The reader says: {str(error)[:200]}"
        ) from error


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


def _column(name: str, array: na.Array) -> Column:
    kind = array.schema.type
    if kind in _NUMERIC:
        return np.asarray(array.to_pysequence(handle_nulls=na.nulls_as_sentinel()))
    if kind in _TEXT:
        return list(array.iter_py())
    raise MalformedBodyError(
        f"Column {name[:80]!r} of the Arrow body has type {kind.name.lower()}.",
        hint="Numbers, booleans, text and dictionaries of text are taken.",
    )


def _check_batches(body: bytes, limit: int) -> None:
    """Look at the batches' headers before anything is unfolded."""
    rows = 0
    try:
        for length, compressed in _batches(body):
            if compressed:
                raise MalformedBodyError(
                    "The Arrow body is compressed.",
                    hint="Send it uncompressed; fewer leads per request if too large.",
                )
            rows += length
            if rows > limit:
                raise BodyTooLargeError(
                    f"The request holds more than {limit} leads.", hint="Send them in several requests."
                )
    except (struct.error, IndexError) as error:
        raise MalformedBodyError(
            "The body is no Arrow IPC stream.", hint="Write it with a stream writer."
        ) from error


def _batches(body: bytes) -> Iterator[tuple[int, bool]]:
    """Rows (0 for a dictionary) of each batch in the stream, and whether its buffers are compressed."""
    at = 0
    while at + 8 <= len(body):
        marker, size = struct.unpack_from("<II", body, at)
        if marker != _CONTINUATION:
            raise IndexError("no continuation marker")
        if size == 0:
            return
        message = _Table.root(body, at + 8)
        kind = message.u8(1)
        if kind in (_RECORD_BATCH, _DICTIONARY_BATCH):
            batch = message.table(2)
            if kind == _DICTIONARY_BATCH:
                batch = batch.table(1)
            length = batch.i64(0)
            if length < 0:
                raise IndexError("negative length")
            yield (length if kind == _RECORD_BATCH else 0), batch.has(3)
        body_length = message.i64(3)
        if body_length < 0:
            raise IndexError("negative length")
        at += 8 + size + body_length


class _Table:
    """A FlatBuffers table, as much of it as is needed (https://flatbuffers.dev/internals/); struct.error beyond its end."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._at = at
        self._vtable = at - struct.unpack_from("<i", data, at)[0]
        if self._vtable < 0:
            raise IndexError("vtable outside the message")
        self._size: int = struct.unpack_from("<H", data, self._vtable)[0]

    @classmethod
    def root(cls, data: bytes, at: int) -> _Table:
        return cls(data, at + struct.unpack_from("<I", data, at)[0])

    def has(self, field: int) -> bool:
        return self._offset(field) != 0

    def u8(self, field: int) -> int:
        return self._scalar(field, "<B")

    def i64(self, field: int) -> int:
        return self._scalar(field, "<q")

    def table(self, field: int) -> _Table:
        offset = self._offset(field)
        if not offset:
            raise IndexError("the table is absent")
        return self.root(self._data, self._at + offset)

    def _scalar(self, field: int, form: str) -> int:
        offset = self._offset(field)
        return int(struct.unpack_from(form, self._data, self._at + offset)[0]) if offset else 0

    def _offset(self, field: int) -> int:
        slot = 4 + 2 * field
        return (
            int(struct.unpack_from("<H", self._data, self._vtable + slot)[0]) if slot + 2 <= self._size else 0
        )
