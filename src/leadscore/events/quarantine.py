"""Keep records that can never be stored, whole and with the reason, for a person."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

from leadscore.documents import DECODE_ERRORS

QUARANTINE_NAME: Final = "quarantine.jsonl"


class QuarantinedPiece(msgspec.Struct, frozen=True):
    """One line of the quarantine file.

    Attributes:
        segment: Worker directory and segment it was found in.
        offset: Where in the segment it began.
        kind: Record kind of the frame; 0 for bytes that are no frame.
        reason: Why it cannot be stored.
        at: When it was set aside, microseconds since the epoch.
        payload: The bytes (base64 in the file).
    """

    segment: str
    offset: int
    kind: int
    reason: str
    at: int
    payload: bytes


class Quarantine:
    """Append-only `quarantine.jsonl` of a spool.

    A piece that is met again after a crash is not written twice.
    """

    def __init__(self, root: Path) -> None:
        self._path = root / QUARANTINE_NAME
        self._known = {(piece.segment, piece.offset) for piece in read_quarantine(root)}

    def add(self, pieces: list[QuarantinedPiece]) -> int:
        """Write the pieces that are not on disk yet, and say how many those were (OSError if it fails)."""
        fresh = [piece for piece in pieces if (piece.segment, piece.offset) not in self._known]
        if fresh:
            # A leading newline ends a line that a crash cut short.
            lines = b"".join(b"\n" + msgspec.json.encode(piece) for piece in fresh) + b"\n"
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "ab") as file:
                file.write(lines)
                file.flush()
                os.fsync(descriptor)
            self._known.update((piece.segment, piece.offset) for piece in fresh)
        return len(fresh)


def read_quarantine(root: Path) -> list[QuarantinedPiece]:
    """What was set aside so far.

    Lines that a crash cut short are left out (their piece was set aside again).
    """
    try:
        lines = (root / QUARANTINE_NAME).read_bytes().splitlines()
    except FileNotFoundError:
        return []
    pieces: list[QuarantinedPiece] = []
    for line in lines:
        try:
            pieces.append(msgspec.json.decode(line, type=QuarantinedPiece))
        except DECODE_ERRORS:
            continue
    return pieces
