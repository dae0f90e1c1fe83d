"""Read untrusted FlatBuffers within their bounds (https://flatbuffers.dev/internals/).

Every position is checked when it is read, in Python's integers, which cannot wrap.
"""

from __future__ import annotations

import struct
from typing import Final

_U8: Final = struct.Struct("<B")
_I16: Final = struct.Struct("<h")
_U16: Final = struct.Struct("<H")
_I32: Final = struct.Struct("<i")
_U32: Final = struct.Struct("<I")
_I64: Final = struct.Struct("<q")


class FlatBufferError(Exception):
    """The buffer points outside itself, lacks a required field, or is over a limit.

    Never leaves the reader.
    """


class Table:
    """One table of a buffer; fields are named by their number in the schema."""

    __slots__ = ("_at", "_data", "_slots", "_vtable")

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._at = at
        self._vtable = at - _read(data, at, _I32)
        size = _read(data, self._vtable, _U16)
        if self._vtable + size > len(data):
            raise FlatBufferError("a table's fields lie outside the message")
        self._slots = (size - 4) // 2

    @classmethod
    def root(cls, data: bytes) -> Table:
        """The table that the buffer is about."""
        return cls(data, _read(data, 0, _U32))

    def has(self, field: int) -> bool:
        """Whether the field is there."""
        return self._place(field) != 0

    def u8(self, field: int, default: int = 0) -> int:
        """An unsigned byte (a union's type, a truth value)."""
        return self._scalar(field, _U8, default)

    def i16(self, field: int, default: int = 0) -> int:
        """A short (an enumeration)."""
        return self._scalar(field, _I16, default)

    def i32(self, field: int, default: int = 0) -> int:
        """An integer of 32 bits."""
        return self._scalar(field, _I32, default)

    def i64(self, field: int, default: int = 0) -> int:
        """An integer of 64 bits."""
        return self._scalar(field, _I64, default)

    def table(self, field: int) -> Table:
        """A table that must be there."""
        return Table(self._data, self._target(field))

    def text(self, field: int) -> str:
        """A string; empty if it is absent."""
        if not self.has(field):
            return ""
        at = self._target(field)
        count = _read(self._data, at, _U32)
        if count > len(self._data) - at - 4:
            raise FlatBufferError("a name lies outside the message")
        try:
            return self._data[at + 4 : at + 4 + count].decode()
        except UnicodeDecodeError as error:
            raise FlatBufferError("a name is not UTF-8") from error

    def tables(self, field: int, limit: int) -> list[Table]:
        """The tables of a vector of at most `limit`; none if it is absent."""
        at, count = self._vector(field, 4)
        if count > limit:
            raise FlatBufferError(f"there are {count} where at most {limit} are taken")
        places = range(at, at + 4 * count, 4)
        return [Table(self._data, place + _read(self._data, place, _U32)) for place in places]

    def pairs(self, field: int, limit: int) -> list[tuple[int, int]]:
        """A vector of at most `limit` structs of two 64-bit integers; none if it is absent."""
        at, count = self._vector(field, 16)
        if count > limit:
            raise FlatBufferError(f"there are {count} where at most {limit} are taken")
        numbers = struct.unpack_from(f"<{2 * count}q", self._data, at)
        return list(zip(numbers[::2], numbers[1::2], strict=True))

    def count(self, field: int) -> int:
        """How many offsets a vector holds; 0 if it is absent."""
        return self._vector(field, 4)[1]

    def _vector(self, field: int, width: int) -> tuple[int, int]:
        if not self.has(field):
            return 0, 0
        at = self._target(field)
        count = _read(self._data, at, _U32)
        if count * width > len(self._data) - at - 4:
            raise FlatBufferError("a list lies outside the message")
        return at + 4, count

    def _scalar(self, field: int, form: struct.Struct, default: int) -> int:
        place = self._place(field)
        return _read(self._data, place, form) if place else default

    def _target(self, field: int) -> int:
        place = self._place(field)
        if not place:
            raise FlatBufferError("a part is absent that must be there")
        return place + _read(self._data, place, _U32)

    def _place(self, field: int) -> int:
        if field >= self._slots:
            return 0
        offset = _read(self._data, self._vtable + 4 + 2 * field, _U16)
        return self._at + offset if offset else 0


def _read(data: bytes, at: int, form: struct.Struct) -> int:
    # `unpack_from` would count a negative position from the end.
    if not 0 <= at <= len(data) - form.size:
        raise FlatBufferError("an offset points outside the message")
    return int(form.unpack_from(data, at)[0])
