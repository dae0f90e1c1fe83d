"""Remove old predictions by whole months, and the outcomes of that time. Decision records stay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from leadscore.events import partitions
from leadscore.events.schema import outcomes, predictions
from leadscore.events.store import EventStore

_ROWS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Retained:
    """What was removed, or would be.

    Attributes:
        before: Everything of before this moment (microseconds since the epoch; the first of a month).
        predictions: How many were deleted one by one (SQLite, or the default partition).
        outcomes: How many.
        partitions: Partitions dropped whole.
        bytes: Their size.
    """

    before: int
    predictions: int
    outcomes: int
    partitions: tuple[str, ...]
    bytes: int


def retain(store: EventStore, before: int, *, dry_run: bool = False) -> Retained:
    """Remove what was scored before a moment's month, and outcomes that happened and were recorded before it.

    Months are dropped whole on PostgreSQL (the table of a store that was not partitioned counts as one, which
    ends when it was); SQLite has no partitions: there, rows are deleted some thousand at a time.

    Args:
        store: The store.
        before: A moment, microseconds since the epoch.
        dry_run: Only look.

    Raises:
        UnavailableError: The store cannot be used, or somebody has had a partition in use for three seconds;
            what was removed until then is gone, and the rest goes the next time.
    """
    start = partitions.month_of(before)
    with store.reading() as connection:
        there = partitions.list_partitions(connection)
    gone = tuple(p for p in there if p.end is not None and p.end <= start)
    if gone and not dry_run:
        with store.writing() as connection:
            gone = partitions.drop_partitions(connection, start)
    name = partitions.DEFAULT if there else predictions.name
    loose = sa.table(name, sa.column("prediction_id", sa.Text), sa.column("scored_at", sa.BigInteger))
    old_scores = loose.c.scored_at < start
    old_outcomes = sa.and_(outcomes.c.occurred_at < start, outcomes.c.recorded_at < start)
    remove = _count if dry_run else _delete
    return Retained(
        start,
        remove(store, loose, loose.c.prediction_id, old_scores),
        remove(store, outcomes, outcomes.c.outcome_id, old_outcomes),
        tuple(p.name for p in gone),
        sum(p.bytes for p in gone),
    )


def _count(
    store: EventStore, table: sa.TableClause, key: sa.ColumnElement[str], old: sa.ColumnElement[bool]
) -> int:
    with store.reading() as connection:
        return connection.execute(sa.select(sa.func.count(key)).select_from(table).where(old)).scalar_one()


def _delete(
    store: EventStore, table: sa.TableClause, key: sa.ColumnElement[str], old: sa.ColumnElement[bool]
) -> int:
    """In transactions of some thousand rows, so that a shipper never waits for long."""
    statement = sa.delete(table).where(key.in_(sa.select(key).where(old).limit(_ROWS)))
    total = 0
    while True:
        with store.writing() as connection:
            count = connection.execute(statement).rowcount
        total += count
        if count < _ROWS:
            return total
