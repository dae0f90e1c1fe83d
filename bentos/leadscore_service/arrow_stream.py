"""The messages of an Arrow IPC stream, checked against each other before their bodies are read.

Format: https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc
and https://github.com/apache/arrow/tree/main/format (Message.fbs, Schema.fbs), whose numbers of fields stand
in the comments.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from leadscore.errors import MalformedBodyError
from leadscore_service.flatbuffers import FlatBufferError, Table

BufferLayout = Literal["null", "bool", "fixed", "text"]

# More than any schema or batch of a contract's columns needs, pandas' notes in the schema included.
_MAX_METADATA: Final = 4 << 20
# One message per lead, and some more: each costs time even when it is empty.
MAX_MESSAGES: Final = 20_000
_HEAD: Final = struct.Struct("<II")
_CONTINUATION: Final = 0xFFFFFFFF
_SCHEMA, _DICTIONARY_BATCH, _RECORD_BATCH = 1, 2, 3
_VERSIONS: Final = (3, 4)  # V4 and V5: the same for the types that are taken
_BUFFERS: Final[dict[BufferLayout, int]] = {"null": 0, "bool": 2, "fixed": 2, "text": 3}
_TYPES: Final = (
    *(
        "none",
        "null",
        "int",
        "float",
        "binary",
        "string",
        "bool",
        "decimal",
        "date",
        "time",
        "timestamp",
        "interval",
    ),
    *("list", "struct", "union", "fixed_size_binary", "fixed_size_list", "map", "duration", "large_binary"),
    *(
        "large_string",
        "large_list",
        "run_end_encoded",
        "binary_view",
        "string_view",
        "list_view",
        "large_list_view",
    ),
)


class ArrowInvalidError(MalformedBodyError):
    """An Arrow stream whose parts contradict each other."""

    code = "arrow_invalid"
    status = 422


@dataclass(frozen=True, slots=True)
class Storage:
    """How a column's values lie in a body.

    One validity bitmap (but for `null`), then values, or offsets and bytes.

    Attributes:
        layout: `fixed`: `dtype` holds values; `text`: it holds offsets into UTF-8;
            `bool` is a bitmap, `null` nothing.
        dtype: NumPy's name, little-endian; empty for `bool` and `null`.
        time: Unit of the integers if they are times since 1970, as NumPy calls it; else empty.
    """

    layout: BufferLayout
    dtype: str = ""
    time: str = ""


@dataclass(frozen=True, slots=True)
class Field:
    """One column of the schema.

    Attributes:
        name: As the caller wrote it.
        storage: Of the values, or of the dictionary's indices.
        dictionary: Id of the dictionary that holds the values; None: they stand in the column.
        values: Storage of the dictionary's values; None without one.
    """

    name: str
    storage: Storage
    dictionary: int | None = None
    values: Storage | None = None


@dataclass(frozen=True, slots=True)
class Array:
    """One column of one batch: `length` values, `nulls` of them null, in buffers that lie inside the body."""

    length: int
    nulls: int
    buffers: tuple[memoryview, ...]


@dataclass(frozen=True, slots=True)
class ArrowBatch:
    """One message with values: a record batch, or (part of) a dictionary.

    Attributes:
        dictionary: Id of the dictionary; None for a record batch.
        delta: The values follow those that the dictionary has; else they replace them.
        length: Rows.
        arrays: One per column; one alone for a dictionary.
    """

    dictionary: int | None
    delta: bool
    length: int
    arrays: tuple[Array, ...]


def invalid(what: str) -> ArrowInvalidError:
    """The refusal of a stream that contradicts itself; `what` is ours, never a reader's or the body's."""
    return ArrowInvalidError(
        f"The Arrow body contradicts itself: {what}.", hint="Write it with an Arrow library."
    )


def read_stream(body: bytes, max_columns: int) -> tuple[list[Field], Iterator[ArrowBatch]]:
    """The schema of a stream, and its batches in order, each checked when it is asked for.

    Args:
        body: The whole stream.
        max_columns: More columns are refused.

    Raises:
        MalformedBodyError: No stream (400), compressed, or with a type that no feature has.
        ArrowInvalidError: A stream that contradicts itself (422); the batches raise it too.
    """
    messages = _messages(body)
    first = next(messages, None)
    if first is None or first[0] != _SCHEMA:
        raise _no_stream("It does not begin with a schema.")
    try:
        fields = _fields(first[1].table(2), max_columns)
    except FlatBufferError as error:
        raise invalid(str(error)) from error
    return fields, _batches(messages, fields)


def _no_stream(why: str) -> MalformedBodyError:
    return MalformedBodyError(
        f"The body is no Arrow IPC stream. {why}", hint="Write it with a stream writer."
    )


def _messages(body: bytes) -> Iterator[tuple[int, Table, memoryview]]:
    """Each message's kind, its table and its body (Message: 0 version, 1 kind, 2 header, 3 bodyLength)."""
    view = memoryview(body)
    at = 0
    for _ in range(MAX_MESSAGES):
        if at == len(body):
            return
        size = _header_size(body, at)
        at += _HEAD.size
        if size == 0:
            if at != len(body):
                raise _no_stream("Bytes follow its end.")
            return
        try:
            header = Table.root(body[at : at + size])
            version, kind, length = header.i16(0), header.u8(1), header.i64(3)
        except FlatBufferError as error:
            raise invalid(str(error)) from error
        at += size
        if not 0 <= length <= len(body) - at:
            raise invalid("a message is longer than what was sent")
        if version not in _VERSIONS:
            raise invalid("a message's version is neither V4 nor V5")
        yield kind, header, view[at : at + length]
        at += length
    raise _no_stream(f"It holds more than {MAX_MESSAGES} messages.")


