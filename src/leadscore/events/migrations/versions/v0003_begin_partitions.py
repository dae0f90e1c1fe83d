"""Predictions in monthly partitions, 1 of 3: what is scored from next month on goes elsewhere (PostgreSQL).

Today's table shall become the partition of everything before a month, without a scan under a lock. So first a
constraint says that nothing later is in it. Later rows are diverted into what shall become the default
partition: none is refused, but until the third step nobody reads them.
"""

from __future__ import annotations

import time

from alembic import op

from leadscore.events.partitions import copy_rights, month_after, month_name, month_of

revision = "0003"
down_revision = "0002"

# Less than this before the end of a month, the next one is taken: rows of the present stay where they are
# read.
_MARGIN_US = 3 * 86_400_000_000


def upgrade() -> None:
    """Divert and constrain."""
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return
    end = month_after(month_of(time.time_ns() // 1_000 + _MARGIN_US))
    for statement in (
        "SET LOCAL lock_timeout = '3s'",
        "LOCK TABLE predictions IN ACCESS EXCLUSIVE MODE",
        "CREATE TABLE predictions_default (LIKE predictions INCLUDING DEFAULTS)",
        "ALTER TABLE predictions_default ADD PRIMARY KEY (prediction_id)",
        (
            f"WITH later AS (DELETE FROM predictions WHERE scored_at >= {end} RETURNING *)"  # noqa: S608
            " INSERT INTO predictions_default SELECT * FROM later"
        ),
        (
            "CREATE FUNCTION divert_prediction() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " INSERT INTO predictions_default VALUES (NEW.*) ON CONFLICT DO NOTHING; RETURN NULL; END $$"
        ),
        (
            "CREATE TRIGGER divert_prediction BEFORE INSERT ON predictions FOR EACH ROW"
            f" WHEN (NEW.scored_at >= {end}) EXECUTE FUNCTION divert_prediction()"
        ),
        (
            f"ALTER TABLE predictions ADD CONSTRAINT {month_name('before', end)} CHECK "
            f"(scored_at < {end}) NOT VALID"
        ),
    ):
        connection.exec_driver_sql(statement)
    copy_rights(connection, "predictions", "predictions_default")
