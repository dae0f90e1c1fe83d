"""Predictions in monthly partitions, 3 of 3: today's table becomes one, in milliseconds (PostgreSQL)."""

from __future__ import annotations

from alembic import op

from leadscore.events.partitions import before_month, copy_rights

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Put a partitioned table in the place of the old one, with that and the default one below it."""
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return
    old, end = before_month(connection)
    for statement in (
        "SET LOCAL lock_timeout = '3s'",
        "LOCK TABLE predictions, predictions_default IN ACCESS EXCLUSIVE MODE",
        "DROP TRIGGER divert_prediction ON predictions",
        "DROP FUNCTION divert_prediction()",
        f"ALTER TABLE predictions RENAME TO {old}",
        f"ALTER INDEX predictions_pkey RENAME TO {old}_pkey",
        f"ALTER INDEX predictions_by_time RENAME TO {old}_by_time",
        f"ALTER INDEX predictions_by_lead RENAME TO {old}_by_lead",
        f"CREATE TABLE predictions (LIKE {old} INCLUDING DEFAULTS) PARTITION BY RANGE (scored_at)",
        "CREATE INDEX predictions_by_time ON predictions (scored_at, prediction_id)",
        "CREATE INDEX predictions_by_lead ON predictions (lead_id, scored_at, prediction_id)",
        # Its indexes become parts of those, and its constraint proves what would else be read under the lock.
        f"ALTER TABLE predictions ATTACH PARTITION {old} FOR VALUES FROM (MINVALUE) TO ({end})",
        f"ALTER TABLE {old} DROP CONSTRAINT {old}",
        "ALTER TABLE predictions ATTACH PARTITION predictions_default DEFAULT",
    ):
        connection.exec_driver_sql(statement)
    copy_rights(connection, old, "predictions")
    if not connection.exec_driver_sql(f"SELECT EXISTS (SELECT 1 FROM {old})").scalar_one():  # noqa: S608
        # A new store: leads of the past come into months, too.
        connection.exec_driver_sql(f"DROP TABLE {old}")
