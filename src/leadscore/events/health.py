"""The shipper's health: a small file that the service reads for `/metrics` and `/readyz`."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import msgspec

from leadscore.documents import DECODE_ERRORS
from leadscore.files import replace_file

HEALTH_NAME: Final = "shipper.json"


class ShipperHealth(msgspec.Struct, frozen=True):
    """State of the shipper at `updated_at`; one older than a minute is of a dead process.

    Attributes:
        pid: Its process.
        state: `shipping`, `idle`, `unavailable` (store or spool disk; it tries again) or `stopped`.
        updated_at: Microseconds since the epoch.
        lag_seconds: Age of the oldest record that is not in the store yet; 0 when there is none.
        lag_bytes: Bytes on the spool that are not in the store yet.
        shipped: Records the store took from this process, replayed ones included.
        quarantined: Records and damaged pieces set aside by this process.
        torn: Tails that a crash cut short; they were never acknowledged.
        failures: Attempts that failed since the last one that did not.
        last_error: Why the last attempt failed; kept after a success.
        last_shipped_at: Microseconds since the epoch; 0 if nothing was shipped yet.
    """

    pid: int
    state: Literal["shipping", "idle", "unavailable", "stopped"]
    updated_at: int
    lag_seconds: float = 0.0
    lag_bytes: int = 0
    shipped: int = 0
    quarantined: int = 0
    torn: int = 0
    failures: int = 0
    last_error: str = ""
    last_shipped_at: int = 0


def read_health(root: Path) -> ShipperHealth | None:
    """The health file of a spool; None if no shipper has written one (or not one that this release knows)."""
    try:
        return msgspec.json.decode((root / HEALTH_NAME).read_bytes(), type=ShipperHealth)
    except (FileNotFoundError, *DECODE_ERRORS):
        return None


def write_health(root: Path, health: ShipperHealth) -> None:
    """Replace the health file (OSError if the disk refuses)."""
    replace_file(root / HEALTH_NAME, msgspec.json.encode(health), sync=False)
