"""Delivering what is due: claim, send, settle, each claim and settlement a transaction of its own."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Protocol

import sqlalchemy as sa

from leadscore.events.records import now_us
from leadscore.events.store import EventStore
from leadscore.outbox.attempts import NextAttempt, SendResult, next_attempt
from leadscore.outbox.queue import OutboxMessage, claim_next, settle

_log = logging.getLogger(__name__)
# A round ends some time, so that whoever runs it can look at other things.
_AT_ONCE: Final = 100
_SUPERSEDED: Final = SendResult("accepted", "the receiver has what is newer")


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

    def passes(self, connection: sa.Connection, message: OutboxMessage) -> bool:
        """Whether a message is still to be sent, asked in the transaction that claims it."""
        ...

    def note(self, connection: sa.Connection, message: OutboxMessage, result: SendResult, now: int) -> None:
        """Keep how an attempt ended, in the transaction that settles it."""
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
    most: int = _AT_ONCE,
) -> DeliveryRound:
    """Send what is due for one channel, message by message.

    Args:
        store: Whose database holds the outbox.
        channel: Name in the rows.
        sender: How to reach it.
        now: Microseconds since the epoch.
        chance: Uniform in 0 … 1.
        guard: Asked before and told after each attempt.
        most: Messages of a round.

    Raises:
        StoreUnavailableError: The outbox cannot be read or written; a message that was sent meanwhile is
            tried again when its lease has ended.
    """
    counts = {"delivered": 0, "waiting": 0, "dead": 0, "replaced": 0}
    for _ in range(most):
        with store.writing() as connection:
            claim = claim_next(connection, channel, now(), pace_seconds=sender.pace_seconds)
            passed = claim is None or guard is None or guard.passes(connection, claim.message)
            if claim is not None and not passed:
                settle(connection, claim, _SUPERSEDED, NextAttempt("replaced"), now())
        if claim is None:
            break
        if not passed:
            counts["replaced"] += 1
            continue
        result = sender.send(claim.message)
        at = now()
        then = next_attempt(result, claim.attempt, at, give_up_at=claim.give_up_at, chance=chance())
        with store.writing() as connection:
            ours = settle(connection, claim, result, then, at)
            if guard is not None:
                guard.note(connection, claim.message, result, at)
        counts[then.state] += 1
        if then.state != "delivered" or not ours:
            fields = {
                "channel": channel, "message": claim.message.message_id, "attempt": claim.attempt,
                "outcome": result.outcome, "detail": result.detail, "state": then.state, "lease_held": ours,
            }  # fmt: skip
            _log.warning("message not delivered", extra={"fields": fields})
    return DeliveryRound(counts["delivered"], counts["waiting"], counts["dead"])


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
