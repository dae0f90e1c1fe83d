"""Keeps the roll-ups up to date: finds hours that changed, counts them whole, newest first.

Killed at any point it leaves an hour right or marked: a mark is removed in the transaction that writes the
hour's rows, counted by a read that began after the mark was there. Only one worker may be at work (the fence
sees to that), because an older read must not replace a newer one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Final

import sqlalchemy as sa

from leadscore.events.ingest import insert
from leadscore.events.records import now_us
from leadscore.events.store import EventStore
from leadscore.monitoring.rollups.counting import (
    ENCODED,
    CellsOfVersion,
    HourCounter,
    HourCounts,
    VersionView,
)
from leadscore.monitoring.rollups.dirty import list_hours, list_leads, mark_dirty, resolve_pending
from leadscore.monitoring.rollups.lookups import is_among
from leadscore.monitoring.rollups.progress import (
    CAUGHT_UP,
    ROLLUPS_REVISION,
    SEEN,
    read_kept_from,
    set_moment,
)
from leadscore.monitoring.rollups.reading import read_hours
from leadscore.monitoring.rollups.tables import (
    HOUR_US,
    rollup_counted,
    rollup_dirty,
    rollup_features,
    rollup_hours,
    rollup_latencies,
    rollup_unprofiled,
)

_log = logging.getLogger(__name__)

# Of inserted records in one transaction: on SQLite a shipper waits meanwhile.
_RECORDS: Final = {"postgresql": 5_000, "sqlite": 900}
# Hours that are counted by one read where there are few predictions in each.
_HOURS_AT_ONCE: Final = 24
_LISTINGS: Final = 3
_TABLES: Final = (rollup_hours, rollup_features, rollup_latencies, rollup_unprofiled)

Fence = Callable[[sa.Connection], object]
"""Raises unless this process may write, for as long as the transaction lasts."""


@dataclass(frozen=True, slots=True)
class RollupRound:
    """What one round did.

    Attributes:
        records: Inserted records that were looked at.
        hours: That were counted.
        predictions: In them.
        caught_up: Whether nothing is left to do that was there when the round began.
    """

    records: int
    hours: int
    predictions: int
    caught_up: bool


class RollupWorker:
    """One worker on one store.

    Args:
        store: Where everything is.
        cells_of: How a version's predictions are counted by feature, by model name and version.
        fence: Raises when another worker has taken over.
        stopping: Whether to end after the present step.
    """

    def __init__(
        self,
        store: EventStore,
        cells_of: Callable[[str, str], VersionView],
        *,
        fence: Fence = lambda _: None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._store = store
        self._cells_of = cells_of
        self._fence = fence
        self._stopping = stopping
        self._ready = False

    def run(self, *, seconds: float = 10.0) -> RollupRound:
        """Work until everything is counted, or for so many seconds.

        Raises:
            UnavailableError: The store cannot be used, or is to be migrated first; nothing is lost.
            ConflictError: Another worker has taken over.
        """
        if not self._ready:
            self._store.require_revision(ROLLUPS_REVISION)
            self._ready = True
        give_up = monotonic() + seconds
        records = hours = counted = 0
        began = now_us()
        while True:
            began = now_us()
            found, emptied = self._resolve(give_up)
            records += found
            listed = self._list(list_hours)
            span = self._newest_dirty()
            if span is not None:
                hours += len(span)
                counted += self._count(span)
            elif listed and self._list(list_leads) and emptied:
                self._note_caught_up(began)
                return RollupRound(records, hours, counted, caught_up=True)
            if self._stopping() or monotonic() > give_up:
                self._note(SEEN, now_us())
                return RollupRound(records, hours, counted, caught_up=False)

    def retry_unprofiled(self) -> int:
        """Mark hours whose versions lacked a profile that can be had now; returns how many.

        Predictions that were encoded by another contract stay uncounted, whatever the version's profile is.
        """
        t = rollup_unprofiled.c
        lacking = sa.select(t.hour, t.model_name, t.model_version).where(~t.reason.startswith(ENCODED))
        with self._store.reading() as connection:
            found = connection.execute(lacking).all()
        again = {
            row.hour
            for row in found
            if isinstance(self._cells_of(row.model_name, row.model_version), CellsOfVersion)
        }
        if not again:
            return 0
        with self._store.writing() as connection:
            self._fence(connection)
            mark_dirty(connection, again)
        return len(again)

    def _resolve(self, give_up: float) -> tuple[int, bool]:
        """How many inserted records were looked at, and whether those were all."""
        total = 0
        while True:
            with self._store.writing() as connection:
                self._fence(connection)
                limit = _RECORDS[connection.dialect.name]
                found = resolve_pending(connection, limit)
            total += found
            # What is left when time is up is found in the next round: hours must be counted meanwhile.
            if found < limit or self._stopping() or monotonic() > give_up:
                return total, found < limit

    def _list(self, listing: Callable[[sa.Connection], bool]) -> bool:
        """Find some of what was stored before; whether all of it has been found."""
        for _ in range(_LISTINGS):
            with self._store.writing() as connection:
                self._fence(connection)
                if listing(connection):
                    return True
        return False

    def _newest_dirty(self) -> range | None:
        """The newest hours to count, next to each other; None if there are none."""
        hour = rollup_dirty.c.hour
        with self._store.reading() as connection:
            query = sa.select(hour).order_by(hour.desc()).limit(_HOURS_AT_ONCE)
            found = list(connection.execute(query).scalars())
        if not found:
            return None
        neighbours = [each for place, each in enumerate(found) if each == found[0] - place * HOUR_US]
        return range(neighbours[-1], found[0] + HOUR_US, HOUR_US)

    def _count(self, span: range) -> int:
        """Count hours whole and replace what was counted before; returns how many predictions they have."""
        counter, total = HourCounter(self._cells_of), 0
        at = now_us()
        with self._store.reading() as connection:
            for part in read_hours(connection, span.start, span.stop):
                counter.add(part)
                total += len(part.probabilities)
        counts = counter.rows()
        with self._store.writing() as connection:
            self._fence(connection)
            kept_from = read_kept_from(connection)
            # An hour without a prediction has had some that were removed, or it would not be marked: what was
            # counted then is all that is left of them. Of an hour in removal, this read may have seen a part;
            # its month was given up before the first of them went.
            replaced = [hour for hour in span if hour in counts and hour >= kept_from]
            for table in (*_TABLES, rollup_counted):
                connection.execute(sa.delete(table).where(is_among(connection, table.c.hour, replaced)))
            _insert(connection, [counts[hour] for hour in replaced])
            insert(connection, rollup_counted, [(hour, at) for hour in replaced])
            connection.execute(
                sa.delete(rollup_dirty).where(is_among(connection, rollup_dirty.c.hour, list(span)))
            )
        return total

    def _note_caught_up(self, began: int) -> None:
        with self._store.writing() as connection:
            self._fence(connection)
            set_moment(connection, SEEN, now_us())
            set_moment(connection, CAUGHT_UP, began)

    def _note(self, name: str, at: int) -> None:
        with self._store.writing() as connection:
            self._fence(connection)
            set_moment(connection, name, at)


def _insert(connection: sa.Connection, counts: Sequence[HourCounts]) -> None:
    """Insert rows of several hours, one statement a table."""
    insert(connection, rollup_hours, [row for each in counts for row in each.hours])
    insert(connection, rollup_features, [row for each in counts for row in each.features])
    insert(connection, rollup_latencies, [row for each in counts for row in each.latencies])
    insert(connection, rollup_unprofiled, [row for each in counts for row in each.unprofiled])
