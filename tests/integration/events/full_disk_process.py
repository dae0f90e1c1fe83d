"""Fills a real file system with a spool, empties it by shipping, and goes on; needs mounts of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
from tests.support.events import prediction

from leadscore.errors import SpoolFullError, UnavailableError
from leadscore.events.segments import list_segments
from leadscore.events.shipper import Shipper
from leadscore.events.spool import OnFull, SpoolWriter
from leadscore.events.store import EventStore


def main(disk: str, url: str, on_full: OnFull) -> None:
    """Print what happened as one JSON object."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], check=True)
    root = Path(disk) / "spool"
    with EventStore(url) as store, Shipper(root, store) as shipper:
        with SpoolWriter(root, segment_bytes=20_000, max_bytes=50_000_000, on_full=on_full) as writer:
            accepted = sum(append(writer, f"p{number}") for number in range(5_000))
            stats = writer.stats
            empty(shipper)
            accepted_after = sum(append(writer, f"after{number}") for number in range(10))
        empty(shipper)
    document = {
        "accepted": accepted,
        "accepted_after": accepted_after,
        "refused": stats.refused,
        "dropped": stats.dropped,
        "left_behind": len(list_segments(root)),
    }
    sys.stdout.write(msgspec.json.encode(document).decode())


def append(writer: SpoolWriter, name: str) -> bool:
    """Whether the record was taken."""
    try:
        return writer.append_prediction(prediction(name))
    except SpoolFullError:
        return False


def empty(shipper: Shipper) -> None:
    """Ship until nothing is left; on the full disk the first rounds cannot save their positions."""
    for _ in range(1_000):
        try:
            if shipper.ship_once().idle:
                return
        except UnavailableError:
            continue
    raise AssertionError("the spool does not get empty")


if __name__ == "__main__":
    on_full: OnFull = "drop" if sys.argv[3] == "drop" else "refuse"
    main(sys.argv[1], sys.argv[2], on_full)
