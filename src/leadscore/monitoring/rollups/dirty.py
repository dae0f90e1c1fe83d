"""Which hours and leads change by records that were inserted: the label rule (`events.labels`), backwards.

A prediction changes its own hour; the other predictions of its lead (the one before becomes superseded,
labels move to it); and the predictions of leads whose outcomes name it: until it came, those outcomes
belonged to whatever the lead was scored with. An outcome changes the predictions of its lead, and the one
that it names, whoever's that is. Too many hours are harmless, for they are counted again; too few are not.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from leadscore.events.ingest import insert
from leadscore.events.records import now_us
from leadscore.events.schema import outcomes, predictions
from leadscore.monitoring.rollups.leads import next_leads, refresh_leads
from leadscore.monitoring.rollups.lookups import in_parts, is_among, look_up
from leadscore.monitoring.rollups.progress import (
    CAUGHT_UP,
    LISTED_HOURS,
    LISTED_LEADS,
    position_of,
    set_moment,
)
from leadscore.monitoring.rollups.tables import HOUR_US, rollup_dirty, rollup_pending, rollup_progress

_HOURS_AT_ONCE: Final = 500
_LISTED_US: Final = 24 * HOUR_US
_LEADS_AT_ONCE: Final = 900


def resolve_pending(connection: sa.Connection, limit: int) -> int:
    """Mark the hours that some inserted records change, and bring their leads' scores up to date.

    In the caller's write transaction. Exactly what was read is deleted: numbers are given before they are
    committed, so that a smaller one may become visible later.

    Returns how many records were read; fewer than `limit`: no more were there.
    """
    p = rollup_pending.c
    read = connection.execute(sa.select(rollup_pending).order_by(p.pending_id).limit(limit)).all()
    scored = {row.prediction_id for row in read if row.scored_at is not None}
    named = {row.prediction_id for row in read if row.scored_at is None} - {None}
    leads = {row.lead_id for row in read}
    moved = look_up(connection, outcomes.c.lead_id, outcomes.c.prediction_id, scored)
    hour = predictions.c.scored_at // HOUR_US
    hours = {row.scored_at // HOUR_US for row in read if row.scored_at is not None}
    hours |= look_up(connection, hour, predictions.c.lead_id, leads | moved)
    hours |= look_up(connection, hour, predictions.c.prediction_id, named)
    mark_dirty(connection, {each * HOUR_US for each in hours})
    refresh_leads(connection, leads)
    for part in in_parts(connection, [row.pending_id for row in read]):
        connection.execute(sa.delete(rollup_pending).where(is_among(connection, p.pending_id, part)))
    return len(read)


def mark_dirty(connection: sa.Connection, hours: set[int]) -> None:
    """Note that hours (their first moments) are to be counted again."""
    insert(connection, rollup_dirty, [(hour,) for hour in sorted(hours)])


def list_hours(connection: sa.Connection) -> bool:
    """Mark some of the hours that were stored before the worker first ran; whether all have been marked.

    In the caller's write transaction, which notes how far it came.
    """
    position = position_of(connection, LISTED_HOURS)
    if position is None:
        return True
    start, found = int(position or 0), set[int]()
    moment = predictions.c.scored_at
    at: int | None = start
    while at is not None and len(found) < _HOURS_AT_ONCE:
        query = sa.select(moment).where(moment >= start).order_by(moment).limit(1)
        at = connection.execute(query).scalar_one_or_none()
        if at is not None:
            # The next one that there is, and what follows it within a day: years without any cost one look.
            start = at + _LISTED_US
            inside = sa.and_(moment >= at, moment < start)
            found.update(connection.execute(sa.select(moment // HOUR_US).where(inside).distinct()).scalars())
    mark_dirty(connection, {hour * HOUR_US for hour in found})
    set_moment(connection, LISTED_HOURS, now_us(), None if at is None else str(start))
    return at is None


def list_leads(connection: sa.Connection) -> bool:
    """The same for the scores of some leads."""
    position = position_of(connection, LISTED_LEADS)
    if position is None:
        return True
    leads = next_leads(connection, position, _LEADS_AT_ONCE)
    refresh_leads(connection, set(leads))
    set_moment(connection, LISTED_LEADS, now_us(), leads[-1] if leads else None)
    return not leads


def start_again(connection: sa.Connection) -> None:
    """Have everything that is stored counted again, by whoever works then."""
    again = rollup_progress.c.name.in_((CAUGHT_UP, LISTED_HOURS, LISTED_LEADS))
    connection.execute(sa.delete(rollup_progress).where(again))
