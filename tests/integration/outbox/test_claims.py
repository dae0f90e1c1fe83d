"""What a claim reads, and what becomes of a page of messages that is sent together."""

from __future__ import annotations

import threading

import pytest
import sqlalchemy as sa

from leadscore.events.store import EventStore
from leadscore.outbox import queue
from leadscore.outbox.attempts import SendResult
from leadscore.outbox.queue import (
    LEASE_SECONDS,
    ChannelBacklog,
    OutboxMessage,
    backlog_of,
    backlogs,
    claim_due,
    due_channels,
    due_messages,
    enqueue,
    give_back,
    hold_channel,
    read_holds,
)
from leadscore.outbox.tables import outbox
from leadscore.outbox.worker import DeliveryRound, deliver_due

US = 1_000_000
NOW = 1_800_000_000 * US
BACKLOG = 5_000


class Receiver:
    """Takes everything but the streams that it refuses for now, and keeps what it was sent."""

    pace_seconds = 0.0

    def __init__(self, *failing: str) -> None:
        self.failing = set(failing)
        self.got: list[str] = []
        self._lock = threading.Lock()

    def send(self, message: OutboxMessage) -> SendResult:
        with self._lock:
            self.got.append(message.stream)
        failed = message.stream in self.failing
        return SendResult("failed", "HTTP 500", 500) if failed else SendResult("accepted", "")


def put(store: EventStore, streams: range, *, channel: str = "c", now: int = NOW) -> None:
    messages = [OutboxMessage(f"m-{channel}-{n}", channel, f"s{n}", "{}") for n in streams]
    with store.writing() as connection:
        enqueue(connection, messages, now)


def plan(connection: sa.Connection, query: sa.Select[tuple[object, ...]]) -> str:
    """How the database would carry a query out, a step a line."""
    said = str(query.compile(connection.engine, compile_kwargs={"literal_binds": True}))
    postgres = connection.dialect.name == "postgresql"
    rows = connection.exec_driver_sql(("EXPLAIN " if postgres else "EXPLAIN QUERY PLAN ") + said)
    return "\n".join(str(row[-1]) for row in rows)


def test_a_claim_follows_an_index_and_sorts_nothing(store: EventStore) -> None:
    put(store, range(BACKLOG))
    put(store, range(BACKLOG), channel="other")
    plans: list[str] = []
    # As the database plans before it has looked at a table that has just been filled, and after.
    for looked in (False, True):
        with store.writing() as connection:
            if looked:
                connection.exec_driver_sql("ANALYZE")
            plans += [plan(connection, due_messages("c", NOW, most)) for most in (1, 64)]
    for each in plans:
        assert "outbox_due" in each, each
        assert "outbox_waiting" in each, each
        for slow in ("Sort", "Hash", "Seq Scan", "TEMP B-TREE", "SCAN outbox\n"):
            assert slow not in each, each


def test_backlogs_are_counted_by_indexes(store: EventStore) -> None:
    put(store, range(BACKLOG))
    put(store, range(BACKLOG), channel="other")
    with store.writing() as connection:
        connection.execute(sa.update(outbox).where(outbox.c.number % 3 > 0).values(state="delivered"))
        connection.exec_driver_sql("ANALYZE")
        counted = plan(connection, backlog_of("c"))
    assert "Seq Scan" not in counted, counted
    assert "SCAN outbox" not in counted, counted
    assert counted.count("outbox_states") >= 4, counted
    assert "outbox_uncertain" in counted, counted
    assert "outbox_failed" in counted, counted


