from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from leadscore.events.frames import HEADER, MAGIC_BYTES, MAX_PAYLOAD, OVERHEAD, scan, seal

payloads = st.lists(st.binary(max_size=60) | st.just(MAGIC_BYTES * 3), max_size=8)


def framed(payload: bytes, kind: int = 1) -> bytes:
    buffer = bytearray(HEADER.size)
    buffer += payload
    seal(buffer, kind)
    return bytes(buffer)


@given(payloads)
def test_frames_come_back_in_order(items: list[bytes]) -> None:
    data = b"".join(framed(item) for item in items)
    found = scan(data, closed=True, limit=100)
    assert [frame.payload for frame in found.frames] == items
    assert found.consumed == len(data)
    assert found.damage == ()


@given(payloads, st.binary(max_size=40), st.integers(0, 60))
def test_a_torn_tail_loses_no_complete_frame(items: list[bytes], last: bytes, cut: int) -> None:
    tail = framed(last)
    tail = tail[: min(cut, len(tail) - 1)]
    data = b"".join(framed(item) for item in items)
    closed = scan(data + tail, closed=True, limit=100)
    assert [frame.payload for frame in closed.frames] == items
    assert all(damage.torn for damage in closed.damage)
    still_open = scan(data + tail, closed=False, limit=100)
    assert [frame.payload for frame in still_open.frames] == items
    assert still_open.consumed == len(data)


@given(payloads, payloads, st.binary(min_size=1, max_size=50).filter(lambda b: MAGIC_BYTES[:1] not in b))
def test_damage_in_the_middle_is_reported_and_skipped(
    before: list[bytes], after: list[bytes], rubbish: bytes
) -> None:
    after = [*after, b"end"]
    data = b"".join(map(framed, before)) + rubbish + b"".join(map(framed, after))
    found = scan(data, closed=True, limit=100)
    assert [frame.payload for frame in found.frames] == before + after
    assert [data[d.start : d.end] for d in found.damage] == [rubbish]
    assert not found.damage[0].torn


@given(st.lists(st.binary(min_size=3, max_size=20), min_size=3, max_size=6), st.data())
def test_a_flipped_bit_costs_one_frame(items: list[bytes], data: st.DataObject) -> None:
    frames = [framed(item) for item in items]
    victim = data.draw(st.integers(0, len(items) - 1))
    at = data.draw(st.integers(0, len(frames[victim]) - 1))
    broken = bytearray(frames[victim])
    broken[at] ^= 1 << data.draw(st.integers(0, 7))
    frames[victim] = bytes(broken)
    found = scan(b"".join(frames), closed=True, limit=100)
    assert [frame.payload for frame in found.frames] == items[:victim] + items[victim + 1 :]


@given(st.binary(max_size=300))
def test_any_bytes_can_be_scanned(data: bytes) -> None:
    assert scan(data, closed=True, limit=100).consumed == len(data)


def test_a_scan_stops_at_its_limit() -> None:
    data = framed(b"a") + framed(b"b")
    assert scan(data, closed=True, limit=1).consumed == len(framed(b"a"))


def test_a_length_beyond_the_bound_is_damage_not_a_torn_tail() -> None:
    header = HEADER.pack(int.from_bytes(MAGIC_BYTES, "little"), 1, 1, MAX_PAYLOAD + 1)
    found = scan(header + bytes(OVERHEAD), closed=True, limit=1)
    assert [damage.torn for damage in found.damage] == [False]
