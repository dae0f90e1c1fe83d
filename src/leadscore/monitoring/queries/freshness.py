"""How far the roll-ups are: what was scored since then is in no number."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

from leadscore.drift.verdict import as_utc
from leadscore.monitoring.rollups.tables import rollup_progress

# Since when nobody must have counted before live numbers are unknown: many rounds of the worker.
STALE: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Freshness:
    """Moments that the worker noted.

    Attributes:
        caught_up: When everything stored was counted last; None if it never was.
        seen: When the worker was last at work; None if it never was.
    """

    caught_up: datetime | None = None
    seen: datetime | None = None

    def stale(self, now: datetime) -> str:
        """Say why nothing can be said about now; empty if the counts are fresh."""
        if self.seen is None:
            return "Nothing has been counted yet. Start `leadscore monitor`."
        if now - self.seen > STALE:
            return f"Nobody has counted since {self.seen:%Y-%m-%d %H:%M} UTC. Check `leadscore monitor`."
        if self.caught_up is None:
            return "The stored predictions are being counted for the first time. Look again in a minute."
        if now - self.caught_up > STALE:
            return f"Counting is behind: complete until {self.caught_up:%Y-%m-%d %H:%M} UTC."
        return ""

    def missing(self, start: datetime) -> str:
        """Say why a span that begins then has no count; empty if it has one."""
        if self.caught_up is None:
            return self.stale(start) or "Nothing has been counted yet."
        if start >= self.caught_up:
            return f"Not counted yet: counts reach until {self.caught_up:%Y-%m-%d %H:%M} UTC."
        return ""


def read_freshness(connection: sa.Connection) -> Freshness:
    """Read how far the roll-ups are."""
    c = rollup_progress.c
    query = sa.select(c.name, c.at).where(c.name.in_(("caught_up", "seen")))
    found = {row.name: as_utc(row.at) for row in connection.execute(query)}
    return Freshness(caught_up=found.get("caught_up"), seen=found.get("seen"))
