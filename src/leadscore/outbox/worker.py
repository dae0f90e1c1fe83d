"""Delivering what is due: claim, send, settle; claims and settlements are transactions of their own."""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Protocol

import sqlalchemy as sa

from leadscore.events.records import now_us
from leadscore.events.store import EventStore
from leadscore.outbox.attempts import NextAttempt, SendResult, next_attempt
from leadscore.outbox.queue import (
    LEASE_SECONDS,
    MessageClaim,
    OutboxMessage,
    SettledAttempt,
    claim_due,
    give_back,
    settle_claims,
)
from leadscore.outbox.tables import SECOND_US

_log = logging.getLogger(__name__)
# A round ends some time, so that whoever runs it can look at other things.
_MESSAGES: Final = 100
# After so long no further message of a page is begun: the lease lasts until the last one's end.
_SENDING_SECONDS: Final = LEASE_SECONDS / 2
_SUPERSEDED: Final = SendResult("accepted", "the receiver has what is newer")

MessageEnd = tuple[OutboxMessage, SendResult]
"""A message and how an attempt at it ended."""


class Sender(Protocol):
    """One way to reach a receiver."""

    @property
    def pace_seconds(self) -> float:
        """Shortest time between two attempts; 0 for none."""
        ...

    def send(self, message: OutboxMessage) -> SendResult:
        """Try once; never raises for what the receiver or the network does."""
        ...


class DeliveryGuard(Protocol):
    """What a channel's owner keeps beside the outbox, in its transactions."""

    def stale(self, connection: sa.Connection, messages: Sequence[OutboxMessage]) -> Collection[str]:
        """Ids of messages that are not to be sent any more, asked in the transaction that claims them."""
        ...

    def note(self, connection: sa.Connection, ends: Sequence[MessageEnd], now: int) -> None:
        """Keep how attempts ended, in the transaction that settles them."""
        ...


@dataclass(frozen=True, slots=True)
class DeliveryRound:
    """What became of the messages of one channel in one round."""

    delivered: int = 0
    waiting: int = 0
    dead: int = 0


def deliver_due(
    store: EventStore,
    channel: str,
    sender: Sender,
    *,
    now: Callable[[], int] = now_us,
    chance: Callable[[], float] = random.random,
    guard: DeliveryGuard | None = None,
    most: int = _MESSAGES,
    page: int = 1,
    at_once: int = 1,
) -> DeliveryRound:
    """Send what is due for one channel.

    Args:
        store: Whose database holds the outbox.
        channel: Name in the rows.
        sender: How to reach it.
        now: Microseconds since the epoch.
        chance: Uniform in 0 … 1.
        guard: Asked before and told after each attempt.
        most: Messages of a round.
        page: Messages that are claimed and settled together: what a killed process leaves unknown. One that
            fails ends its page, and what was not sent is given back.
        at_once: Messages under way at the same time, of different streams; once the first of a page arrived.

    Raises:
        StoreUnavailableError: The outbox cannot be read or written; a message that was sent meanwhile is
            tried again when its lease has ended.
    """
    counts: Counter[str] = Counter()
    with ThreadPoolExecutor(at_once, thread_name_prefix="send") as threads:
        while counts.total() < most:
            at = now()
            with store.writing() as connection:
                wanted = min(page, most - counts.total())
                claims = claim_due(connection, channel, at, most=wanted, pace_seconds=sender.pace_seconds)
                stale = guard.stale(connection, [c.message for c in claims]) if guard and claims else ()
                old = [claim for claim in claims if claim.message.message_id in stale]
                settle_claims(connection, [(c, _SUPERSEDED, NextAttempt("replaced")) for c in old], now())
            if not claims:
                break
            fresh = [claim for claim in claims if claim.message.message_id not in stale]
            counts["replaced"] += len(old)
            if fresh:
                until = at + round(_SENDING_SECONDS * SECOND_US)
                results = _send_page(sender, fresh, threads, at_once, lambda until=until: now() < until)
                ends = _settle_page(store, fresh, results, guard, now(), chance)
                counts.update(then.state for _, _, then in ends)
    return DeliveryRound(counts["delivered"], counts["waiting"], counts["dead"])


def _send_page(
    sender: Sender,
    claims: Sequence[MessageClaim],
    threads: ThreadPoolExecutor,
    at_once: int,
    in_time: Callable[[], bool],
) -> list[SendResult]:
    """How attempts at the first of a page's messages ended; the rest is not to be sent now."""
    # The first goes alone: a receiver that is away is asked once.
    results = [sender.send(claims[0].message)]
    while (
        len(results) < len(claims) and in_time() and all(r.outcome == "accepted" for r in results[-at_once:])
    ):
        group = claims[len(results) : len(results) + at_once]
        results += threads.map(sender.send, [claim.message for claim in group])
    return results


def _settle_page(
    store: EventStore,
    claims: Sequence[MessageClaim],
    results: Sequence[SendResult],
    guard: DeliveryGuard | None,
    at: int,
    chance: Callable[[], float],
) -> list[SettledAttempt]:
    ends = [
        (c, result, next_attempt(result, c.attempt, at, give_up_at=c.give_up_at, chance=chance()))
        for c, result in zip(claims, results, strict=False)
    ]
    with store.writing() as connection:
        ours = settle_claims(connection, ends, at)
        give_back(connection, claims[len(ends) :])
        if guard is not None:
            guard.note(connection, [(claim.message, result) for claim, result, _ in ends], at)
    for claim, result, then in ends:
        if then.state != "delivered":
            fields = {
                "channel": claim.message.channel, "message": claim.message.message_id,
                "attempt": claim.attempt, "outcome": result.outcome, "detail": result.detail,
                "state": then.state,
            }  # fmt: skip
            _log.warning("message not delivered", extra={"fields": fields})
    if ours < len(ends):
        lost = {"channel": claims[0].message.channel, "messages": len(ends) - ours}
        _log.warning("leases ended before their messages were settled", extra={"fields": lost})
    return ends


class ChannelPool:
    """Threads that deliver, one for a channel at a time: a slow one holds up no other.

    Args:
        threads: Channels at once.
    """

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="deliver")
        self._running: dict[str, Future[DeliveryRound]] = {}

    def run(self, channel: str, work: Callable[[], DeliveryRound]) -> None:
        """Begin a round for a channel, unless one is under way."""
        running = self._running.get(channel)
        if running is None or running.done():
            self._running[channel] = self._pool.submit(work)

    def collect(self) -> None:
        """Forget the rounds that have ended; raises what one of them did."""
        for channel, future in tuple(self._running.items()):
            if future.done():
                del self._running[channel]
                future.result()

    def close(self) -> None:
        """Wait for what is being sent just now."""
        self._pool.shutdown(wait=True)
