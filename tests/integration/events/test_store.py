"""The event store does the same on SQLite and on PostgreSQL."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import psycopg
import pytest
import sqlalchemy as sa
from tests.support.events import outcome, prediction
from tests.support.postgres import PostgresServer
from tests.support.waiting import wait_until

from leadscore.errors import ConflictError, NotFoundError, UnavailableError
from leadscore.events import schema
from leadscore.events.engine import parse_url
from leadscore.events.errors import (
    RecordRefusedError,
    SchemaTooNewError,
    StoreEncodingError,
    StoreUnavailableError,
)
from leadscore.events.records import Evidence, Outcome, outcome_id_of
from leadscore.events.store import Appended, EventStore
from leadscore.identity.caller import Caller


def test_records_come_back_as_they_went_in(store: EventStore) -> None:
    flagged = prediction("p1", "L-1", warnings=("budget:out_of_range", "source:unseen_category"))
    told = outcome("o1", "L-1", value=12.5, prediction_id="p1")
    store.append([flagged], [told])
    assert store.prediction("p1") == flagged
    assert store.outcomes_of("L-1") == (told,)


def test_the_same_id_is_stored_once_within_and_across_batches(store: EventStore) -> None:
    assert store.append([prediction("p1"), prediction("p1")], [outcome("o1")]) == Appended(1, 1)
    assert store.append([prediction("p1"), prediction("p2")], [outcome("o1")]) == Appended(1, 0)
    assert store.counts().predictions == 2


def test_an_outcome_that_comes_back_is_stored_anew_and_a_repeated_one_is_not(store: EventStore) -> None:
    def told(converted: bool, at: int) -> Outcome:
        known_as = outcome_id_of("L-1", None, converted, None, None, None)
        return Outcome(known_as, "L-1", None, converted, None, at, at, "api")

    assert store.append((), [told(True, 1), told(False, 2)]) == Appended(0, 2)
    again = [told(True, 3), told(True, 4), told(False, 5)]
    assert store.append((), again) == Appended(0, 2)
    assert store.append((), [told(True, 1), told(False, 2), *again]) == Appended(0, 0)
    history = [(each.converted, each.recorded_at) for each in reversed(store.outcomes_of("L-1"))]
    assert history == [(True, 1), (False, 2), (True, 3), (False, 5)]


def test_an_empty_batch_is_fine(store: EventStore) -> None:
    assert store.append([], []) == Appended(0, 0)


def test_a_refused_record_refuses_its_batch(store: EventStore) -> None:
    # SQL has no NaN probability on SQLite and no NUL in text on PostgreSQL: each refuses one of the two.
    poison = prediction("p\x00bad", probability=float("nan"))
    with pytest.raises(RecordRefusedError):
        store.append([prediction("p1"), poison], [])
    assert store.counts().predictions == 0


def test_unknown_prediction_is_not_found(store: EventStore) -> None:
    with pytest.raises(NotFoundError):
        store.prediction("nowhere")


def test_evidence_is_append_only(store: EventStore) -> None:
    verdict = Evidence("e1", "gate", "crm/7", 1, '{"passed":true}', Caller("key", "ada.lovelace"))
    assert store.record(verdict)
    assert not store.record(verdict)
    with pytest.raises(ConflictError):
        store.record(Evidence("e1", "gate", "crm/7", 1, '{"passed":false}'))
    assert store.evidence(kind="gate", subject="crm/7") == (verdict,)
    assert store.evidence(kind="drift") == ()


def test_a_decision_that_does_not_say_who_asked_is_this_process_s(
    store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEADSCORE_SERVICE_ACCOUNT", "scoring:leads-jobs")
    undecided = Evidence("e1", "gate", "crm/7", 1, "{}")
    assert store.record(undecided)
    monkeypatch.delenv("LEADSCORE_SERVICE_ACCOUNT")
    assert not store.record(undecided), "the same decision, asked for by another"
    (found,) = store.evidence()
    assert found.caller == Caller("service-account", "scoring:leads-jobs")


def test_a_store_of_a_newer_release_is_left_alone(store: EventStore, url: str) -> None:
    store.counts()
    with store.writing() as connection:
        connection.execute(sa.update(schema.schema_version).values(version=99))
    with EventStore(url) as late, pytest.raises(SchemaTooNewError):
        late.append([prediction("p1")], [])


def test_processes_that_start_together_create_one_schema(url: str) -> None:
    with ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("spawn")) as pool:
        appended = list(pool.map(_append_one, [(url, f"p{number}") for number in range(8)]))
    assert sum(a.predictions for a in appended) == 8
    with EventStore(url) as store:
        assert store.counts().predictions == 8


def _append_one(job: tuple[str, str]) -> Appended:
    url, prediction_id = job
    with EventStore(url) as store:
        return store.append([prediction(prediction_id)], [])


def test_an_unreachable_server_is_unavailable_and_its_password_unsaid() -> None:
    with EventStore("postgresql://someone:s3cret@127.0.0.1:1/events") as store:
        with pytest.raises(UnavailableError) as caught:
            store.counts()
        assert "s3cret" not in str(caught.value)
        assert "s3cret" not in store.name


def test_a_server_that_says_nothing_is_given_up_by_who_asked_for_that(postgres_url: str) -> None:
    with (
        EventStore(postgres_url, answer_seconds=0.3) as store,
        psycopg.connect(postgres_url) as other,
    ):
        assert store.record(Evidence("e1", "gate", "crm/7", 1, "{}"))
        other.execute("LOCK TABLE evidence")
        with pytest.raises(StoreUnavailableError, match=r"said nothing for 0\.3 s"):
            store.record(Evidence("e2", "gate", "crm/7", 1, "{}"))
        other.rollback()
        assert store.record(Evidence("e2", "gate", "crm/7", 1, "{}")), (
            "the next one has a connection of its own"
        )


def test_who_waits_for_a_lock_waits_as_long_as_it_takes_unless_told_otherwise(postgres_url: str) -> None:
    with EventStore(postgres_url, answer_seconds=None) as store, psycopg.connect(postgres_url) as other:
        store.counts()
        other.execute("LOCK TABLE evidence")
        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(store.record, Evidence("e1", "gate", "crm/7", 1, "{}"))
            wait_until(lambda: _waits(postgres_url), what="a writer that waits")
            assert not done.done()
            other.rollback()
            assert done.result(timeout=30)


def _waits(url: str) -> bool:
    with psycopg.connect(url) as connection:
        return bool(connection.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchall())


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_that_cannot_hold_every_text_is_refused_in_a_sentence(
    postgres: PostgresServer, encoding: str
) -> None:
    name = f"other_{encoding.lower()}_{os.getpid()}"
    postgres.run(
        f"DROP DATABASE IF EXISTS {name}",
        f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'",
    )
    with EventStore(postgres.url(name)) as store:
        with pytest.raises(StoreEncodingError, match=encoding):
            store.check()
        with pytest.raises(StoreEncodingError, match="UTF8"):
            store.append([prediction("p1")], [])


def test_a_missing_right_is_the_stores_fault_not_the_records(postgres_url: str) -> None:
    with EventStore(postgres_url) as owner:
        owner.counts()
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS reader")
        connection.execute("CREATE ROLE reader LOGIN")
        connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
    as_reader = parse_url(postgres_url).set(username="reader").render_as_string(hide_password=False)
    with EventStore(as_reader) as store:
        assert store.counts().predictions == 0
        with pytest.raises(UnavailableError):
            store.append([prediction("p1")], [])
