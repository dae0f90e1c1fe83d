"""An older score never overwrites a newer one: what a target has, by the sequence of its scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa

from leadscore.crm.tables import crm_states
from leadscore.crm.updates import ScoreUpdate, parse_update
from leadscore.errors import BadInputError
from leadscore.outbox.queue import OutboxMessage
from leadscore.outbox.worker import MessageEnd

_AT_ONCE: Final = 500


def stale_updates(connection: sa.Connection, target: str, updates: Sequence[ScoreUpdate]) -> frozenset[str]:
    """Ids of messages that must not be sent: the target has them, or something newer has been put in since.

    Asked in the transaction that claims them. Something newer may be there although nobody knows (its reply
    was lost): so it does not matter what became of it.
    """
    found: set[str] = set()
    c = crm_states.c
    for start in range(0, len(updates), _AT_ONCE):
        part = updates[start : start + _AT_ONCE]
        query = sa.select(crm_states).where(
            c.target == target, c.lead_id.in_([update.lead_id for update in part])
        )
        states = {row.lead_id: row for row in connection.execute(query)}
        for update in part:
            row = states.get(update.lead_id)
            if row is None:
                continue
            has = row.written_at is not None and (row.written_at, row.written_id) >= update.sequence
            if has or (row.chosen_at, row.chosen_id) > update.sequence:
                found.add(update.message_id(target))
    return frozenset(found)


def note_written(connection: sa.Connection, target: str, updates: Sequence[ScoreUpdate]) -> None:
    """Keep what the target has now, in the transaction that settles its messages."""
    if not updates:
        return
    c, at, name = crm_states.c, sa.bindparam("at", type_=sa.BigInteger), sa.bindparam("id", type_=sa.Text)
    older = sa.or_(
        c.written_at.is_(None), c.written_at < at, sa.and_(c.written_at == at, c.written_id < name)
    )
    statement = (
        sa.update(crm_states)
        .where(c.target == target, c.lead_id == sa.bindparam("lead", type_=sa.Text), older)
        .values(written_at=at, written_id=name)
    )
    rows = [{"lead": u.lead_id, "at": u.scored_at, "id": u.prediction_id} for u in updates]
    connection.execute(statement, rows)


class SequenceFence:
    """The fence of one target, for messages that are delivered each by itself.

    Args:
        target: Whose.
    """

    def __init__(self, target: str) -> None:
        self._target = target

    def stale(self, connection: sa.Connection, messages: Sequence[OutboxMessage]) -> frozenset[str]:
        """Ids of messages that are no news; one that cannot be read is the sender's to refuse."""
        return stale_updates(connection, self._target, [u for m in messages if (u := _readable(m))])

    def note(self, connection: sa.Connection, ends: Sequence[MessageEnd], now: int) -> None:
        """Keep what was accepted."""
        del now
        accepted = [parse_update(m.payload) for m, result in ends if result.outcome == "accepted"]
        note_written(connection, self._target, accepted)


def _readable(message: OutboxMessage) -> ScoreUpdate | None:
    try:
        return parse_update(message.payload)
    except BadInputError:
        return None
