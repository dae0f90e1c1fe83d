"""A reader for the Universal Binary JSON that XGBoost writes, safe on hostile bytes.

Format: https://ubjson.org/type-reference/ as far as `Booster.save_model("model.ubj")` uses it: plain objects,
counted arrays, and typed counted arrays (`[$d#L…`) that become NumPy arrays without a copy per element.
Every length is checked against the bytes that are left before anything is allocated, so a document never
costs more memory than a small multiple of its own size; nesting and the number of values are bounded.
"""

from __future__ import annotations

import struct
from typing import TypeAlias, TypeGuard

import numpy as np
import numpy.typing as npt

from leadscore.errors import ArtefactError

NumberArray: TypeAlias = npt.NDArray[np.generic]
Ubj: TypeAlias = "dict[str, Ubj] | list[Ubj] | NumberArray | str | int | float | bool | None"

MAX_NESTING = 32
MAX_VALUES = 2**20
"""Values in all, the numbers of a typed array not counted: each is an object, far larger than its bytes."""
_NUMBERS = {"i": ">i1", "U": ">u1", "I": ">i2", "l": ">i4", "L": ">i8", "d": ">f4", "D": ">f8"}
_SCALARS = {mark: struct.Struct(">" + code) for mark, code in zip("iUIlLdD", "bBhiqfd", strict=True)}
_CONSTANTS: dict[str, bool | None] = {"T": True, "F": False, "Z": None}


def is_object(value: Ubj) -> TypeGuard[dict[str, Ubj]]:
    """Whether the value is an object, in a way the type checker understands."""
    return isinstance(value, dict)


def read_ubjson(data: bytes) -> Ubj:
    """Decode one document.

    Args:
        data: The whole document; nothing may follow it.

    Returns:
        Objects as dicts, typed arrays as read-only NumPy arrays in native byte order, other arrays as lists.

    Raises:
        ArtefactError: The bytes are truncated, nested too deeply or not of the format.
    """
    reader = _Reader(data)
    value = reader.value(reader.mark(), 0)
    if reader.position != len(data):
        raise _malformed("bytes follow the document", reader.position)
    return value


def _malformed(what: str, position: int) -> ArtefactError:
    return ArtefactError(
        f"The model is not the UBJSON that XGBoost writes: {what} at byte {position}.",
        hint="Save it again with Booster.save_model('model.ubj').",
    )


class _Reader:
    """A cursor over the document; each method consumes at least one byte or raises."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._values = 0
        self.position = 0

    def mark(self) -> str:
        return chr(self._take(1)[0])

    def value(self, mark: str, depth: int) -> Ubj:
        self._values += 1
        if self._values > MAX_VALUES:
            raise _malformed(f"more than {MAX_VALUES} values", self.position - 1)
        if mark in _SCALARS:
            return self._number(mark)
        if mark in _CONSTANTS:
            return _CONSTANTS[mark]
        if mark == "S":
            return self._text()
        if mark not in "{[":
            raise _malformed(f"unknown type {mark!r}", self.position - 1)
        if depth >= MAX_NESTING:
            raise _malformed(f"nesting deeper than {MAX_NESTING}", self.position - 1)
        return self._object(depth) if mark == "{" else self._array(depth)

    def _object(self, depth: int) -> dict[str, Ubj]:
        fields: dict[str, Ubj] = {}
        while not self._skip("}"):
            name = self._text()
            if name in fields:
                raise _malformed(f"key {name!r} appears twice", self.position)
            fields[name] = self.value(self.mark(), depth + 1)
        return fields

    def _array(self, depth: int) -> list[Ubj] | NumberArray:
        if self._skip("$"):
            return self._typed_array()
        if self._skip("#"):
            count = self._length()
            return [self.value(self.mark(), depth + 1) for _ in range(count)]
        items: list[Ubj] = []
        while not self._skip("]"):
            items.append(self.value(self.mark(), depth + 1))
        return items

    def _typed_array(self) -> NumberArray:
        code = _NUMBERS.get(self.mark())
        if code is None or not self._skip("#"):
            raise _malformed("an array of unsupported type", self.position)
        stored = np.dtype(code)
        count = self._length(stored.itemsize)
        array = np.frombuffer(self._take(count * stored.itemsize), dtype=stored)
        native = array.astype(stored.newbyteorder("="))
        native.flags.writeable = False
        return native

    def _number(self, mark: str) -> int | float:
        scalar = _SCALARS[mark]
        return scalar.unpack(self._take(scalar.size))[0]

    def _text(self) -> str:
        start = self.position
        try:
            return self._take(self._length()).decode()
        except UnicodeDecodeError as error:
            raise _malformed("text that is not UTF-8", start) from error

    def _length(self, item_size: int = 1) -> int:
        mark = self.mark()
        if mark not in "iUIlL":
            raise _malformed(f"a length of type {mark!r}", self.position - 1)
        length = int(self._number(mark))
        if not 0 <= length * item_size <= len(self._data) - self.position:
            raise _malformed(f"a length of {length} that the document does not hold", self.position)
        return length

    def _skip(self, mark: str) -> bool:
        if self._data[self.position : self.position + 1] == mark.encode():
            self.position += 1
            return True
        return False

    def _take(self, size: int) -> bytes:
        end = self.position + size
        if end > len(self._data):
            raise _malformed("the end of the data", len(self._data))
        taken = self._data[self.position : end]
        self.position = end
        return taken
