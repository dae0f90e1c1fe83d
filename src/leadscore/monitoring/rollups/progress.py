"""Named moments of the roll-ups, by which readers can say how old their numbers are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from leadscore.monitoring.rollups.tables import rollup_dirty, rollup_pending, rollup_progress

SEEN: Final = "seen"
CAUGHT_UP: Final = "caught_up"
KEPT_FROM: Final = "kept_from"
CHANGES: Final = "changes"
LISTED_HOURS: Final = "listed_hours"
LISTED_LEADS: Final = "listed_leads"
# As the migration says.
ROLLUPS_REVISION: Final = 8


@dataclass(frozen=True, slots=True)
class RollupProgress:
    """How far the roll-ups are.

    Attributes:
        seen: When the worker was last at work (microseconds since the epoch); None: never.
        caught_up: Everything stored before this moment is counted; None: nothing is for sure.
        kept_from: Hours before it keep their counts although what they counted was removed; None: none do.
        dirty: Hours that are to be counted again.
        pending: Whether records were inserted that no hour was marked for yet.
        listed: Whether all that was stored before the worker first ran has been found.
    """

    seen: int | None
    caught_up: int | None
    kept_from: int | None
    dirty: int
    pending: bool
    listed: bool


def read_rollup_progress(connection: sa.Connection) -> RollupProgress:
    """Look how far the roll-ups are."""
    moments = {row.name: row.at for row in connection.execute(sa.select(rollup_progress))}
    dirty = connection.execute(sa.select(sa.func.count()).select_from(rollup_dirty)).scalar_one()
    some = sa.exists(sa.select(sa.literal(1)).select_from(rollup_pending))
    return RollupProgress(
        seen=moments.get(SEEN),
        caught_up=moments.get(CAUGHT_UP),
        kept_from=moments.get(KEPT_FROM),
        dirty=dirty,
        pending=bool(connection.execute(sa.select(some)).scalar_one()),
        listed=all(position_of(connection, name) is None for name in (LISTED_HOURS, LISTED_LEADS)),
    )


def position_of(connection: sa.Connection, name: str) -> str | None:
    """How far a listing has come, empty before its first step; None: it is complete."""
    query = sa.select(rollup_progress.c.position).where(rollup_progress.c.name == name)
    found = connection.execute(query).one_or_none()
    return "" if found is None else found.position


def read_kept_from(connection: sa.Connection) -> int:
    """First moment of the hours that may still be counted; 0: all may."""
    query = sa.select(rollup_progress.c.at).where(rollup_progress.c.name == KEPT_FROM)
    return connection.execute(query).scalar_one_or_none() or 0


def set_moment(connection: sa.Connection, name: str, at: int, position: str | None = None) -> None:
    """Set one moment, in the caller's write transaction."""
    row = rollup_progress.c.name == name
    changed = connection.execute(sa.update(rollup_progress).where(row).values(at=at, position=position))
    if not changed.rowcount:
        connection.execute(sa.insert(rollup_progress).values(name=name, at=at, position=position))
