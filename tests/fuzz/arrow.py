"""Arrow streams of strangers: honest ones, damaged at random, and what may come of reading them."""

from __future__ import annotations

import io
import random
import struct
from collections import Counter
from collections.abc import Callable

import msgspec
import numpy as np
import pyarrow as pa
from tests.unit.contract.leads import CONTRACT

from leadscore.contract.lead import DecodedLeads
from leadscore.contract.request import LeadDecoder
from leadscore.errors import BadInputError, InvalidLeadError
from leadscore_service.arrow import read_columns

LIMIT = 64
KNOWN = len(CONTRACT.columns)
DECODER = LeadDecoder(msgspec.structs.replace(CONTRACT, unknown_fields="warn"))
STATUSES = {400, 413, 422}
_EXTREMES = (-1, 0, 1, 7, 8, 255, 2**15, 2**31 - 1, -(2**31), 2**32 - 1, 2**40, 2**62, 2**63 - 1, -(2**63))


def written(table: pa.Table, *, rows: int | None = None, **options: object) -> bytes:
    """A table as a stream, in batches of at most `rows`."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, max_chunksize=rows)
    return sink.getvalue()


def honest() -> list[bytes]:
    """Streams of leads with every type that is taken, as different writers write them."""
    plain = pa.table(
        {
            "lead_id": ["L-1", "L-2", "Ü-3", "L-4", "L-5"],
            "budget": pa.array([1.0, 2.5, 1e9, -1.0, 4.0]),
            "source": ["web", "fair", "radio", "web", "referral"],
            "newsletter": [True, False, True, True, False],
        }
    )
    nulls = plain.append_column("visits", pa.array([1, None, 3, None, 5], pa.int16()))
    nulls = nulls.append_column("balance", pa.array([None, 1.5, None, 2.0, 0.0], pa.float32()))
    nulls = nulls.append_column("größe", pa.array(["klein", None, "groß", None, "x"], pa.large_string()))
    nulls = nulls.append_column("existing customer", pa.array([None, True, False, None, True]))
    nulls = nulls.append_column("created_at", pa.array([1, None, 3, 4, 5], pa.timestamp("ms")))
    coded = plain.set_column(2, "source", plain["source"].combine_chunks().dictionary_encode())
    coded = coded.set_column(0, "lead_id", pa.array([1, 2, 2**62, 4, 5], pa.int64()))
    coded = coded.append_column("größe", pa.array(["klein", None, "groß", None, "x"]).dictionary_encode())
    grown = pa.chunked_array(
        [
            pa.array(["web", "fair"]).dictionary_encode(),
            pa.DictionaryArray.from_arrays(
                pa.array([2, 1, 0], pa.int32()), pa.array(["web", "fair", "radio"])
            ),
        ]
    )
    unknown = plain.append_column("nothing", pa.nulls(5)).append_column("day", pa.array([1] * 5, pa.date32()))
    return [
        written(plain),
        written(nulls),
        written(nulls, rows=2),
        written(nulls, metadata_version=pa.ipc.MetadataVersion.V4),
        written(coded),
        written(coded, rows=3),
        written(plain.set_column(2, "source", grown), emit_dictionary_deltas=True),
        written(plain.set_column(2, "source", grown)),
        written(unknown),
        written(plain.slice(0, 0)),
    ]


def damaged(stream: bytes, chance: random.Random) -> bytes:
    """The stream after one to four changes that somebody may make on purpose or a network by mistake."""
    body = bytearray(stream)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 4))):
        chance.choice(_CHANGES)(body, chance)
    return bytes(body)


def _flip(body: bytearray, chance: random.Random) -> None:
    if body:
        body[chance.randrange(len(body))] ^= 1 << chance.randrange(8)


def _byte(body: bytearray, chance: random.Random) -> None:
    if body:
        body[chance.randrange(len(body))] = chance.choice((0, 1, 3, 127, 128, 255, chance.randrange(256)))


def _number(body: bytearray, chance: random.Random) -> None:
    width = chance.choice((2, 4, 8))
    if len(body) > width:
        at = chance.randrange(0, len(body) - width) // width * width
        value = chance.choice(_EXTREMES) + chance.choice((0, 0, -1, 1, -8, 8))
        body[at : at + width] = (value & ((1 << (8 * width)) - 1)).to_bytes(width, "little")


def _nudge(body: bytearray, chance: random.Random) -> None:
    """A length or an offset that is a little wrong."""
    if len(body) > 8:
        at = chance.randrange(0, len(body) - 4) // 4 * 4
        (value,) = struct.unpack_from("<I", body, at)
        struct.pack_into("<I", body, at, (value + chance.choice((-8, -4, -1, 1, 4, 8, 64))) & 0xFFFFFFFF)


def _cut(body: bytearray, chance: random.Random) -> None:
    del body[chance.randrange(len(body) + 1) :]


def _remove(body: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(body) + 1)
    del body[at : at + chance.choice((1, 4, 8, 16, 100))]


def _insert(body: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(body) + 1)
    body[at:at] = chance.randbytes(chance.choice((1, 4, 8, 16)))


def _repeat(body: bytearray, chance: random.Random) -> None:
    """A part once more: a message, if it happens to be one."""
    starts = [i for i in range(0, len(body), 8) if body[i : i + 4] == b"\xff\xff\xff\xff"] or [0]
    begin, place = chance.choice(starts), chance.choice(starts)
    end = min((i for i in starts if i > begin), default=len(body))
    body[place:place] = body[begin:end]


def _copy(body: bytearray, chance: random.Random) -> None:
    """Bytes of one place at another: vtables, nodes and buffers of one column as another's."""
    size = chance.choice((4, 8, 16))
    if len(body) > size:
        source, target = (chance.randrange(0, len(body) - size) // 4 * 4 for _ in range(2))
        body[target : target + size] = body[source : source + size]


_CHANGES: tuple[Callable[[bytearray, random.Random], None], ...] = (
    *(_flip, _flip, _byte, _number, _number, _number, _nudge, _nudge, _cut, _remove, _insert, _repeat, _copy),
)


def judge(body: bytes) -> str:
    """Read a stream as the service does: how it ended. AssertionError if that is not as it must be."""
    try:
        leads = DECODER.columns_to_rows(read_columns(body, LIMIT, KNOWN))
    except BadInputError as error:
        refused = error
    else:
        _sound(leads, body)
        return "200"
    assert refused.status in STATUSES, refused
    _said(refused, body)
    return f"{refused.status} {refused.code}"


def _said(error: BadInputError, body: bytes) -> None:
    """The refusal repeats nothing but names: the contract's, or such as the body holds."""
    text = f"{error.message} {error.hint}"
    assert len(text) < 2000, text
    for quoted in text.split("'")[1::2]:
        assert quoted in text, text
    if isinstance(error, InvalidLeadError):
        for problem in error.problems:
            name = problem.field.rpartition("].")[2].removesuffix("…")
            assert name in CONTRACT.columns or name.encode() in body, problem


def _sound(leads: DecodedLeads, body: bytes) -> None:
    """As many rows as ids, within the limit; every text is the caller's own."""
    count = len(leads.lead_ids)
    assert count == len(leads.rows) == len(leads.warnings) <= LIMIT
    assert leads.rows.dtype == np.float32
    for lead_id in leads.lead_ids:
        assert lead_id.encode() in body or lead_id.lstrip("-").isdigit(), lead_id


def run(cases: int, seed: int) -> Counter[str]:
    """Judge so many damaged streams; how they ended, with the number of each."""
    chance = random.Random(seed)
    streams = honest()
    ended: Counter[str] = Counter()
    for stream in streams:
        assert judge(stream) == "200", stream
    for number in range(cases):
        body = damaged(chance.choice(streams), chance)
        try:
            ended[judge(body)] += 1
        except Exception as error:
            error.add_note(f"seed {seed}, case {number}: {body.hex()}")
            raise
    return ended