def _header_size(body: bytes, at: int) -> int:
    """Bytes of the header that begins here; 0 at the stream's end."""
    if len(body) - at < _HEAD.size:
        raise _no_stream("It ends within a message.")
    marker, size = _HEAD.unpack_from(body, at)
    if marker != _CONTINUATION:
        raise _no_stream("A message does not begin with the continuation marker.")
    if size > min(_MAX_METADATA, len(body) - at - _HEAD.size):
        raise _no_stream("A message's header is larger than the body, or than 4 MiB.")
    return size


def _fields(schema: Table, max_columns: int) -> list[Field]:
    """Schema: 0 endianness, 1 fields."""
    if schema.i16(0) != 0:
        raise MalformedBodyError("The Arrow body is big-endian.", hint="Write it little-endian.")
    if schema.count(1) > max_columns:
        raise MalformedBodyError(
            f"The Arrow body has more than {max_columns} columns.", hint="Send the columns of the contract."
        )
    fields = [_field(table) for table in schema.tables(1, max_columns)]
    names = {field.name for field in fields}
    if len(names) != len(fields):
        raise MalformedBodyError("Two columns of the Arrow body have the same name.", hint="Rename one.")
    return fields


def _field(field: Table) -> Field:
    """Field: 0 name, 2 type's kind, 3 type, 4 dictionary (0 id, 1 index type), 5 children."""
    name = field.text(0)
    kind = field.u8(2)
    storage = _storage(kind, field.table(3)) if kind else None
    coded = field.has(4)
    if storage is None or (coded and (storage.layout == "null" or storage.time)):
        called = _TYPES[kind] if kind < len(_TYPES) else "unknown"
        raise MalformedBodyError(
            f"Column {name[:80]!r} of the Arrow body has type {'dictionary of ' if coded else ''}{called}.",
            hint="Numbers, booleans, text, dictionaries of these, and times are taken.",
        )
    if field.count(5):
        raise invalid("a column without parts has parts")
    if not coded:
        return Field(name, storage)
    encoding = field.table(4)
    index = _storage(2, encoding.table(1)) if encoding.has(1) else Storage("fixed", "<i4")
    if index is None:
        raise invalid("a dictionary's indices are no integers")
    return Field(name, index, encoding.i64(0), storage)


def _storage(kind: int, of: Table) -> Storage | None:
    """None for a type that is not taken."""
    made = _STORAGES.get(_TYPES[kind] if kind < len(_TYPES) else "")
    return None if made is None else made(of)


