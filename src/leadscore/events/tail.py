"""The read side of a spool: the next batch of records, and the memory of what was shipped.

Positions are saved after the store has committed. A crash in between replays a batch, which primary keys make
harmless; in the other order it would be lost.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from leadscore.documents import DECODE_ERRORS
from leadscore.events.frames import FRAME_VERSION, Frame, scan
from leadscore.events.quarantine import QuarantinedPiece
from leadscore.events.records import Record, decode_record, now_us
from leadscore.events.segments import list_segments, try_lock
from leadscore.files import replace_file

POSITIONS_NAME: Final = "positions.json"


@dataclass(frozen=True, slots=True)
class Spooled:
    """A decoded record and where it came from."""

    record: Record
    segment: str
    offset: int
    kind: int
    payload: bytes

    def quarantined(self, reason: str) -> QuarantinedPiece:
        """The record as a quarantine line."""
        return QuarantinedPiece(self.segment, self.offset, self.kind, reason, now_us(), self.payload)


@dataclass(frozen=True, slots=True)
class ShippingBatch:
    """What to store next.

    Attributes:
        records: In the order of the segments.
        pieces: Frames that do not decode and bytes that are no frame.
        torn: Tails that a crash cut short.
        positions: How far the segments are read after this batch, where that changes.
        finished: Segments that nobody appends to and that this batch (or an earlier one) reads to the end.
        full: The limit was reached: there may be more.
    """

    records: tuple[Spooled, ...]
    pieces: tuple[QuarantinedPiece, ...]
    torn: int
    positions: Mapping[str, int]
    finished: tuple[Path, ...]
    full: bool

    @property
    def empty(self) -> bool:
        """Nothing to store, set aside or delete."""
        return not self.positions and not self.finished


class SpoolTail:
    """Reads every worker's segments under `root`, oldest first; open segments too."""

    def __init__(self, root: Path) -> None:
        self._root = root
        present = {self._key(path) for path in list_segments(root)}
        known = _load_positions(root / POSITIONS_NAME)
        self._positions = {key: position for key, position in known.items() if key in present}

    def next_batch(self, limit: int) -> ShippingBatch:
        """Up to `limit` records that are not settled yet (OSError if the spool cannot be read)."""
        records: list[Spooled] = []
        pieces: list[QuarantinedPiece] = []
        positions: dict[str, int] = {}
        finished: list[Path] = []
        torn = 0
        for path in list_segments(self._root):
            if len(records) >= limit:
                break
            key = self._key(path)
            start = self._positions.get(key, 0)
            data, closed = _read(path, start)
            found = scan(data, closed=closed, limit=limit - len(records))
            for frame in found.frames:
                spooled = _decode(frame, key, start)
                if isinstance(spooled, Spooled):
                    records.append(spooled)
                else:
                    pieces.append(spooled)
            for damage in found.damage:
                if damage.torn:
                    torn += 1
                else:
                    raw = data[damage.start : damage.end]
                    offset = start + damage.start
                    pieces.append(QuarantinedPiece(key, offset, 0, "damaged bytes", now_us(), raw))
            if found.consumed:
                positions[key] = start + found.consumed
            if closed and found.consumed == len(data):
                finished.append(path)
        return ShippingBatch(
            tuple(records), tuple(pieces), torn, positions, tuple(finished), full=len(records) >= limit
        )

    def settle(self, batch: ShippingBatch) -> None:
        """Remember that the batch is stored, and delete the segments that are done with.

        A full disk cannot be remembered on, but deleting frees it: so positions are kept in memory too, and
        deleting does not depend on saving them.

        Raises:
            OSError: Positions could not be saved (the segments are deleted all the same).
        """
        self._positions.update(batch.positions)
        for path in batch.finished:
            path.unlink(missing_ok=True)
            self._positions.pop(self._key(path), None)
        if not batch.empty:
            # Without waiting for the disk: a damaged file only replays stored records.
            replace_file(self._root / POSITIONS_NAME, msgspec.json.encode(self._positions), sync=False)

    def lag_bytes(self) -> int:
        """Bytes on the spool that are not settled."""
        total = 0
        for path in list_segments(self._root):
            total += max(0, path.stat().st_size - self._positions.get(self._key(path), 0))
        return total

    def _key(self, path: Path) -> str:
        return f"{path.parent.name}/{path.name}"


def _read(path: Path, start: int) -> tuple[bytes, bool]:
    """The bytes from `start` on, and whether no more will come.

    Asked first, so that none can come in between.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        closed = try_lock(descriptor)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            file.seek(start)
            return file.read(), closed
    finally:
        os.close(descriptor)


def _decode(frame: Frame, segment: str, start: int) -> Spooled | QuarantinedPiece:
    offset = start + frame.start
    if frame.version != FRAME_VERSION:
        reason = f"frame version {frame.version}, this release reads {FRAME_VERSION}"
        return QuarantinedPiece(segment, offset, frame.kind, reason, now_us(), frame.payload)
    try:
        record = decode_record(frame.kind, frame.payload)
    except DECODE_ERRORS as error:
        return QuarantinedPiece(segment, offset, frame.kind, str(error), now_us(), frame.payload)
    return Spooled(record, segment, offset, frame.kind, frame.payload)


def _load_positions(path: Path) -> dict[str, int]:
    """Positions of an earlier shipper; starting over is harmless when the file is missing or damaged."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, int])
    except (FileNotFoundError, *DECODE_ERRORS):
        return {}
