"""The outbox's rows: put in, claimed, settled, looked at, sent again.

A claim is a lease: whoever holds it alone may send the message, until it ends. A process that is killed
leaves a lease that ends by itself; the next claim then counts an attempt whose end nobody knows.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from leadscore.errors import NotFoundError
from leadscore.outbox.attempts import GIVE_UP_SECONDS, NextAttempt, SendResult
from leadscore.outbox.tables import SECOND_US, outbox, outbox_channels

# Longer than any attempt takes.
LEASE_SECONDS: Final = 60.0
_KEEP_SECONDS: Final = 30 * 86_400.0
_STREAMS_AT_ONCE: Final = 500
# Fewer than the variables that one statement may have (SQLite: 999 before 3.32).
ROWS_AT_ONCE: Final = 900
# Why a channel is held that was only just sent something.
PACE: Final = "pace"
# Written out, as the conditions of the indexes are: by a parameter none of them could be chosen.
WAITING: Final = sa.literal_column("'waiting'", sa.Text)
_DEAD: Final = sa.literal_column("'dead'", sa.Text)
_DELIVERED: Final = sa.literal_column("'delivered'", sa.Text)
_NOTHING: Final = sa.literal_column("''", sa.Text)
_ZERO: Final = sa.literal_column("0", sa.Integer)
# Delivered messages of 30 days may be tens of millions: more of a channel than this are not counted.
DELIVERED_MOST: Final = 100_000


@dataclass(frozen=True, slots=True)
class OutboxMessage:
    """What one channel is to be told.

    Attributes:
        message_id: What makes it this message: the same id put in twice is one message, and receivers that
            take an idempotency key are given it.
        channel: Who is to have it.
        stream: Messages of one stream reach a channel one after the other, in the order they were put in.
        payload: JSON for the channel's sender.
    """

    message_id: str
    channel: str
    stream: str
    payload: str


@dataclass(frozen=True, slots=True)
class MessageClaim:
    """A message that this process alone may send until its lease ends.

    Attributes:
        message: The message.
        number: Of its row.
        lease: Its token.
        attempt: Number of the attempt, from 1.
        give_up_at: When it is given up, microseconds since the epoch.
    """

    message: OutboxMessage
    number: int
    lease: str
    attempt: int
    give_up_at: int


SettledAttempt = tuple[MessageClaim, SendResult, NextAttempt]
"""A claimed message, how its attempt ended, and what becomes of it."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that was given up, until a person sends it again.

    Attributes:
        number: Of its row: what a person names it by.
        message_id: As it was put in.
        channel: Who has not got it.
        stream: Whose message it is.
        created_at: When it was put in, microseconds since the epoch.
        settled_at: When it was given up.
        attempts: How often it was tried.
        last_error: How the last attempt ended.
    """

    number: int
    message_id: str
    channel: str
    stream: str
    created_at: int
    settled_at: int
    attempts: int
    last_error: str


@dataclass(frozen=True, slots=True)
class ChannelBacklog:
    """How a channel does.

    Attributes:
        channel: Its name.
        waiting: Messages that it is to get.
        oldest_at: When the oldest of them was put in, microseconds since the epoch; None: none waits.
        dead: Messages that were given up.
        delivered: Messages that it has, of the last 30 days; `DELIVERED_MOST`: that many at least.
        uncertain: Attempts whose end nobody knows and that were repeated: what a receiver without
            idempotency keys may have twice.
        last_error: Of the oldest that waits; empty if none failed.
    """

    channel: str
    waiting: int
    oldest_at: int | None
    dead: int
    delivered: int
    uncertain: int
    last_error: str


def enqueue(
    connection: sa.Connection,
    messages: Iterable[OutboxMessage],
    now: int,
    *,
    replace_waiting: bool = False,
    give_up_seconds: float = GIVE_UP_SECONDS,
) -> int:
    """Put messages in, within the caller's transaction; returns how many are new.

    Args:
        connection: Of a transaction that writes.
        messages: What is to be delivered; one that is in the outbox already (same id and channel) is left
            as it is, whatever became of it.
        now: Microseconds since the epoch.
        replace_waiting: A new message takes the place of those of its stream that wait for the same channel
            and are not being sent just now: only the newest state counts.
        give_up_seconds: Age at which it becomes a dead letter.
    """
    rows = [
        {
            "message_id": message.message_id,
            "channel": message.channel,
            "stream": message.stream,
            "payload": message.payload,
            "state": "waiting",
            "created_at": now,
            "next_at": now,
            "give_up_at": now + round(give_up_seconds * SECOND_US),
            "attempts": 0,
            "uncertain": 0,
            "last_error": "",
        }
        for message in messages
    ]
    if not rows:
        return 0
    insert = _insert(connection, outbox).on_conflict_do_nothing()
    returned = insert.returning(outbox.c.number, outbox.c.channel, outbox.c.stream)
    new = connection.execute(returned, rows).all()
    if replace_waiting:
        by_channel: dict[str, list[str]] = {}
        for _, channel, stream in new:
            by_channel.setdefault(channel, []).append(stream)
        for channel, streams in by_channel.items():
            for start in range(0, len(streams), _STREAMS_AT_ONCE):
                _replace_older(connection, channel, streams[start : start + _STREAMS_AT_ONCE], now)
    return len(new)


def _replace_older(connection: sa.Connection, channel: str, streams: Sequence[str], now: int) -> None:
    """Let only the newest message of each stream wait, and what is being sent just now."""
    newer = outbox.alias("newer")
    after = sa.exists().where(
        newer.c.channel == outbox.c.channel,
        newer.c.stream == outbox.c.stream,
        newer.c.state == "waiting",
        newer.c.number > outbox.c.number,
    )
    waits = sa.and_(outbox.c.channel == channel, outbox.c.state == "waiting", outbox.c.lease.is_(None))
    connection.execute(
        sa.update(outbox)
        .where(waits, outbox.c.stream.in_(streams), after)
        .values(state="replaced", settled_at=now)
    )


def _insert(connection: sa.Connection, table: sa.Table) -> postgresql.Insert | sqlite.Insert:
    # Both say ON CONFLICT, each through its own dialect's statement.
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


def claim_due(
    connection: sa.Connection,
    channel: str,
    now: int,
    *,
    most: int = 1,
    lease_seconds: float = LEASE_SECONDS,
    pace_seconds: float = 0.0,
    near_seconds: float = 0.0,
) -> tuple[MessageClaim, ...]:
    """Take messages of a channel that are due, the first of each stream; () if it is to be left alone.

    Those that are due longest are found by the index `outbox_due`: what else waits is not read.

    Args:
        connection: Of a transaction that writes; the claims hold once it is committed.
        channel: Whose.
        now: Microseconds since the epoch.
        most: How many.
        lease_seconds: After which they are anybody's again.
        pace_seconds: Shortest time between two claims of this channel.
        near_seconds: A channel that is free again within this time is claimed from already.
    """
    if free_at(connection, channel) > now + round(near_seconds * SECOND_US):
        return ()
    rows = connection.execute(due_messages(channel, now, most)).all()
    lease = secrets.token_hex(8)
    for start in range(0, len(rows), ROWS_AT_ONCE):
        numbers = [row.number for row in rows[start : start + ROWS_AT_ONCE]]
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
    if rows and pace_seconds:
        hold_channel(connection, channel, now + round(pace_seconds * SECOND_US), PACE)
    return tuple(claim_of(row, lease, row.attempts + 1) for row in rows)


def due_messages(channel: str, now: int, most: int) -> sa.Select[tuple[object, ...]]:
    """Messages of a channel that may be sent now: nobody's at present, and the first of their stream."""
    earlier = outbox.alias("earlier")
    # A subquery for each row that is looked at: a join might read all that waits, whatever is asked for.
    first = (
        sa.select(sa.func.min(earlier.c.number))
        .where(
            earlier.c.channel == outbox.c.channel,
            earlier.c.stream == outbox.c.stream,
            earlier.c.state == WAITING,
        )
        .scalar_subquery()
    )
    return (
        sa.select(outbox)
        .where(
            outbox.c.channel == channel,
            outbox.c.state == WAITING,
            outbox.c.next_at <= now,
            sa.or_(outbox.c.leased_until.is_(None), outbox.c.leased_until <= now),
            outbox.c.number == first,
        )
        .order_by(outbox.c.channel, outbox.c.next_at, outbox.c.number)
        .limit(most)
        .with_for_update(skip_locked=True, of=outbox)
    )


