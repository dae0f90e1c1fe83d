"""How far something of a target has come, kept in the transaction of what it did."""

from __future__ import annotations

import sqlalchemy as sa

from leadscore.crm.tables import crm_cursors


def read_cursor(connection: sa.Connection, target: str, what: str) -> str:
    """The position; empty if it has not begun."""
    query = sa.select(crm_cursors.c.position).where(
        crm_cursors.c.target == target, crm_cursors.c.what == what
    )
    return connection.execute(query).scalar_one_or_none() or ""


def set_cursor(connection: sa.Connection, target: str, what: str, position: str, now: int) -> None:
    """Move it, in the caller's write transaction."""
    row = sa.and_(crm_cursors.c.target == target, crm_cursors.c.what == what)
    changed = connection.execute(sa.update(crm_cursors).where(row).values(position=position, at=now))
    if not changed.rowcount:
        values = {"target": target, "what": what, "position": position, "at": now}
        connection.execute(sa.insert(crm_cursors).values(**values))
