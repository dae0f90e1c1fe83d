"""Arrow bodies: what writers write is read as pyarrow reads it.

What contradicts itself is refused before it is looked at.
"""

from __future__ import annotations

import math
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fuzz.arrow import honest, judge, written

from leadscore.errors import BodyTooLargeError, MalformedBodyError
from leadscore_service.arrow import MAX_DICTIONARY, MORE_COLUMNS, read_columns
from leadscore_service.arrow_stream import MAX_MESSAGES, ArrowInvalidError

CASES = Path("../shared/cases")
ARROW = "application/vnd.apache.arrow.stream"
_NULL = st.none()
_TYPES: list[tuple[pa.DataType, st.SearchStrategy[object]]] = [
    *(
        (pa.type_for_alias(f"int{n}"), st.integers(-(2 ** (n - 1)), 2 ** (n - 1) - 1))
        for n in (8, 16, 32, 64)
    ),
    *((pa.type_for_alias(f"uint{n}"), st.integers(0, 2**n - 1)) for n in (8, 16, 32, 64)),
    (pa.float32(), st.floats(width=32, allow_nan=False)),
    (pa.float64(), st.floats(allow_nan=False)),
    (pa.bool_(), st.booleans()),
    (pa.string(), st.text(st.characters(exclude_categories=["Cs"]), max_size=9)),
    (pa.large_string(), st.text("abc", max_size=9)),
    (pa.null(), st.none()),
    (pa.timestamp("us"), st.datetimes()),
    (pa.date32(), st.dates()),
]


@st.composite
def arrays(draw: st.DrawFn) -> pa.Array:
    """A column of any type that is taken, with and without nulls, a slice of a larger one now and then."""
    kind, values = draw(st.sampled_from(_TYPES))
    found = draw(st.lists(values | _NULL if draw(st.booleans()) else values, max_size=20))
    array = pa.array(found, kind)
    if not pa.types.is_temporal(kind) and not pa.types.is_null(kind) and draw(st.booleans()):
        array = array.dictionary_encode()
    return array.slice(draw(st.integers(0, len(array))))


def listed(column: object) -> list[object]:
    values = column.tolist() if isinstance(column, np.ndarray) else list(column)  # type: ignore[call-overload]
    return [None if isinstance(value, float) and math.isnan(value) else value for value in values]


@given(arrays(), st.sampled_from([None, 1, 3]), st.booleans())
@settings(max_examples=300, deadline=None)
def test_what_is_written_is_read_as_pyarrow_reads_it(array: pa.Array, rows: int | None, deltas: bool) -> None:
    body = written(pa.table({"x": array}), rows=rows, emit_dictionary_deltas=deltas)
    assert listed(read_columns(body, 100, 1)["x"]) == array.to_pylist()


def test_integers_of_64_bits_are_not_rounded() -> None:
    array = pa.array([2**53 + 1, None, -(2**63)])
    assert read_columns(written(pa.table({"x": array})), 10, 1)["x"] == [2**53 + 1, None, -(2**63)]


def test_a_stream_that_just_ends_is_read_and_bytes_behind_its_end_are_refused() -> None:
    body = honest()[0]
    assert judge(body[:-8]) == "200"
    for more in (b"\0" * 8, b"x", body):
        with pytest.raises(MalformedBodyError, match="follow its end"):
            read_columns(body + more, 100, 9)


def changed(body: bytes, old: tuple[int, ...], new: tuple[int, ...]) -> bytes:
    """The stream with other 64-bit numbers in the place of the last ones that are as given.

    Columns follow buffers.
    """
    pack = struct.Struct(f"<{len(old)}q").pack
    before, found, after = body.rpartition(pack(*old))
    assert found
    return before + pack(*new) + after


NUMBERS = written(pa.table({"a": pa.array([1.0, 2.0, 3.0]), "b": pa.array([4.0, 5.0, 6.0])}))
TEXTS = written(pa.table({"a": ["one", "three", "seven"]}))
NULLS = written(pa.table({"a": pa.nulls(3)}))


@pytest.mark.parametrize(
    "body",
    [
        # Buffers (offset, length): sums that wrap in 64 bits, negative ones, ones
        # beyond the body, the same one twice.
        *(
            changed(NUMBERS, (24, 0, 24, 24), (24, 0, *pair))
            for pair in [
                (1000, 2**63 - 1),
                (2**63 - 1, 24),
                (2**63 - 1, 2**63 - 1),
                (-8, 24),
                (24, -24),
                (-(2**63), -(2**63)),
                (24, 32),
                (0, 48),
                (0, 24 + 24),
            ]
        ),
        # Nodes (length, nulls): another length than the batch's, nulls that are no count, nulls without a
        # bitmap.
        changed(NULLS, (3, 3), (2**40, 3)),
        changed(NULLS, (3, 3), (-1, 3)),
        changed(NULLS, (3, 3), (3, 2**62)),
        changed(TEXTS, (3, 0), (3, -1)),
        changed(TEXTS, (3, 0), (3, 2)),
    ],
)
def test_lengths_and_offsets_that_contradict_are_refused(body: bytes) -> None:
    with pytest.raises(ArrowInvalidError):
        read_columns(body, 100, 5)


