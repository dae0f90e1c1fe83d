from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.mailbox import Mailbox
from tests.support.receiver import Receiver
from tests.support.stores import backend, postgres, url

from leadscore.events.store import EventStore

__all__ = ["backend", "postgres", "url"]


@pytest.fixture
def store(url: str) -> Iterator[EventStore]:
    with EventStore(url) as opened:
        yield opened


@pytest.fixture(scope="session")
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with Mailbox() as running:
        yield running
