"""Summary of the event log: store, spool, shipper."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from leadscore.errors import UnavailableError
from leadscore.events.health import ShipperHealth, read_health
from leadscore.events.matching import StoreMatch, match_store
from leadscore.events.quarantine import read_quarantine
from leadscore.events.records import now_us
from leadscore.events.store import EventStore, StoreCounts, StoreSchema
from leadscore.events.tail import SpoolTail


@dataclass(frozen=True, slots=True)
class EventLogStatus:
    """Counts of stored and spooled records.

    Attributes:
        store: URL without password.
        schema: What its schema is.
        counts: What is stored.
        match: How outcomes and predictions meet.
        waiting_bytes: On the spool and not in the store yet.
        quarantined: Pieces set aside since the spool was made.
        shipper: What the shipper last said; None if none ever ran.
        shipper_seen_seconds: How long ago that was.
    """

    store: str
    schema: StoreSchema
    counts: StoreCounts
    match: StoreMatch
    waiting_bytes: int
    quarantined: int
    shipper: ShipperHealth | None
    shipper_seen_seconds: float | None


def read_status(root: Path, store: EventStore) -> EventLogStatus:
    """Look at the spool under `root` (which need not exist) and at the store.

    Raises:
        UnavailableError: One of them cannot be read.
    """
    health = read_health(root)
    try:
        waiting = SpoolTail(root).lag_bytes() if root.is_dir() else 0
    except OSError as error:
        raise UnavailableError(
            f"The spool {root} cannot be read: {error.strerror}.", hint="Check its owner."
        ) from error
    return EventLogStatus(
        store=store.name,
        counts=store.counts(),
        schema=store.schema_status(),
        match=match_store(store, now_us()),
        waiting_bytes=waiting,
        quarantined=len(read_quarantine(root)),
        shipper=health,
        shipper_seen_seconds=None if health is None else round((now_us() - health.updated_at) / 1e6, 1),
    )
