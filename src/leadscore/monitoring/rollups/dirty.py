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
from leadscore.events.schema import outcomes, predictions
from leadscore.monitoring.rollups.leads import next_leads, refresh_leads
from leadscore.monitoring.rollups.lookups import in_parts, is_among, look_up
from leadscore.monitoring.rollups.progress import (
    CAUGHT_UP,
    COMPLETE,
    LISTED_HOURS,
    LISTED_LEADS,
    read_moment,
    set_moment,
)
from leadscore.monitoring.rollups.tables import HOUR_US, rollup_dirty, rollup_pending

_HOURS_AT_ONCE: Final = 500
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
    start, _ = read_moment(connection, LISTED_HOURS) or (0, "")
    found: set[int] = set()
    moment = predictions.c.scored_at
    while start != COMPLETE and len(found) < _HOURS_AT_ONCE:
        query = sa.select(moment).where(moment >= start).order_by(moment).limit(1)
        at = connection.execute(query).scalar_one_or_none()
        if at is None:
            start = COMPLETE
        else:
            hour = at // HOUR_US * HOUR_US
            found.add(hour)
            start = hour + HOUR_US
    mark_dirty(connection, found)
    set_moment(connection, LISTED_HOURS, start)
    return start == COMPLETE


def list_leads(connection: sa.Connection) -> bool:
    """The same for the scores of some leads."""
    at, last = read_moment(connection, LISTED_LEADS) or (0, "")
    if at == COMPLETE:
        return True
    leads = next_leads(connection, last, _LEADS_AT_ONCE)
    refresh_leads(connection, set(leads))
    if leads:
        set_moment(connection, LISTED_LEADS, 0, leads[-1])
    else:
        set_moment(connection, LISTED_LEADS, COMPLETE)
    return not leads


def start_again(connection: sa.Connection) -> None:
    """Have everything that is stored counted again, by whoever works then."""
    set_moment(connection, LISTED_HOURS, 0)
    set_moment(connection, LISTED_LEADS, 0)
    set_moment(connection, CAUGHT_UP, 0)
