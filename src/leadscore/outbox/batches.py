"""Many messages of one channel at once: claimed together, settled each by itself, at the channel's pace.

The rules are those of `queue`: a lease that ends by itself, back-off, dead letters, and at most one message
of a stream on its way.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

import sqlalchemy as sa

from leadscore.outbox.attempts import NextAttempt, SendResult
from leadscore.outbox.queue import (
    MessageClaim,
    attempt_end,
    claim_of,
    due_messages,
    free_at,
    hold_channel,
)
from leadscore.outbox.tables import SECOND_US, outbox

# A channel that is free again within this time is waited for; one that is held longer is left alone.
NEAR_SECONDS: Final = 2.0
# Fewer than the variables that one statement may have (SQLite: 999 before 3.32).
_ROWS: Final = 900

SettledAttempt = tuple[MessageClaim, SendResult, NextAttempt]
"""A claimed message, how its attempt ended, and what becomes of it."""


def claim_batch(
    connection: sa.Connection, channel: str, now: int, *, most: int, lease_seconds: float
) -> tuple[MessageClaim, ...]:
    """Take messages of a channel that are due, the first of each stream, as they come; () if there is none.

    Of a large backlog they are not sorted first, which would read all of it for each batch.

    Args:
        connection: Of a transaction that writes; the claims hold once it is committed.
        channel: Whose; () while it is to be left alone.
        now: Microseconds since the epoch.
        most: How many.
        lease_seconds: After which they are anybody's again.
    """
    if free_at(connection, channel) > now + round(NEAR_SECONDS * SECOND_US):
        return ()
    query = due_messages(channel, now).limit(most).with_for_update(skip_locked=True, of=outbox)
    rows = sorted(connection.execute(query), key=lambda row: row.number)
    lease = secrets.token_hex(8)
    for numbers in _pieces([row.number for row in rows]):
        connection.execute(
            sa.update(outbox)
            .where(outbox.c.number.in_(numbers))
            .values(
                # Whoever held a lease before never said what came of it.
                uncertain=outbox.c.uncertain + sa.case((outbox.c.lease.is_not(None), 1), else_=0),
                lease=lease,
                leased_until=now + round(lease_seconds * SECOND_US),
                attempts=outbox.c.attempts + 1,
            )
        )
    return tuple(claim_of(row, lease, row.attempts + 1) for row in rows)


def settle_batch(connection: sa.Connection, ends: Iterable[SettledAttempt], now: int) -> int:
    """Write down how attempts ended; returns how many were still ours: for the others, somebody else's count.

    Args:
        connection: Of a transaction that writes.
        ends: Attempts at messages of one channel.
        now: Microseconds since the epoch.
    """
    alike: defaultdict[tuple[str, SendResult, NextAttempt], list[int]] = defaultdict(list)
    channel = ""
    for claim, result, then in ends:
        alike[claim.lease, result, then].append(claim.number)
        channel = claim.message.channel
    ours = 0
    for (lease, result, then), found in alike.items():
        for numbers in _pieces(found):
            done = connection.execute(
                sa.update(outbox)
                .where(outbox.c.number.in_(numbers), outbox.c.lease == lease)
                .values(attempt_end(result, then, now))
            )
            ours += done.rowcount
        if then.channel_until is not None:
            hold_channel(connection, channel, then.channel_until, result.detail[:500])
    return ours


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
        hold_channel(connection, channel, turn + round(pace_seconds * SECOND_US), "pace")
    return turn


def count_due(connection: sa.Connection, channel: str, now: int) -> int:
    """How many messages of a channel wait to be sent now."""
    query = sa.select(sa.func.count()).where(
        outbox.c.channel == channel, outbox.c.state == "waiting", outbox.c.next_at <= now
    )
    return connection.execute(query).scalar_one()


def claims_of(connection: sa.Connection, channel: str, lease: str) -> tuple[MessageClaim, ...]:
    """What was claimed under a lease and is nobody else's since, though the lease may have ended."""
    query = sa.select(outbox).where(
        outbox.c.channel == channel, outbox.c.state == "waiting", outbox.c.lease == lease
    )
    return tuple(
        claim_of(row, lease, row.attempts) for row in connection.execute(query.order_by(outbox.c.number))
    )


def _pieces(numbers: Sequence[int]) -> Iterable[Sequence[int]]:
    return (numbers[start : start + _ROWS] for start in range(0, len(numbers), _ROWS))