def claim_of(row: sa.Row[tuple[object, ...]], lease: str, attempt: int) -> MessageClaim:
    """A row of the outbox as what is held under a lease."""
    message = OutboxMessage(row.message_id, row.channel, row.stream, row.payload)
    return MessageClaim(message, row.number, lease, attempt, row.give_up_at)


def free_at(connection: sa.Connection, channel: str) -> int:
    """When a channel may be sent to, microseconds since the epoch; locked until the transaction ends."""
    gate = sa.select(outbox_channels.c.not_before).where(outbox_channels.c.channel == channel)
    return connection.execute(gate.with_for_update()).scalar() or 0


def read_holds(connection: sa.Connection, now: int) -> dict[str, tuple[int, str]]:
    """Channels that nothing is sent to for now: until when, microseconds since the epoch, and why."""
    c = outbox_channels.c
    query = sa.select(c.channel, c.not_before, c.reason).where(c.not_before > now, c.reason != PACE)
    return {channel: (until, why) for channel, until, why in connection.execute(query)}


def hold_channel(connection: sa.Connection, channel: str, until: int, reason: str) -> None:
    """Send nothing to a channel before a moment; one that holds longer already stays."""
    statement = _insert(connection, outbox_channels).values(channel=channel, not_before=until, reason=reason)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["channel"],
            set_={"not_before": until, "reason": reason},
            where=outbox_channels.c.not_before < until,
        )
    )