def test_backlogs_are_what_a_look_at_every_row_says(
    store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "DELIVERED_MOST", 5)
    states = ("waiting", "delivered", "dead", "replaced")
    for place, channel in enumerate(("a", "b", "c")):
        put(store, range(40), channel=channel, now=NOW + place)
    with store.writing() as connection:
        for number in connection.execute(sa.select(outbox.c.number)).scalars().all():
            values = {
                "state": states[number % (2 if number < 50 else 4)],
                "uncertain": number % 3,
                "last_error": f"error {number}" if number % 5 == 1 else "",
                "created_at": NOW + (number * 37) % 100,
            }
            connection.execute(sa.update(outbox).where(outbox.c.number == number).values(values))
        rows = connection.execute(sa.select(outbox).order_by(outbox.c.number)).all()
        found = backlogs(connection)
        assert backlogs(connection, "b") == (found[1],)
        assert backlogs(connection, "nobody") == ()
    for each, channel in zip(found, ("a", "b", "c"), strict=True):
        ours = [row for row in rows if row.channel == channel]
        waiting = [row for row in ours if row.state == "waiting"]
        assert each == ChannelBacklog(
            channel=channel,
            waiting=len(waiting),
            oldest_at=min((row.created_at for row in waiting), default=None),
            dead=sum(row.state == "dead" for row in ours),
            delivered=min(5, sum(row.state == "delivered" for row in ours)),
            uncertain=sum(row.uncertain for row in ours),
            last_error=next((row.last_error for row in waiting if row.last_error), ""),
        )


def test_channels_that_are_due_are_found_one_after_the_other(store: EventStore) -> None:
    put(store, range(3), channel="b")
    put(store, range(3), channel="a")
    put(store, range(3), channel="later", now=NOW + US)
    with store.reading() as connection:
        assert due_channels(connection, NOW) == ("a", "b")
        assert due_channels(connection, NOW + US) == ("a", "b", "later")
        assert due_channels(connection, NOW - 1) == ()


def test_a_page_ends_with_the_first_failure_and_the_rest_is_as_if_it_had_not_been_claimed(
    store: EventStore,
) -> None:
    put(store, range(20))
    away = Receiver(*(f"s{n}" for n in range(20)))
    assert deliver_due(store, "c", away, now=lambda: NOW, most=1, page=8, at_once=4).waiting == 1
    assert away.got == ["s0"], "a receiver that is away is asked once a page"
    with store.reading() as connection:
        attempts = sa.select(outbox.c.attempts, outbox.c.lease).order_by(outbox.c.number)
        assert connection.execute(attempts).all() == [(1, None), *[(0, None)] * 19]
    one_bad = Receiver("s5")
    found = deliver_due(store, "c", one_bad, now=lambda: NOW, page=8, at_once=4)
    assert found == DeliveryRound(delivered=18, waiting=1)
    assert len(one_bad.got) == len(set(one_bad.got)) == 19
    with store.reading() as connection:
        assert (backlogs(connection)[0].waiting, backlogs(connection)[0].uncertain) == (2, 0)


def test_no_message_is_begun_when_the_lease_of_its_page_may_end_under_it(store: EventStore) -> None:
    put(store, range(8))
    clock = iter(NOW + n * 10 * US for n in range(100))
    slow = Receiver()
    deliver_due(store, "c", slow, now=lambda: next(clock), page=8, most=3)
    assert LEASE_SECONDS == 60.0
    assert len(slow.got) == 3
    with store.reading() as connection:
        leased = sa.select(sa.func.count()).where(outbox.c.lease.is_not(None))
        assert connection.execute(leased).scalar_one() == 0


def test_what_somebody_else_has_claimed_meanwhile_is_not_given_back(store: EventStore) -> None:
    put(store, range(2))
    later = NOW + round(LEASE_SECONDS * US)
    with store.writing() as connection:
        first = claim_due(connection, "c", NOW, most=2)
        second = claim_due(connection, "c", later, most=2)
        give_back(connection, first)
        assert claim_due(connection, "c", later, most=2) == ()
        give_back(connection, second)
        assert [each.attempt for each in claim_due(connection, "c", later, most=2)] == [2, 2]


def test_a_hold_says_until_when_and_why_and_a_pace_is_none(store: EventStore) -> None:
    with store.writing() as connection:
        hold_channel(connection, "asked", NOW + 60 * US, "HTTP 429")
        claim_due(connection, "paced", NOW, pace_seconds=5.0)
        assert read_holds(connection, NOW) == {"asked": (NOW + 60 * US, "HTTP 429")}
        assert read_holds(connection, NOW + 60 * US) == {}