def _integer(of: Table) -> Storage | None:
    """Int: 0 bits, 1 signed."""
    bits = of.i32(0)
    return Storage("fixed", f"<{'i' if of.u8(1) else 'u'}{bits // 8}") if bits in (8, 16, 32, 64) else None


def _real(of: Table) -> Storage | None:
    """FloatingPoint: 0 precision (half, single, double)."""
    return {n: Storage("fixed", f"<f{2 << n}") for n in range(3)}.get(of.i16(0))


def _date(of: Table) -> Storage | None:
    """Date: 0 unit (days, milliseconds)."""
    return {0: Storage("fixed", "<i4", "D"), 1: Storage("fixed", "<i8", "ms")}.get(of.i16(0, 1))


def _timestamp(of: Table) -> Storage | None:
    """Timestamp: 0 unit."""
    return {n: Storage("fixed", "<i8", unit) for n, unit in enumerate(("s", "ms", "us", "ns"))}.get(of.i16(0))


_STORAGES: Final[dict[str, Callable[[Table], Storage | None]]] = {
    "null": lambda _: Storage("null"),
    "bool": lambda _: Storage("bool"),
    "int": _integer,
    "float": _real,
    "string": lambda _: Storage("text", "<i4"),
    "large_string": lambda _: Storage("text", "<i8"),
    "date": _date,
    "timestamp": _timestamp,
}


def _batches(messages: Iterator[tuple[int, Table, memoryview]], fields: list[Field]) -> Iterator[ArrowBatch]:
    dictionaries = {
        f.dictionary: f.values for f in fields if f.dictionary is not None and f.values is not None
    }
    if any(f.values != dictionaries[f.dictionary] for f in fields if f.dictionary is not None):
        raise invalid("two columns share a dictionary and differ in its type")
    columns = [field.storage for field in fields]
    for kind, header, body in messages:
        try:
            message = header.table(2)
            if kind == _RECORD_BATCH:
                yield _batch(message, columns, body, None, delta=False)
            elif kind == _DICTIONARY_BATCH:  # DictionaryBatch: 0 id, 1 data, 2 isDelta
                number = message.i64(0)
                storage = dictionaries.get(number)
                if storage is None:
                    raise invalid("a dictionary belongs to no column")
                yield _batch(message.table(1), [storage], body, number, delta=message.u8(2) != 0)
            else:
                raise invalid("a message is neither a batch nor a dictionary")
        except FlatBufferError as error:
            raise invalid(str(error)) from error


def _batch(
    message: Table, columns: list[Storage], body: memoryview, dictionary: int | None, *, delta: bool
) -> ArrowBatch:
    """RecordBatch: 0 length, 1 nodes, 2 buffers, 3 compression."""
    if message.has(3):
        raise MalformedBodyError(
            "The Arrow body is compressed.",
            hint="Send it uncompressed; fewer leads per request if too large.",
        )
    length = message.i64(0)
    wanted = [_BUFFERS[storage.layout] for storage in columns]
    nodes = message.pairs(1, len(columns))
    places = message.pairs(2, sum(wanted))
    if length < 0 or len(nodes) != len(columns) or len(places) != sum(wanted):
        raise invalid("a batch does not have the schema's columns")
    if any(count != length or not 0 <= nulls <= length for count, nulls in nodes):
        raise invalid("a column's length or count of nulls is not its batch's")
    if any(not (0 <= size <= len(body) and 0 <= start <= len(body) - size) for start, size in places):
        raise invalid("a buffer lies outside its message")
    # Else a small body could unfold to a large one: every column a view of the same bytes.
    if sum(size for _, size in places) > len(body):
        raise invalid("buffers overlap")
    buffers = iter([body[start : start + size] for start, size in places])
    arrays = tuple(
        Array(length, nulls, tuple(next(buffers) for _ in range(count)))
        for (_, nulls), count in zip(nodes, wanted, strict=True)
    )
    return ArrowBatch(dictionary, delta, length, arrays)
