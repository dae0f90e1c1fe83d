"""Whatever happens to a store on PostgreSQL, roll-ups come to what a full recount says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from tests.support.histories import HISTORIES, Step, World
from tests.support.postgres import PostgresServer

from leadscore.events.store import EventStore


@pytest.fixture(scope="module")
def world(postgres: PostgresServer) -> Iterator[World]:
    with EventStore(postgres.new_database()) as store:
        yield World(store)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(history=HISTORIES)
def test_roll_ups_equal_a_recount_after_any_history(world: World, history: list[Step]) -> None:
    world.play(history)
