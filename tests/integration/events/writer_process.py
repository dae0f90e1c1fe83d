"""Appends predictions and outcomes until it is killed; prints each id only after it is on the spool."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.support.events import prediction

from leadscore.events.records import Outcome, new_id, now_us
from leadscore.events.spool import SpoolWriter


def main(root: str, limit: int) -> None:
    """Append up to `limit` pairs."""
    writer = SpoolWriter(Path(root), segment_bytes=20_000, max_bytes=50_000_000)
    for _ in range(limit):
        identifier = new_id()
        writer.append_prediction(prediction(identifier, f"L-{identifier}", scored_at=now_us()))
        os.write(1, f"p{identifier}\n".encode())
        writer.append_outcome(Outcome(identifier, f"L-{identifier}", None, True, None, now_us(), now_us()))
        os.write(1, f"o{identifier}\n".encode())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
