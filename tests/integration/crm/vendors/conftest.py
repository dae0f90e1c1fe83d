from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.crm_world import KINDS, CrmWorld

from leadscore.events.store import EventStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EventStore]:
    with EventStore(f"sqlite:///{tmp_path / 'events.db'}") as opened:
        yield opened


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest, store: EventStore, tmp_path: Path) -> Iterator[CrmWorld]:
    """A CRM of each vendor in turn."""
    made = CrmWorld.make(request.param, store, tmp_path)
    with made.crm:
        yield made


@pytest.fixture
def salesforce(store: EventStore, tmp_path: Path) -> Iterator[CrmWorld]:
    made = CrmWorld.make("salesforce", store, tmp_path)
    with made.crm:
        yield made


@pytest.fixture
def hubspot(store: EventStore, tmp_path: Path) -> Iterator[CrmWorld]:
    made = CrmWorld.make("hubspot", store, tmp_path)
    with made.crm:
        yield made


@pytest.fixture
def dynamics(store: EventStore, tmp_path: Path) -> Iterator[CrmWorld]:
    made = CrmWorld.make("dynamics", store, tmp_path)
    with made.crm:
        yield made
