"""Delivering what is due: claim, send, settle, each claim and settlement a transaction of its own."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from leadscore.events.records import now_us
from leadscore.events.store import EventStore
from leadscore.outbox.attempts import SendResult, next_attempt
from leadscore.outbox.queue import OutboxMessage, claim_next, settle

_log = logging.getLogger(__name__)
# A round ends some time, so that whoever runs it can look at other things.
_AT_ONCE: Final = 100


class Sender(Protocol):
    """One way to reach a receiver."""

    @property
    def pace_seconds(self) -> float:
        """Shortest time between two attempts; 0 for none."""
        ...

    def send(self, message: OutboxMessage) -> SendResult:
        """Try once; never raises for what the receiver or the network does."""
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
) -> DeliveryRound:
    """Send what is due for one channel, message by message.

    Args:
        store: Whose database holds the outbox.
        channel: Name in the rows.
        sender: How to reach it.
        now: Microseconds since the epoch.
        chance: Uniform in 0 … 1.

    Raises:
        StoreUnavailableError: The outbox cannot be read or written; a message that was sent meanwhile is
            tried again when its lease has ended.
    """
    counts = {"delivered": 0, "waiting": 0, "dead": 0, "replaced": 0}
    for _ in range(_AT_ONCE):
        with store.writing() as connection:
            claim = claim_next(connection, channel, now(), pace_seconds=sender.pace_seconds)
        if claim is None:
            break
        result = sender.send(claim.message)
        at = now()
        then = next_attempt(result, claim.attempt, at, give_up_at=claim.give_up_at, chance=chance())
        with store.writing() as connection:
            ours = settle(connection, claim, result, then, at)
        counts[then.state] += 1
        if then.state != "delivered" or not ours:
            fields = {
                "channel": channel, "message": claim.message.message_id, "attempt": claim.attempt,
                "outcome": result.outcome, "detail": result.detail, "state": then.state, "lease_held": ours,
            }  # fmt: skip
            _log.warning("message not delivered", extra={"fields": fields})
    return DeliveryRound(counts["delivered"], counts["waiting"], counts["dead"])
