"""Who may insert predictions need not be granted anything for roll-ups (PostgreSQL)."""

from __future__ import annotations

import sqlalchemy as sa
from tests.integration.events.test_two_releases import _migrate_to
from tests.support.events import outcome, prediction
from tests.support.postgres import PostgresServer

from leadscore.events.ingest import insert, insert_predictions
from leadscore.events.rows import outcome_row, prediction_row
from leadscore.events.schema import outcomes
from leadscore.events.store import EventStore
from leadscore.monitoring.rollups.tables import rollup_pending


def test_a_role_that_may_only_insert_still_may(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    with EventStore(url) as store, store.writing() as connection:
        for statement in (
            "DROP ROLE IF EXISTS shipper_alone",
            "CREATE ROLE shipper_alone",
            "GRANT SELECT, INSERT ON predictions, predictions_default, outcomes TO shipper_alone",
            "SET LOCAL ROLE shipper_alone",
        ):
            connection.exec_driver_sql(statement)
        assert insert_predictions(connection, [prediction_row(prediction("p1"))]) == 1
        assert insert(connection, outcomes, [outcome_row(outcome("o1", prediction_id="p1"))]) == 1
        connection.exec_driver_sql("RESET ROLE")
        found = connection.execute(sa.select(rollup_pending).order_by(rollup_pending.c.pending_id)).all()
        assert [(row.prediction_id, row.scored_at) for row in found] == [("p1", 1_000), ("p1", None)]
        for statement in (
            "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM shipper_alone",
            "DROP ROLE shipper_alone",
        ):
            connection.exec_driver_sql(statement)


def test_whoever_could_read_outcomes_can_read_roll_ups(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"))
    _migrate_to(engine, 5)
    postgres.run("DROP ROLE IF EXISTS reader_alone", "CREATE ROLE reader_alone")
    with engine.begin() as connection:
        connection.exec_driver_sql("GRANT SELECT ON outcomes TO reader_alone")
    _migrate_to(engine, 6)
    with engine.begin() as connection:
        connection.exec_driver_sql("SET LOCAL ROLE reader_alone")
        for table in ("rollup_hours", "rollup_features", "rollup_progress", "lead_scores", "leases"):
            assert connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one() == 0
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP OWNED BY reader_alone")
        connection.exec_driver_sql("DROP ROLE reader_alone")
    engine.dispose()


def test_a_known_record_that_comes_again_is_not_noted(postgres: PostgresServer) -> None:
    with EventStore(postgres.new_database()) as store:
        for _ in range(2):
            store.append([prediction("p1")], [outcome("o1")])
        with store.reading() as connection:
            count = sa.select(sa.func.count()).select_from(rollup_pending)
            assert connection.execute(count).scalar_one() == 2