def settle_claims(connection: sa.Connection, ends: Iterable[SettledAttempt], now: int) -> int:
    """Write down how attempts ended; returns how many were still ours: for the others, somebody else's count.

    Args:
        connection: Of a transaction that writes.
        ends: Attempts at messages of one channel.
        now: Microseconds since the epoch.
    """
    alike: defaultdict[tuple[str, SendResult, NextAttempt], list[int]] = defaultdict(list)
    channel, ours = "", 0
    for claim, result, then in ends:
        alike[claim.lease, result, then].append(claim.number)
        channel = claim.message.channel
    for (lease, result, then), numbers in alike.items():
        ours += _update_claimed(connection, lease, numbers, _attempt_end(result, then, now))
        if then.channel_until is not None:
            hold_channel(connection, channel, then.channel_until, result.detail[:500])
    return ours


def give_back(connection: sa.Connection, claims: Sequence[MessageClaim]) -> None:
    """Let go of messages that were claimed together and not sent, as if they had not been claimed."""
    nothing: dict[str, object] = {"lease": None, "leased_until": None, "attempts": outbox.c.attempts - 1}
    if claims:
        _update_claimed(connection, claims[0].lease, [claim.number for claim in claims], nothing)


def _update_claimed(
    connection: sa.Connection, lease: str, numbers: Sequence[int], values: dict[str, object]
) -> int:
    done = 0
    for start in range(0, len(numbers), ROWS_AT_ONCE):
        mine = outbox.c.number.in_(numbers[start : start + ROWS_AT_ONCE])
        statement = sa.update(outbox).where(mine, outbox.c.lease == lease).values(values)
        done += connection.execute(statement).rowcount
    return done


def _attempt_end(result: SendResult, then: NextAttempt, now: int) -> dict[str, object]:
    """What a row says after an attempt: how it ended, and what becomes of the message."""
    return {
        "state": then.state,
        "next_at": outbox.c.next_at if then.at is None else then.at,
        "settled_at": None if then.state == "waiting" else now,
        "uncertain": outbox.c.uncertain + int(result.outcome == "uncertain"),
        "lease": None,
        "leased_until": None,
        "last_status": result.status,
        "last_error": "" if result.outcome == "accepted" else result.detail[:500],
    }


def due_channels(connection: sa.Connection, now: int) -> tuple[str, ...]:
    """Channels that have a message whose time has come, by name."""
    c, found, name = outbox.c, list[str](), ""
    # The first of the next channel each time: channels are few, messages are many.
    query = sa.select(c.channel, c.next_at).order_by(c.channel, c.next_at, c.number).limit(1)
    while True:
        row = connection.execute(query.where(c.state == WAITING, c.channel > name)).first()
        if row is None:
            return tuple(found)
        name = row.channel
        if row.next_at <= now:
            found.append(name)


def dead_letters(connection: sa.Connection, *, limit: int = 1_000) -> tuple[DeadLetter, ...]:
    """Messages that were given up, newest first."""
    columns = [outbox.c[name] for name in DeadLetter.__slots__]
    query = sa.select(*columns).where(outbox.c.state == "dead").order_by(outbox.c.number.desc()).limit(limit)
    return tuple(DeadLetter(*row) for row in connection.execute(query))


