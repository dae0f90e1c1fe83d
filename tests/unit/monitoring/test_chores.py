"""Chores go on whatever happens to them, and only while the lease is held."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.waiting import wait_until

from leadscore.events.store import EventStore
from leadscore.monitoring.chores import Chore, ChoreKeeper
from leadscore.monitoring.lease import LeaseLostError, StoreLease


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EventStore]:
    with EventStore(f"sqlite:///{tmp_path / 'events.db'}") as opened:
        yield opened


def keep(keeper: ChoreKeeper) -> Callable[[], None]:
    keeper.start()
    thread = threading.Thread(target=keeper.keep_lease)
    thread.start()

    def stop() -> None:
        keeper.stopping.set()
        thread.join()

    return stop


def test_a_chore_that_fails_is_counted_and_done_again(store: EventStore) -> None:
    answers = iter([ValueError("no"), ValueError("no"), None])

    def run() -> None:
        answer = next(answers, None)
        if answer is not None:
            raise answer

    keeper = ChoreKeeper(StoreLease(store, "x", "me"), [Chore("it", run, 0.001)])
    stop = keep(keeper)
    wait_until(lambda: keeper.states[1].rounds >= 1, what="a good round")
    stop()
    state = keeper.states[1]
    assert (state.failures, state.failing, state.error) == (2, 0, "")


def test_one_chore_that_hangs_stops_no_other(store: EventStore) -> None:
    go_on = threading.Event()
    rounds: list[int] = []
    chores = [Chore("hangs", go_on.wait, 0.001), Chore("works", lambda: rounds.append(1), 0.001)]
    keeper = ChoreKeeper(StoreLease(store, "x", "me"), chores)
    stop = keep(keeper)
    wait_until(lambda: len(rounds) > 5, what="rounds of the other")
    go_on.set()
    stop()


def test_of_two_keepers_one_works_and_the_other_follows_when_it_stops(store: EventStore) -> None:
    done: list[str] = []
    keepers = {
        name: ChoreKeeper(
            StoreLease(store, "x", name, seconds=2), [Chore("it", lambda name=name: done.append(name), 0.01)]
        )
        for name in ("first", "second")
    }
    stop_first = keep(keepers["first"])
    wait_until(lambda: "first" in done, what="the first at work")
    stop_second = keep(keepers["second"])
    wait_until(lambda: not keepers["second"].silence, what="the second's attempt")
    assert "second" not in done
    stop_first()
    wait_until(lambda: "second" in done, what="the second at work")
    assert "first" not in done[done.index("second") :]
    stop_second()


def test_a_lease_that_ran_out_is_taken_and_its_holder_writes_nothing(store: EventStore) -> None:
    slow, quick = StoreLease(store, "x", "slow", seconds=0.0), StoreLease(store, "x", "quick")
    assert slow.renew()
    wait_until(quick.renew, what="the lease's end")
    with pytest.raises(LeaseLostError), store.writing() as connection:
        slow.check(connection)
    assert not slow.leading
    assert not slow.renew()
    with store.writing() as connection:
        quick.check(connection)


def test_a_holder_that_hears_nothing_stops_before_others_may_begin(store: EventStore) -> None:
    now = [0.0]
    lease = StoreLease(store, "x", "me", seconds=10, monotonic=lambda: now[0])
    lease.renew()
    now[0] = 7.4
    assert lease.leading
    now[0] = 7.6
    assert not lease.leading


def test_a_store_that_is_asked_and_says_nothing_is_not_taken_for_one_that_answers(store: EventStore) -> None:
    keeper = ChoreKeeper(StoreLease(store, "x", "me", seconds=2), [])
    assert "not been asked" in keeper.silence
    stop = keep(keeper)
    wait_until(lambda: not keeper.silence, what="an answer")
    stop()
    wait_until(lambda: "not answered" in keeper.silence, what="the lease's time")
