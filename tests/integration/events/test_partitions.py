"""Predictions find a place whatever their time, once, and leave it by whole months."""

from __future__ import annotations

from datetime import UTC, datetime

import psycopg
import pytest
from tests.support.events import outcome, prediction
from tests.support.postgres import PostgresServer

from leadscore.events.engine import parse_url
from leadscore.events.partitions import DEFAULT, month_after, month_name, month_of
from leadscore.events.records import Evidence, now_us
from leadscore.events.retention import retain
from leadscore.events.store import EventStore
from leadscore.events.windows import labelled_window

DAY = 86_400_000_000
NOW = now_us()
THIS_MONTH = month_of(NOW)
LONG_AGO = month_of(NOW - 500 * DAY)
FAR_AHEAD = month_after(month_of(NOW + 300 * DAY))


def rows_of(url: str) -> dict[str, int]:
    """Rows by partition, empty ones left out."""
    query = "SELECT tableoid::regclass::text, count(*) FROM predictions GROUP BY 1"
    with psycopg.connect(url) as connection:
        return dict(connection.execute(query).fetchall())


def test_late_and_future_records_are_stored_and_read(postgres_url: str) -> None:
    times = {"epoch": 0, "late": LONG_AGO + DAY, "now": NOW, "ahead": FAR_AHEAD}
    with EventStore(postgres_url) as store:
        store.append([prediction(n, f"L-{n}", scored_at=at) for n, at in times.items()], [])
        assert rows_of(postgres_url) == {
            DEFAULT: 2,
            month_name("in", LONG_AGO): 1,
            month_name("in", THIS_MONTH): 1,
        }
        for name, at in times.items():
            assert store.prediction(name).scored_at == at
        names = [p.name for p in store.schema_status().partitions]
        assert names[-1] == DEFAULT
        assert month_name("in", month_after(month_after(THIS_MONTH))) in names


def test_rows_of_the_default_partition_move_to_their_month_once_it_is_made(postgres_url: str) -> None:
    with EventStore(postgres_url) as store:
        store.check()
    with psycopg.connect(postgres_url) as connection:
        # What the release before does when a month begins for which nobody has made a partition.
        connection.execute(
            "INSERT INTO predictions (prediction_id, lead_id, model_name, model_version, contract_version, "
            "role, scored_at, probability, score, grade, features, request_id, warnings) VALUES ('a', 'L', "
            "'crm', '7', 'c', 'champion', %s, 0.5, 50, 'B', '', '', '[]')",
            (NOW,),
        )
    assert rows_of(postgres_url) == {DEFAULT: 1}
    with EventStore(postgres_url) as store:
        store.append([prediction("b", scored_at=NOW)], [])
        assert rows_of(postgres_url) == {month_name("in", THIS_MONTH): 2}
        assert store.append([prediction("a", scored_at=NOW)], []).predictions == 0


def test_a_partition_that_cannot_be_made_now_keeps_nobody_waiting(
    postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with EventStore(postgres_url) as store, psycopg.connect(postgres_url) as reader:
        store.check()
        # A Job that reads a long window holds what attaching a partition needs.
        reader.execute("SELECT count(*) FROM predictions")
        assert store.append([prediction("a", scored_at=NOW)], []).predictions == 1
    assert rows_of(postgres_url) == {DEFAULT: 1}
    assert "partitions not made" in caplog.text


def test_who_may_not_make_tables_may_still_write(postgres: PostgresServer, postgres_url: str) -> None:
    with EventStore(postgres_url) as owner:
        owner.check()
    role = f"writer_{postgres.databases}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN")
        connection.execute(f"GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO {role}")
    as_writer = parse_url(postgres_url).set(username=role).render_as_string(hide_password=False)
    with EventStore(as_writer) as store:
        assert store.append([prediction("a", scored_at=NOW)], []).predictions == 1
    assert rows_of(postgres_url) == {DEFAULT: 1}


def test_an_id_is_stored_once_across_the_turn_of_a_month(store: EventStore) -> None:
    # A request with an Idempotency-Key that is repeated at another pod: the same id, another time.
    last, first = THIS_MONTH - 1_000, THIS_MONTH + 1_000
    assert (
        store.append([prediction("a", scored_at=last), prediction("c", scored_at=first)], []).predictions == 2
    )
    again = [
        prediction("a", scored_at=first),
        prediction("c", scored_at=last),
        prediction("d", scored_at=first),
    ]
    assert store.append(again, []).predictions == 1
    assert store.counts().predictions == 3


def test_an_outcome_finds_its_prediction_in_another_month(store: EventStore) -> None:
    store.append(
        [prediction("p1", scored_at=LONG_AGO), prediction("p2", scored_at=THIS_MONTH)],
        [outcome("o1", occurred_at=NOW, recorded_at=NOW)],
    )
    start, end = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
    table = labelled_window(store, start, end)
    assert table["converted"].to_pylist() == [None, True]
    assert table["superseded"].to_pylist() == [True, False]


def test_old_months_go_and_their_outcomes_and_nothing_else(store: EventStore) -> None:
    before = month_after(LONG_AGO)
    store.append(
        [
            prediction("epoch", scored_at=5),
            prediction("old", scored_at=before - 1),
            prediction("kept", scored_at=before),
            prediction("new", scored_at=NOW),
        ],
        [
            outcome("o-old", occurred_at=before - 2, recorded_at=before - 1),
            outcome("o-late", occurred_at=before - 2, recorded_at=before),
        ],
    )
    store.record(Evidence("e1", "gate", "crm/7", 1, "{}"))
    looked = retain(store, before + 20 * DAY, dry_run=True)
    assert store.counts().predictions == 4
    found = retain(store, before + 20 * DAY)
    assert (found.before, found.outcomes) == (before, 1)
    assert (looked.partitions, looked.predictions, looked.outcomes) == (
        found.partitions,
        found.predictions,
        found.outcomes,
    )
    assert len(found.partitions) + found.predictions == 2
    left = store.counts()
    assert (left.predictions, left.outcomes, left.evidence) == (2, 1, 1)
    # A record that was on its way meanwhile is still taken.
    assert store.append([prediction("late", scored_at=before - 3)], []).predictions == 1


def test_a_role_that_could_read_before_can_read_after_the_migration(
    postgres: PostgresServer, postgres_url: str, previous
) -> None:
    process = previous.start(
        "-c", f"from leadscore.events.store import EventStore; EventStore({postgres_url!r}).check()"
    )
    assert process.wait(60) == 0
    role = f"analyst_{postgres.databases}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN")
        connection.execute(f"GRANT SELECT ON predictions TO {role}")
    with EventStore(postgres_url) as store:
        store.migrate()
        store.append([prediction("a", scored_at=NOW)], [])
    as_reader = parse_url(postgres_url).set(username=role, drivername="postgresql")
    with psycopg.connect(as_reader.render_as_string(hide_password=False)) as connection:
        assert connection.execute("SELECT count(*) FROM predictions").fetchone() == (1,)