def send_again(
    connection: sa.Connection,
    numbers: Sequence[int],
    now: int,
    *,
    give_up_seconds: float = GIVE_UP_SECONDS,
) -> int:
    """Let dead letters be tried anew, from the first attempt; returns how many.

    Args:
        connection: Of a transaction that writes.
        numbers: Which.
        now: Microseconds since the epoch.
        give_up_seconds: How long to try.

    Raises:
        NotFoundError: One of them is no dead letter; nothing was changed.
    """
    dead = _dead_of(connection, numbers)
    again = {"state": "waiting", "attempts": 0, "next_at": now, "settled_at": None}
    until = now + round(give_up_seconds * SECOND_US)
    return connection.execute(sa.update(outbox).where(dead).values(**again, give_up_at=until)).rowcount


def dismiss_dead_letters(connection: sa.Connection, numbers: Sequence[int], now: int) -> int:
    """Let nobody wait for dead letters any more: they are gone after 30 days; returns how many.

    Args:
        connection: Of a transaction that writes.
        numbers: Which.
        now: Microseconds since the epoch.

    Raises:
        NotFoundError: One of them is no dead letter; nothing was changed.
    """
    dead = _dead_of(connection, numbers)
    return connection.execute(sa.update(outbox).where(dead).values(state="replaced", settled_at=now)).rowcount


def _dead_of(connection: sa.Connection, numbers: Sequence[int]) -> sa.ColumnElement[bool]:
    """The condition of dead letters of these numbers, which all are."""
    dead = sa.and_(outbox.c.number.in_(numbers), outbox.c.state == "dead")
    found = set(connection.execute(sa.select(outbox.c.number).where(dead)).scalars())
    missing = sorted(set(numbers) - found)
    if missing:
        raise NotFoundError(
            f"There is no dead letter {missing[0]}.",
            hint="See: leadscore alerts dead-letters, or leadscore crm dead-letters.",
        )
    return dead


def backlogs(connection: sa.Connection, channel: str | None = None) -> tuple[ChannelBacklog, ...]:
    """How one channel does, or each that ever had a message, by name.

    By indexes: what waits is counted, what was settled is not read but for the first `DELIVERED_MOST`.
    """
    names = [name for name in _channels(connection) if channel in (None, name)]
    return tuple(ChannelBacklog(*connection.execute(backlog_of(name)).one()) for name in names)


def delivered_words(backlog: ChannelBacklog) -> str:
    """How many messages a channel has had, as people are told it."""
    counted = backlog.delivered < DELIVERED_MOST
    return str(backlog.delivered) if counted else f"at least {DELIVERED_MOST:,}"


def backlog_of(channel: str) -> sa.Select[str, int, int | None, int, int, int, str]:
    """What a `ChannelBacklog` says of one channel."""
    c = outbox.c

    def rows(state: sa.ColumnElement[str], *more: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
        return sa.and_(c.channel == channel, c.state == state, *more)

    some = sa.select(c.number).where(rows(_DELIVERED)).limit(DELIVERED_MOST).subquery()
    failed = sa.select(c.last_error).where(rows(WAITING, c.last_error != _NOTHING))
    return sa.select(
        sa.literal(channel),
        sa.select(sa.func.count()).where(rows(WAITING)).scalar_subquery(),
        sa.select(sa.func.min(c.created_at)).where(rows(WAITING)).scalar_subquery(),
        sa.select(sa.func.count()).where(rows(_DEAD)).scalar_subquery(),
        sa.select(sa.func.count()).select_from(some).scalar_subquery(),
        sa.select(sa.func.coalesce(sa.func.sum(c.uncertain), 0))
        .where(c.channel == channel, c.uncertain > _ZERO)
        .scalar_subquery(),
        sa.func.coalesce(failed.order_by(c.number).limit(1).scalar_subquery(), ""),
    )


def _channels(connection: sa.Connection) -> tuple[str, ...]:
    """Channels that ever had a message, by name."""
    found, name = list[str](), ""
    # One after the other, as in `due_channels`.
    query = sa.select(outbox.c.channel).order_by(outbox.c.channel).limit(1)
    while (row := connection.execute(query.where(outbox.c.channel > name)).first()) is not None:
        name = row.channel
        found.append(name)
    return tuple(found)


def prune(connection: sa.Connection, now: int) -> int:
    """Remove what was delivered or replaced more than 30 days ago; dead letters stay until a person acts."""
    old = sa.and_(
        outbox.c.state.in_(("delivered", "replaced")),
        outbox.c.settled_at < now - round(_KEEP_SECONDS * SECOND_US),
    )
    return connection.execute(sa.delete(outbox).where(old)).rowcount
