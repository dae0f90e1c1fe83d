from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.postgres import postgres_url
from tests.support.previous_release import previous
from tests.support.stores import backend, postgres, url

from leadscore.events.store import EventStore

__all__ = ["backend", "postgres", "postgres_url", "previous", "url"]


@pytest.fixture
def store(url: str) -> Iterator[EventStore]:
    with EventStore(url) as opened:
        yield opened
