"""A delivering process that is killed with SIGKILL, again and again, loses nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.support.receiver import Receiver
from tests.support.waiting import wait_until

from leadscore.events.records import now_us
from leadscore.events.store import EventStore
from leadscore.outbox.queue import OutboxMessage, backlogs, enqueue
from leadscore.outbox.tables import outbox

PROCESS = str(Path(__file__).with_name("deliver_process.py"))
MESSAGES = 120
KILLS = 8


@contextmanager
def delivering(*arguments: str) -> Iterator[None]:
    """A process that delivers, once it has begun; killed in the end, whatever it does just then."""
    process = subprocess.Popen([sys.executable, PROCESS, *arguments], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        # However long a busy machine takes to start it: only what comes then is waited for with a bound.
        assert process.stdout.readline() == b"ready\n"
        yield
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("keyed", ["keyed", "plain"])
def test_a_process_killed_again_and_again_loses_nothing_and_counts_what_it_doubles(
    store: EventStore, url: str, receiver: Receiver, backend: str, keyed: str
) -> None:
    channel = f"kill-{backend}-{keyed}"
    path = f"/{channel}"
    messages = [
        OutboxMessage(f"{channel}-{n}", channel, f"s{n}", json.dumps({"n": n})) for n in range(MESSAGES)
    ]
    with store.writing() as connection:
        enqueue(connection, messages, now_us())

    def done() -> bool:
        with store.reading() as connection:
            return backlogs(connection, channel)[0].waiting == 0

    for kill in range(1, KILLS + 1):
        with delivering(url, receiver.url + path, channel, keyed):
            wait_until(
                lambda enough=kill * MESSAGES // (KILLS + 1): receiver.requests(path) >= enough,
                what="some delivered",
            )
        # As if its lease had ended: nobody waits a minute in a test.
        with store.writing() as connection:
            connection.execute(sa.update(outbox).where(outbox.c.lease.is_not(None)).values(leased_until=0))
    with delivering(url, receiver.url + path, channel, keyed):
        wait_until(done, what="everything delivered")
    got = [body["n"] for body in receiver.accepted(path)]
    with store.reading() as connection:
        (found,) = backlogs(connection, channel)
    assert set(got) == set(range(MESSAGES))
    assert (found.delivered, found.dead) == (MESSAGES, 0)
    assert len(got) - MESSAGES <= (0 if keyed == "keyed" else found.uncertain)
