"""What those need who send many messages in one request: turns at the channel's pace, long leases."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from leadscore.outbox.queue import PACE, WAITING, MessageClaim, claim_of, free_at, hold_channel
from leadscore.outbox.tables import SECOND_US, outbox

# A channel that is free again within this time is waited for; one that is held longer is left alone.
NEAR_SECONDS: Final = 2.0


def extend_lease(connection: sa.Connection, channel: str, lease: str, until: int) -> None:
    """Keep what was claimed under a lease until a moment, microseconds since the epoch."""
    mine = sa.and_(outbox.c.channel == channel, outbox.c.state == "waiting", outbox.c.lease == lease)
    connection.execute(sa.update(outbox).where(mine).values(leased_until=until))


def take_turn(connection: sa.Connection, channel: str, now: int, pace_seconds: float) -> int:
    """Reserve the next moment at which a request may be sent to a channel, whoever else sends to it.

    Args:
        connection: Of a transaction that writes; short, because others wait for it.
        channel: Its name.
        now: Microseconds since the epoch.
        pace_seconds: Shortest time between two requests.

    Returns:
        The moment, microseconds since the epoch; more than `NEAR_SECONDS` ahead, nothing was reserved.
    """
    turn = max(now, free_at(connection, channel))
    if turn - now <= NEAR_SECONDS * SECOND_US and pace_seconds:
        hold_channel(connection, channel, turn + round(pace_seconds * SECOND_US), PACE)
    return turn


def count_due(connection: sa.Connection, channel: str, now: int, most: int) -> int:
    """How many messages of a channel wait to be sent now; `most`: that many at least."""
    due = sa.select(outbox.c.number).where(
        outbox.c.channel == channel, outbox.c.state == WAITING, outbox.c.next_at <= now
    )
    return connection.execute(sa.select(sa.func.count()).select_from(due.limit(most).subquery())).scalar_one()


def claims_of(connection: sa.Connection, channel: str, lease: str) -> tuple[MessageClaim, ...]:
    """What was claimed under a lease and is nobody else's since, though the lease may have ended."""
    query = sa.select(outbox).where(
        outbox.c.channel == channel, outbox.c.state == "waiting", outbox.c.lease == lease
    )
    return tuple(
        claim_of(row, lease, row.attempts) for row in connection.execute(query.order_by(outbox.c.number))
    )
