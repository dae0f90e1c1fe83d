"""The outbox's rows on both databases."""

from __future__ import annotations

import threading

import pytest

from leadscore.errors import NotFoundError
from leadscore.events.store import EventStore
from leadscore.outbox.attempts import NextAttempt, SendResult
from leadscore.outbox.queue import (
    LEASE_SECONDS,
    OutboxMessage,
    backlogs,
    claim_due,
    dead_letters,
    enqueue,
    prune,
    send_again,
    settle_claims,
)
from leadscore.outbox.worker import deliver_due

US = 1_000_000
NOW = 1_800_000_000 * US
DAY = 86_400 * US
ACCEPTED = (SendResult("accepted", ""), NextAttempt("delivered"))


def message(number: int, *, stream: str = "s", channel: str = "c") -> OutboxMessage:
    return OutboxMessage(f"m-{number}", channel, stream, f'{{"n":{number}}}')


def put(store: EventStore, *messages: OutboxMessage, replace: bool = False, now: int = NOW) -> int:
    with store.writing() as connection:
        return enqueue(connection, messages, now, replace_waiting=replace)


class Says:
    """A sender that answers as it is told, and remembers what it was given."""

    def __init__(self, *results: SendResult, pace_seconds: float = 0.0) -> None:
        self.pace_seconds = pace_seconds
        self._results = list(results)
        self.given: list[str] = []

    def send(self, message: OutboxMessage) -> SendResult:
        self.given.append(message.message_id)
        return self._results.pop(0) if self._results else SendResult("accepted", "")


def test_the_same_message_put_in_twice_is_one(store: EventStore) -> None:
    assert put(store, message(1), message(1), message(1, channel="other")) == 2
    assert put(store, message(1)) == 0
    sender = Says()
    deliver_due(store, "c", sender, now=lambda: NOW)
    assert put(store, message(1)) == 0
    deliver_due(store, "c", sender, now=lambda: NOW)
    assert sender.given == ["m-1"]


def test_a_stream_keeps_its_order_while_other_streams_go_on(store: EventStore) -> None:
    put(store, message(1), message(2), message(3, stream="other"))
    sender = Says(SendResult("failed", "HTTP 500"))
    deliver_due(store, "c", sender, now=lambda: NOW, chance=lambda: 1.0)
    assert sender.given == ["m-1", "m-3"]
    deliver_due(store, "c", sender, now=lambda: NOW + 6 * US)
    assert sender.given == ["m-1", "m-3", "m-1", "m-2"]


def test_the_newest_replaces_what_waits_but_not_what_is_being_sent(store: EventStore) -> None:
    put(store, message(1))
    with store.writing() as connection:
        (held,) = claim_due(connection, "c", NOW)
    put(store, message(2), replace=True)
    put(store, message(3), replace=True)
    with store.writing() as connection:
        assert settle_claims(connection, [(held, *ACCEPTED)], NOW) == 1
    sender = Says()
    deliver_due(store, "c", sender, now=lambda: NOW)
    assert sender.given == ["m-3"]


def test_a_lost_lease_settles_nothing(store: EventStore) -> None:
    put(store, message(1))
    with store.writing() as connection:
        (first,) = claim_due(connection, "c", NOW)
    later = NOW + round(LEASE_SECONDS * US)
    with store.writing() as connection:
        assert claim_due(connection, "c", later - 1) == ()
        (second,) = claim_due(connection, "c", later)
    assert second.attempt == 2
    with store.writing() as connection:
        refused = (SendResult("refused", ""), NextAttempt("dead"))
        assert settle_claims(connection, [(first, *refused)], later) == 0
        assert settle_claims(connection, [(second, *ACCEPTED)], later) == 1
    with store.reading() as connection:
        (found,) = backlogs(connection)
    assert (found.delivered, found.dead, found.uncertain) == (1, 0, 1)


def test_dead_letters_are_seen_and_sent_again(store: EventStore) -> None:
    put(store, message(1), message(2))
    sender = Says(SendResult("refused", "HTTP 400", 400))
    deliver_due(store, "c", sender, now=lambda: NOW)
    with store.reading() as connection:
        (dead,) = dead_letters(connection)
    assert (dead.message_id, dead.attempts, dead.last_error) == ("m-1", 1, "HTTP 400")
    with pytest.raises(NotFoundError, match="no dead letter"), store.writing() as connection:
        send_again(connection, [dead.number, 10_000], NOW)
    with store.writing() as connection:
        assert send_again(connection, [dead.number], NOW) == 1
    deliver_due(store, "c", sender, now=lambda: NOW)
    assert sender.given == ["m-1", "m-2", "m-1"]
    with store.reading() as connection:
        assert dead_letters(connection) == ()


def test_a_channel_has_its_pace(store: EventStore) -> None:
    put(store, *(message(n, stream=str(n)) for n in range(3)))
    sender = Says(pace_seconds=1.0)
    for moment in (0, 0.5, 1.0, 1.5, 2.0):
        deliver_due(store, "c", sender, now=lambda at=moment: NOW + round(at * US))
    assert len(sender.given) == 3
    assert deliver_due(store, "c", Says(), now=lambda: NOW + 10 * US).delivered == 0


def test_two_workers_share_a_channel_without_taking_anything_twice(store: EventStore) -> None:
    put(store, *(message(n, stream=str(n)) for n in range(60)))
    senders = [Says(), Says()]
    threads = [
        threading.Thread(target=deliver_due, args=(store, "c", s), kwargs={"now": lambda: NOW})
        for s in senders
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    given = [each for sender in senders for each in sender.given]
    assert len(given) == len(set(given)) == 60


def test_what_was_delivered_goes_after_a_month_and_dead_letters_stay(store: EventStore) -> None:
    put(store, message(1), message(2, stream="t"))
    deliver_due(store, "c", Says(SendResult("refused", "")), now=lambda: NOW)
    with store.writing() as connection:
        assert prune(connection, NOW + 30 * DAY) == 0
        assert prune(connection, NOW + 31 * DAY) == 1
        assert len(dead_letters(connection)) == 1
