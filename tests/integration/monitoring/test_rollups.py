"""Roll-ups of both databases equal a recount of everything that is stored."""

from __future__ import annotations

import numpy as np
import pytest
import sqlalchemy as sa
from tests.support.events import outcome, prediction
from tests.support.recount import (
    CELLS,
    HOUR,
    differences,
    recount,
    recount_leads,
    rolled_up,
    stored_leads,
    stored_records,
)

from leadscore.events.store import EventStore
from leadscore.monitoring.rollups.counting import Uncounted, VersionView
from leadscore.monitoring.rollups.progress import read_rollup_progress
from leadscore.monitoring.rollups.tables import rollup_counted, rollup_pending
from leadscore.monitoring.rollups.worker import RollupWorker


def cells_of(name: str, version: str) -> VersionView:
    return CELLS if version == "7" else Uncounted("no profile")


def roll_up(store: EventStore) -> None:
    assert RollupWorker(store, cells_of).run().caught_up


def assert_equal_to_a_recount(store: EventStore) -> None:
    everything = stored_records(store)
    assert differences(rolled_up(store), recount(everything, cells_of)) == []
    assert stored_leads(store) == recount_leads(everything)


def test_a_few_records_of_every_kind_are_counted(store: EventStore) -> None:
    row = np.array([1.0, np.nan, 1.0], dtype="<f4").tobytes()
    store.append(
        [
            prediction(
                "p1", "L-1", scored_at=10, latency_us=90, source="api", probability=0.05, features=row
            ),
            prediction("p2", "L-1", scored_at=HOUR + 5, source="batch", probability=0.7),
            prediction("s2", "L-1", scored_at=HOUR + 6, role="shadow", model_version="8"),
            prediction("p3", "L-2", scored_at=3 * HOUR, contract_version="other"),
            prediction("p4", "L-3", scored_at=3 * HOUR, features=b"1234"),
        ],
        [
            outcome("o1", "L-1", occurred_at=HOUR + 7, value=12.5),
            outcome("o2", "L-2", prediction_id="p1", converted=False, occurred_at=4),
        ],
    )
    roll_up(store)
    assert_equal_to_a_recount(store)


def test_a_late_prediction_takes_the_outcome_from_an_earlier_one(store: EventStore) -> None:
    store.append([prediction("p1", scored_at=10)], [outcome("o1", occurred_at=5 * HOUR)])
    roll_up(store)
    store.append([prediction("p2", scored_at=2 * HOUR)], [])
    roll_up(store)
    assert_equal_to_a_recount(store)


def test_a_prediction_takes_the_outcome_that_names_it_from_another_lead(store: EventStore) -> None:
    store.append(
        [prediction("p1", "L-1", scored_at=10)],
        [outcome("o1", "L-1", prediction_id="q", occurred_at=2 * HOUR)],
    )
    roll_up(store)
    store.append([prediction("q", "L-2", scored_at=HOUR)], [])
    roll_up(store)
    assert_equal_to_a_recount(store)


def test_what_was_stored_before_the_worker_first_ran_is_counted(store: EventStore) -> None:
    store.append(
        [prediction(f"p{n}", f"L-{n}", scored_at=n * HOUR) for n in range(30)], [outcome("o", "L-3")]
    )
    with store.writing() as connection:
        connection.execute(sa.delete(rollup_pending))
    roll_up(store)
    assert_equal_to_a_recount(store)


def test_nothing_stored_is_caught_up(store: EventStore) -> None:
    roll_up(store)
    with store.reading() as connection:
        progress = read_rollup_progress(connection)
    assert progress.listed
    assert progress.caught_up == pytest.approx(progress.seen, abs=60_000_000)
    assert (progress.dirty, progress.pending) == (0, False)


def test_each_hour_says_when_it_was_counted(store: EventStore) -> None:
    store.append([prediction("p1", scored_at=10)], [])
    roll_up(store)
    with store.reading() as connection:
        found = connection.execute(sa.select(rollup_counted)).one()
    assert found.hour == 0
    assert found.at > HOUR


def test_hours_without_a_profile_are_counted_again_when_it_can_be_had(store: EventStore) -> None:
    store.append(
        [
            prediction("p1", scored_at=10),
            prediction("p2", scored_at=HOUR, contract_version="older"),
        ],
        [],
    )
    known: list[VersionView] = [Uncounted("no profile")]
    worker = RollupWorker(store, lambda _name, _version: known[-1])
    worker.run()
    assert worker.retry_unprofiled() == 0, "it is still not there"
    known.append(CELLS)
    assert worker.retry_unprofiled() == 2
    assert worker.run().hours == 2
    assert worker.retry_unprofiled() == 0, "another contract's rows are not looked at again and again"
    assert_equal_to_a_recount(store)
