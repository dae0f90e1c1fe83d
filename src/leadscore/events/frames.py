"""Frames of a spool segment: how records survive torn writes and damaged bytes.

Layout, little-endian: magic (2 bytes), version (1), kind (1), payload length (4), payload (MessagePack),
CRC-32 of everything before it (4). A reader that meets damage goes on at the next frame whose checksum holds.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Final

MAGIC: Final = 0x4CAB
MAGIC_BYTES: Final = MAGIC.to_bytes(2, "little")
FRAME_VERSION: Final = 1
HEADER: Final = struct.Struct("<HBBI")
TRAILER: Final = struct.Struct("<I")
OVERHEAD: Final = HEADER.size + TRAILER.size
MAX_PAYLOAD: Final = 1 << 20
MAX_FRAME: Final = MAX_PAYLOAD + OVERHEAD


@dataclass(frozen=True, slots=True)
class Frame:
    """A complete frame whose checksum holds; `start` and `end` are offsets in the scanned bytes."""

    version: int
    kind: int
    payload: bytes
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes that are no frame.

    A `torn` tail is a write that a crash cut short, so it was never acknowledged.
    """

    start: int
    end: int
    torn: bool


@dataclass(frozen=True, slots=True)
class Scan:
    """What a scan found, in order of position, and how many bytes it is done with."""

    frames: tuple[Frame, ...]
    damage: tuple[Damage, ...]
    consumed: int


def seal(buffer: bytearray, kind: int) -> None:
    """Turn a buffer that holds the payload after `HEADER.size` free bytes into a frame, in place."""
    HEADER.pack_into(buffer, 0, MAGIC, FRAME_VERSION, kind, len(buffer) - HEADER.size)
    buffer += zlib.crc32(buffer).to_bytes(4, "little")


def scan(data: bytes, *, closed: bool, limit: int) -> Scan:
    """Find up to `limit` frames from the start of `data`.

    Args:
        data: The segment's bytes from a frame boundary on.
        closed: Nobody appends any more. While somebody may, an incomplete or wrong frame is left for later:
            its write may still be under way, or the writer may be about to cut it off.
        limit: Stop after so many frames.
    """
    frames: list[Frame] = []
    damage: list[Damage] = []
    position = 0
    while position < len(data) and len(frames) < limit:
        frame = _frame_at(data, position)
        if frame is None:
            if not closed:
                break
            following = _next_frame(data, position + 1)
            end = len(data) if following is None else following
            damage.append(Damage(position, end, torn=following is None and _is_torn(data, position)))
            position = end
        else:
            frames.append(frame)
            position = frame.end
    return Scan(tuple(frames), tuple(damage), position)


def _frame_at(data: bytes, start: int) -> Frame | None:
    if start + OVERHEAD > len(data):
        return None
    magic, version, kind, length = HEADER.unpack_from(data, start)
    crc_at = start + HEADER.size + length
    if magic != MAGIC or length > MAX_PAYLOAD or crc_at + TRAILER.size > len(data):
        return None
    if zlib.crc32(memoryview(data)[start:crc_at]) != TRAILER.unpack_from(data, crc_at)[0]:
        return None
    return Frame(version, kind, data[start + HEADER.size : crc_at], start, crc_at + TRAILER.size)


def _next_frame(data: bytes, start: int) -> int | None:
    candidate = data.find(MAGIC_BYTES, start)
    while candidate >= 0:
        if _frame_at(data, candidate) is not None:
            return candidate
        candidate = data.find(MAGIC_BYTES, candidate + 1)
    return None


def _is_torn(data: bytes, start: int) -> bool:
    """Whether the rest of `data` is the beginning of one frame."""
    rest = len(data) - start
    if rest < HEADER.size:
        return HEADER.pack(MAGIC, FRAME_VERSION, 0, 0)[: min(rest, 3)] == data[start : start + min(rest, 3)]
    magic, _, _, length = HEADER.unpack_from(data, start)
    return magic == MAGIC and length <= MAX_PAYLOAD and rest < length + OVERHEAD
