"""Whatever happens to a store, roll-ups come to what a full recount says (SQLite)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from tests.support.histories import HISTORIES, Step, World

from leadscore.events.store import EventStore


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("histories")
    with EventStore(f"sqlite:///{folder / 'events.db'}") as store:
        yield World(store)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(history=HISTORIES)
def test_roll_ups_equal_a_recount_after_any_history(world: World, history: list[Step]) -> None:
    world.play(history)
