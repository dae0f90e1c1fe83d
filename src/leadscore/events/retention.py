"""Remove old predictions by whole months, and the outcomes of that time. Decision records stay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from leadscore.events import partitions
from leadscore.events.schema import outcomes, predictions
from leadscore.events.store import EventStore

_ROWS: Final = 10_000
# The revision with what CRMs were told; roll-ups, which are told what goes and keep their counts, are older.
_REVISION: Final = 8
# The columns that are written here, of tables that `monitoring.rollups` describes.
_progress: Final = sa.table("rollup_progress", sa.column("name", sa.Text), sa.column("at", sa.BigInteger))
_pending: Final = sa.table(
    "rollup_pending", sa.column("lead_id", sa.Text), sa.column("prediction_id", sa.Text)
)
_lead_scores: Final = sa.table(
    "lead_scores", sa.column("lead_id", sa.Text), sa.column("scored_at", sa.BigInteger)
)
# Of `crm.tables` and `outbox.tables`.
_crm_states: Final = sa.table(
    "crm_states",
    *(sa.column(name, sa.Text) for name in ("target", "lead_id")),
    sa.column("chosen_at", sa.BigInteger),
)
_outbox: Final = sa.table("outbox", *(sa.column(name, sa.Text) for name in ("channel", "stream", "state")))


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
    ends when it was); SQLite has no partitions: there, rows are deleted some thousand at a time. Roll-ups
    keep what they counted of those months; an outcome that stays while the prediction that it names goes, or
    the other way round, changes what is left, so that is counted again.

    Args:
        store: The store.
        before: A moment, microseconds since the epoch.
        dry_run: Only look.

    Raises:
        UnavailableError: The store cannot be used, or somebody has had a partition in use for three seconds;
            what was removed until then is gone, and the rest goes the next time. Or the store is to be
            migrated first.
    """
    store.require_revision(_REVISION)
    start = partitions.month_of(before)
    with store.reading() as connection:
        there = partitions.list_partitions(connection)
    gone = tuple(p for p in there if p.end is not None and p.end <= start)
    if not dry_run:
        _give_up_counting(store, start)
    if gone and not dry_run:
        with store.writing() as connection:
            for partition in gone:
                going = sa.table(partition.name, sa.column("prediction_id", sa.Text))
                connection.execute(_mark_outcomes_of(sa.select(going.c.prediction_id)))
            gone = partitions.drop_partitions(connection, start)
    name = partitions.DEFAULT if there else predictions.name
    loose = sa.table(name, sa.column("prediction_id", sa.Text), sa.column("scored_at", sa.BigInteger))
    old_scores = loose.c.scored_at < start
    old_outcomes = sa.and_(outcomes.c.occurred_at < start, outcomes.c.recorded_at < start)
    if dry_run:
        scores = _count(store, loose, loose.c.prediction_id, old_scores)
        told = _count(store, outcomes, outcomes.c.outcome_id, old_outcomes)
    else:
        scores = _delete(store, loose, loose.c.prediction_id, old_scores, _mark_outcomes_of)
        told = _delete(store, outcomes, outcomes.c.outcome_id, old_outcomes, _mark_named_by)
        with store.writing() as connection:
            connection.execute(sa.delete(_lead_scores).where(_lead_scores.c.scored_at < start))
        _forget_told(store, start)
    return Retained(
        start,
        scores,
        told,
        tuple(p.name for p in gone),
        sum(p.bytes for p in gone),
    )


def _forget_told(store: EventStore, start: int) -> None:
    """Forget what CRMs were told of leads that have no score any more; what still waits is sent first.

    A lead that has a score keeps its row, by which an older one never overwrites what its CRM has.
    """
    c, key = _crm_states.c, sa.tuple_(_crm_states.c.target, _crm_states.c.lead_id)
    scored = sa.exists().where(_lead_scores.c.lead_id == c.lead_id)
    waits = sa.exists().where(
        _outbox.c.channel.in_([sa.literal("crm:") + c.target, sa.literal("crm-table:") + c.target]),
        _outbox.c.stream == c.lead_id,
        _outbox.c.state == sa.literal_column("'waiting'"),
    )
    gone = sa.and_(c.chosen_at < start, ~scored, ~waits)
    after = ("", "")
    while True:
        later = key > sa.tuple_(*map(sa.literal, after))
        page = sa.select(c.target, c.lead_id).where(later).order_by(c.target, c.lead_id).offset(_ROWS - 1)
        with store.writing() as connection:
            last = connection.execute(page.limit(1)).first()
            part = later if last is None else sa.and_(later, key <= sa.tuple_(*map(sa.literal, last)))
            connection.execute(sa.delete(_crm_states).where(part, gone))
        if last is None:
            return
        after = (last.target, last.lead_id)


def _give_up_counting(store: EventStore, start: int) -> None:
    """Have hours before a moment never counted again, before the first of their predictions goes."""
    kept = _progress.c.name == "kept_from"
    with store.writing() as connection:
        if connection.execute(sa.select(sa.func.count()).select_from(_progress).where(kept)).scalar_one():
            later = sa.and_(kept, _progress.c.at < start)
            connection.execute(sa.update(_progress).where(later).values(at=start))
        else:
            connection.execute(sa.insert(_progress).values(name="kept_from", at=start))


def _mark_outcomes_of(going: sa.Select[str]) -> sa.Insert:
    """Note the leads of outcomes that name predictions which go."""
    query = sa.select(outcomes.c.lead_id, outcomes.c.prediction_id)
    return _mark(query.where(outcomes.c.prediction_id.in_(going)))


def _mark_named_by(going: sa.Select[str]) -> sa.Insert:
    """Note the predictions that are named by outcomes which go."""
    query = sa.select(outcomes.c.lead_id, outcomes.c.prediction_id)
    return _mark(query.where(outcomes.c.outcome_id.in_(going), outcomes.c.prediction_id.is_not(None)))


def _mark(query: sa.Select[str, str | None]) -> sa.Insert:
    return sa.insert(_pending).from_select(["lead_id", "prediction_id"], query)


def _count(
    store: EventStore, table: sa.TableClause, key: sa.ColumnElement[str], old: sa.ColumnElement[bool]
) -> int:
    with store.reading() as connection:
        return connection.execute(sa.select(sa.func.count(key)).select_from(table).where(old)).scalar_one()


def _delete(
    store: EventStore,
    table: sa.TableClause,
    key: sa.ColumnElement[str],
    old: sa.ColumnElement[bool],
    mark: Callable[[sa.Select[str]], sa.Insert],
) -> int:
    """In transactions of some thousand rows, so that a shipper never waits for long."""
    # In order, so that both statements of a transaction mean the same rows.
    going = sa.select(key).where(old).order_by(key).limit(_ROWS)
    statement = sa.delete(table).where(key.in_(going))
    total = 0
    while True:
        with store.writing() as connection:
            connection.execute(mark(going))
            count = connection.execute(statement).rowcount
        total += count
        if count < _ROWS:
            return total
