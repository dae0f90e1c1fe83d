"""Batches of the outbox's rows on both databases."""

from __future__ import annotations

import threading

from leadscore.events.store import EventStore
from leadscore.outbox.attempts import NextAttempt, SendResult
from leadscore.outbox.batches import (
    NEAR_SECONDS,
    claims_of,
    count_due,
    extend_lease,
    take_turn,
)
from leadscore.outbox.queue import (
    MessageClaim,
    OutboxMessage,
    backlogs,
    claim_due,
    dead_letters,
    enqueue,
    hold_channel,
    settle_claims,
)

US = 1_000_000
NOW = 1_800_000_000 * US
ACCEPTED = (SendResult("accepted", ""), NextAttempt("delivered"))


def put(store: EventStore, *streams: str, now: int = NOW) -> None:
    messages = [OutboxMessage(f"m-{s}-{n}-{now}", "c", s, "{}") for n, s in enumerate(streams)]
    with store.writing() as connection:
        enqueue(connection, messages, now)


def claim(
    store: EventStore, most: int = 100, *, now: int = NOW, lease: float = 60.0
) -> tuple[MessageClaim, ...]:
    with store.writing() as connection:
        return claim_due(connection, "c", now, most=most, lease_seconds=lease, near_seconds=NEAR_SECONDS)


def test_the_first_of_each_stream_is_claimed_and_the_next_waits_for_it(store: EventStore) -> None:
    put(store, "a", "a", "b", "c", "b")
    found = claim(store)
    assert [each.message.stream for each in found] == ["a", "b", "c"]
    assert claim(store) == ()
    with store.writing() as connection:
        assert settle_claims(connection, [(each, *ACCEPTED) for each in found], NOW) == 3
    assert [each.message.stream for each in claim(store)] == ["a", "b"]


def test_each_of_a_batch_ends_in_its_own_way(store: EventStore) -> None:
    put(store, *(f"s{n:04d}" for n in range(2_000)))
    found = claim(store, 1_500)
    assert len(found) == 1_500
    refused = (SendResult("refused", "gone", 200), NextAttempt("dead"))
    again = (SendResult("uncertain", "no answer"), NextAttempt("waiting", NOW + 5 * US, NOW + 3 * US))
    ends = [(each, *(refused if n == 7 else again if n < 5 else ACCEPTED)) for n, each in enumerate(found)]
    with store.writing() as connection:
        assert settle_claims(connection, ends, NOW) == 1_500
    with store.reading() as connection:
        (state,) = backlogs(connection)
        (dead,) = dead_letters(connection)
        assert count_due(connection, "c", NOW, 1_000) == 500
        assert count_due(connection, "c", NOW, 100) == 100
    assert (state.waiting, state.delivered, state.dead, state.uncertain) == (505, 1_494, 1, 5)
    assert (dead.stream, dead.last_error) == ("s0007", "gone")
    assert claim(store, now=NOW) == (), "the channel asked to be left alone"
    assert len(claim(store, 2_000, now=NOW + 5 * US)) == 505


def test_a_lease_that_ended_is_anybodys_and_counts_as_uncertain(store: EventStore) -> None:
    put(store, "a", "b")
    first = claim(store, lease=60.0)
    with store.writing() as connection:
        extend_lease(connection, "c", first[0].lease, NOW + 90 * US)
    assert claim(store, now=NOW + 61 * US) == ()
    second = claim(store, now=NOW + 91 * US)
    assert [each.attempt for each in second] == [2, 2]
    with store.writing() as connection:
        assert claims_of(connection, "c", first[0].lease) == ()
        assert len(claims_of(connection, "c", second[0].lease)) == 2
        assert settle_claims(connection, [(each, *ACCEPTED) for each in first], NOW) == 0
        assert settle_claims(connection, [(each, *ACCEPTED) for each in second], NOW) == 2
    with store.reading() as connection:
        assert backlogs(connection)[0].uncertain == 2


def test_turns_are_shared_and_a_channel_that_is_held_is_left_alone(store: EventStore) -> None:
    def turn(now: int) -> float:
        with store.writing() as connection:
            return (take_turn(connection, "c", now, 0.5) - NOW) / US

    assert [turn(NOW) for _ in range(4)] == [0.0, 0.5, 1.0, 1.5]
    assert turn(NOW + 10 * US) == 10.0
    with store.writing() as connection:
        hold_channel(connection, "c", NOW + 60 * US, "asked")
    assert turn(NOW + 11 * US) == turn(NOW + 11 * US) == 60.0
    put(store, "a")
    assert claim(store, now=NOW + 11 * US) == ()
    assert len(claim(store, now=NOW + round((60 - NEAR_SECONDS) * US))) == 1


def test_several_processes_never_claim_the_same(store: EventStore) -> None:
    put(store, *(f"s{n}" for n in range(400)))
    found: list[int] = []
    lock = threading.Lock()

    def work() -> None:
        while batch := claim(store, 30):
            with lock:
                found.extend(each.number for each in batch)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == len(set(found)) == 400
