"""The proxy against a real PostgreSQL: each fault does what it says, once.

A lost acknowledgement loses no commit.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import psycopg
import pytest
from tests.faults.harness.calls import Point
from tests.faults.harness.database import DatabaseProxy
from tests.faults.harness.faults import Answer, Cut, Fault, Kill, LostReply
from tests.faults.operating import databases
from tests.support.postgres import PostgresServer

from leadscore.events import engine
from leadscore.events.errors import StoreUnavailableError
from leadscore.events.records import Evidence
from leadscore.events.store import EventStore

pytestmark = pytest.mark.xdist_group("faults")
CONNECT, COMMIT = Point("connect sessions.store", 1), Point("commit evidence/gate.store", 1)
INSERT = Point("insert evidence/gate.store", 1)
JUDGED = Evidence("gate-1", "gate", "leads/2", 1, "{}")
names = itertools.count(1)
Opened = Callable[..., tuple[DatabaseProxy, EventStore, EventStore]]


@pytest.fixture
def opened(database: PostgresServer) -> Iterator[Opened]:
    """A proxy with faults, an operator's store through it, and the same store past it, its schema made."""
    with ExitStack() as stack:

        def start(
            *faults: Fault, kill: Callable[[str], None] = lambda _: None, answer_seconds: float = 1.0
        ) -> tuple[DatabaseProxy, EventStore, EventStore]:
            name = f"proxy-{next(names)}"
            (server,) = stack.enter_context(databases.fresh(name))
            past = stack.enter_context(EventStore(databases.url(f"127.0.0.1:{database.port}", name)))
            past.counts()
            proxy = DatabaseProxy(server, ["a"], kill=kill)
            stack.callback(proxy.close)
            proxy.ledger.arm(faults)
            address = databases.url(proxy.addresses["a"], name)
            through = stack.enter_context(EventStore(address, answer_seconds=answer_seconds))
            return proxy, through, past

        yield start


def stored(store: EventStore) -> list[str]:
    return [record.evidence_id for record in store.evidence(kind="gate")]


def test_without_faults_everything_goes_through_and_is_counted(opened: Opened) -> None:
    proxy, through, past = opened()
    assert through.record(JUDGED)
    assert stored(through) == stored(past) == ["gate-1"]
    found = {entry.point.signature: entry.status for entry in proxy.ledger.log}
    assert found["commit evidence/gate.store"] == found["read evidence/gate.store"] == 200
    assert all(entry.delivered for entry in proxy.ledger.log)


@pytest.mark.parametrize("how", ["reset", "hang"])
def test_a_lost_acknowledgement_hides_a_commit_that_was_done(opened: Opened, how: str) -> None:
    proxy, through, past = opened(LostReply(COMMIT, how))
    with pytest.raises(StoreUnavailableError):
        through.record(JUDGED)
    assert stored(past) == ["gate-1"]
    assert proxy.ledger.hit == {LostReply(COMMIT, how)}
    assert not through.record(JUDGED), "the same record again is the same record"


def test_killed_after_a_commit_it_is_done_and_killed_before_it_is_not(opened: Opened) -> None:
    for when, expected in (("after", ["gate-1"]), ("before", list[str]())):
        killed: list[str] = []
        _, through, past = opened(Kill(COMMIT, when), kill=killed.append)
        with pytest.raises(StoreUnavailableError):
            through.record(JUDGED)
        assert (killed, stored(past)) == (["a"], expected)


@pytest.mark.parametrize("fault", [Cut(COMMIT), Answer(COMMIT, "57P01"), Answer(INSERT, "25006")])
def test_what_the_server_has_not_seen_is_not_done_and_done_the_next_time(
    opened: Opened, fault: Fault
) -> None:
    proxy, through, past = opened(fault)
    with pytest.raises(StoreUnavailableError):
        through.record(JUDGED)
    assert stored(past) == []
    assert through.record(JUDGED)
    assert stored(through) == ["gate-1"]
    assert proxy.ledger.hit == {fault}


def test_a_session_that_was_lost_in_a_transaction_does_not_hold_its_record_for_ever(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_IDLE_WRITER_SECONDS", 1)
    # The server does not know that this writer is gone, and keeps what it has inserted from everybody else.
    _, through, past = opened(LostReply(INSERT, "hang"))
    with pytest.raises(StoreUnavailableError):
        through.record(JUDGED)
    assert past.record(JUDGED), "it came free, and nothing had been committed"


def test_a_login_that_is_refused_is_said_and_taken_up_again_when_it_is_fixed(opened: Opened) -> None:
    _, through, _ = opened(Answer(CONNECT, "28P01", times=2))
    for _ in range(2):
        with pytest.raises(StoreUnavailableError, match="password authentication failed"):
            through.record(JUDGED)
    assert through.record(JUDGED)


def test_a_server_that_is_away_takes_no_connection_until_it_is_back(opened: Opened) -> None:
    proxy, through, _ = opened()
    assert through.record(JUDGED)
    proxy.ledger.leave(3600)
    for _ in range(3):
        with pytest.raises(StoreUnavailableError):
            stored(through)
    proxy.ledger.arm(())
    assert stored(through) == ["gate-1"]


def test_two_clients_are_told_apart(database: PostgresServer) -> None:
    killed: list[str] = []
    with databases.fresh("proxy-two") as (server,):
        proxy = DatabaseProxy(server, ["a", "b"], kill=killed.append)
        proxy.ledger.arm([Kill(Point("connect sessions.store", 2), "before")])
        try:
            with psycopg.connect(databases.url(proxy.addresses["a"], "proxy-two")):
                pass
            with pytest.raises(psycopg.OperationalError):
                psycopg.connect(databases.url(proxy.addresses["b"], "proxy-two"))
        finally:
            proxy.close()
    assert killed == ["b"]
    assert database.port == server.port