@pytest.mark.parametrize(
    "offsets",
    [(0, 3, 8, 14), (0, 8, 3, 13), (-1, 3, 8, 13), (0, 3, 2**31 - 1, 13), (-(2**31), 3, 8, 13)],
)
def test_texts_outside_their_buffer_are_refused(offsets: tuple[int, ...]) -> None:
    pack = struct.Struct("<4i").pack
    assert TEXTS.count(pack(0, 3, 8, 13)) == 1
    with pytest.raises(ArrowInvalidError, match="outside its buffer"):
        read_columns(TEXTS.replace(pack(0, 3, 8, 13), pack(*offsets)), 100, 5)


def test_text_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(ArrowInvalidError, match="UTF-8"):
        read_columns(TEXTS.replace(b"three", b"thr\xff\xfe"), 100, 5)


@pytest.mark.parametrize("index", [2, -1, 127])
def test_an_index_outside_its_dictionary_is_refused(index: int) -> None:
    column = pa.DictionaryArray.from_arrays(pa.array([0, 1, 1], pa.int8()), ["a", "b"])
    body = written(pa.table({"a": column}))
    assert read_columns(body, 10, 1)["a"] == ["a", "b", "b"]
    assert body.count(b"\x00\x01\x01\x00\x00\x00\x00\x00\xff\xff\xff\xff") == 1
    bad = body.replace(
        b"\x00\x01\x01\x00\x00\x00\x00\x00\xff\xff\xff\xff",
        b"\x00" + struct.pack("<b", index) + b"\x01\0\0\0\0\0\xff\xff\xff\xff",
    )
    with pytest.raises(ArrowInvalidError, match="not in its dictionary"):
        read_columns(bad, 10, 1)


def test_more_columns_than_anybody_means_are_refused_unread() -> None:
    few = pa.table({f"c{i}": pa.nulls(1) for i in range(5 + MORE_COLUMNS)})
    assert len(read_columns(written(few), 10, 5)) == 5 + MORE_COLUMNS
    with pytest.raises(MalformedBodyError, match="columns"):
        read_columns(written(few.append_column("more", pa.nulls(1))), 10, 5)


def test_messages_and_dictionaries_are_bounded() -> None:
    body = NUMBERS[:-8]
    start = body.rindex(b"\xff\xff\xff\xff")
    with pytest.raises(MalformedBodyError, match="messages"):
        read_columns(body + body[start:] * MAX_MESSAGES, 10**9, 2)
    values = pa.array(np.zeros(MAX_DICTIONARY + 1, np.int8))
    column = pa.DictionaryArray.from_arrays(pa.array([0], pa.int32()), values)
    with pytest.raises(BodyTooLargeError, match="dictionaries"):
        read_columns(written(pa.table({"a": column})), 10, 1)


def test_a_count_of_rows_is_refused_before_rows_are_made() -> None:
    body = NULLS.replace(struct.pack("<q", 3), struct.pack("<q", 2**40))
    with pytest.raises((BodyTooLargeError, ArrowInvalidError)):
        read_columns(body, 100, 1)


def test_types_that_no_feature_has_are_named() -> None:
    for kind, array in {
        "binary": pa.array([b"a"]),
        "decimal": pa.array([1], pa.decimal128(9, 2)),
        "struct": pa.array([{"a": 1}]),
        "string_view": pa.array(["a"], pa.string_view()),
        "dictionary of timestamp": pa.array([1], pa.timestamp("s")).dictionary_encode(),
    }.items():
        with pytest.raises(MalformedBodyError, match=f"'x' of the Arrow body has type {kind}"):
            read_columns(written(pa.table({"x": array})), 10, 1)


def test_a_time_is_no_id_whatever_numpy_makes_of_it(service, lead) -> None:
    table = pa.Table.from_pylist([lead])
    far = pa.array([2**62], pa.timestamp("ns"))
    table = table.set_column(table.schema.get_field_index("lead_id"), "lead_id", far)
    answer = service.ask("POST", "/score-leads", written(table), {"content-type": ARROW})
    assert answer.status == 422
    assert answer.json["error"]["fields"][0]["reason"] == "wrong_type"


def test_a_million_damaged_streams_in_small() -> None:
    """In a process of its own, whose memory and processor time are bounded: a crash would end it, not us."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "arrow", "--cases", "5000", "--seed", "7"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert " 200\n" in done.stdout
    assert "arrow_invalid" in done.stdout


@pytest.mark.skipif(not CASES.is_dir(), reason="the folder of cases is not there")
@pytest.mark.parametrize("name", ["null-length", "oob-read", "segv-1395", "segv-2121"])
def test_the_attacks_that_were_reported_are_refused(service, name: str) -> None:
    body = (CASES / f"attack-arrow-{name}.arrow").read_bytes()
    answer = service.ask("POST", "/score-leads", body, {"content-type": ARROW})
    assert answer.status == 422
    assert answer.json["error"]["code"] == "arrow_invalid"
