"""Roll-ups: what was scored and what became of it, counted by hour, and the newest score of each lead.

Triggers note in the transaction of an insert which leads it is about, whoever inserts: a shipper of the
release before does not know of roll-ups, and its rows must be counted too. They act with the rights of the
tables' owner: who may insert a prediction need not be granted anything else.

What was stored before is found by the worker itself, which begins with every hour that there is.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from leadscore.events.partitions import copy_rights

revision = "0006"
down_revision = "0005"

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_SUMS = (
    *("sum_probability", "sum_variance", "sum_value", "sum_squared_value"),
    *("labelled_sum_probability", "sum_squared_error"),
)
_TABLES = (
    *("rollup_pending", "rollup_dirty", "rollup_counted", "rollup_unprofiled", "rollup_hours"),
    *("rollup_features", "rollup_latencies", "rollup_progress", "lead_scores", "leases"),
)
_COUNTS = ("predictions", "superseded", "superseded_unlabelled", "labelled", "converted", "valued")


def upgrade() -> None:
    """Make the tables and the triggers."""
    op.create_table(
        "rollup_pending",
        # An identity, not a serial: who inserts needs no right to a sequence.
        sa.Column("pending_id", _NUMBER, sa.Identity(), primary_key=True),
        sa.Column("lead_id", _TEXT, nullable=False),
        sa.Column("prediction_id", _TEXT),
        sa.Column("scored_at", sa.BigInteger),
    )
    op.create_table("rollup_dirty", _hour())
    op.create_table("rollup_counted", _hour(), sa.Column("at", sa.BigInteger, nullable=False))
    op.create_index("rollup_counted_by_time", "rollup_counted", ["at"])
    op.create_table(
        "rollup_unprofiled",
        _hour(),
        *(sa.Column(name, _TEXT, primary_key=True) for name in ("model_name", "model_version")),
        sa.Column("predictions", sa.BigInteger, nullable=False),
        sa.Column("reason", _TEXT, nullable=False),
    )
    op.create_table(
        "rollup_hours",
        _hour(),
        *(
            sa.Column(name, _TEXT, primary_key=True)
            for name in ("model_name", "model_version", "role", "source", "grade")
        ),
        sa.Column("probability_bin", sa.Integer, primary_key=True, autoincrement=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in _COUNTS),
        *(sa.Column(name, sa.Double, nullable=False) for name in _SUMS),
    )
    op.create_table(
        "rollup_features",
        _hour(),
        *(
            sa.Column(name, _TEXT, primary_key=True)
            for name in ("model_name", "model_version", "role", "feature")
        ),
        sa.Column("cell", sa.Integer, primary_key=True, autoincrement=False),
        *(
            sa.Column(name, sa.BigInteger, nullable=False)
            for name in (
                "predictions",
                "selected",
                "labelled",
                "converted",
                "selected_labelled",
                "selected_converted",
            )
        ),
        *(sa.Column(name, sa.Double, nullable=False) for name in ("sum_probability", "sum_value")),
    )
    op.create_table(
        "rollup_latencies",
        _hour(),
        *(
            sa.Column(name, _TEXT, primary_key=True)
            for name in ("model_name", "model_version", "role", "source")
        ),
        sa.Column("latency_bin", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("predictions", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "rollup_progress",
        sa.Column("name", _TEXT, primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("position", _TEXT),
    )
    op.create_table(
        "leases",
        sa.Column("name", _TEXT, primary_key=True),
        sa.Column("holder", _TEXT, nullable=False),
        sa.Column("token", sa.BigInteger, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "lead_scores",
        sa.Column("model_name", _TEXT, primary_key=True),
        sa.Column("lead_id", _TEXT, primary_key=True),
        sa.Column("prediction_id", _TEXT, nullable=False),
        sa.Column("model_version", _TEXT, nullable=False),
        sa.Column("scored_at", sa.BigInteger, nullable=False),
        sa.Column("probability", sa.Double, nullable=False),
        sa.Column("score", sa.Double, nullable=False),
        sa.Column("grade", _TEXT, nullable=False),
        sa.Column("first_scored_at", sa.BigInteger, nullable=False),
        sa.Column("previous_prediction_id", _TEXT),
        sa.Column("previous_probability", sa.Double),
        sa.Column("previous_grade", _TEXT),
        sa.Column("grade_changed_at", sa.BigInteger),
        sa.Column("converted", sa.Boolean),
        sa.Column("outcome_at", sa.BigInteger),
    )
    # A feature over weeks is one row of hundreds of an hour.
    op.create_index("rollup_features_by_feature", "rollup_features", ["model_name", "feature", "hour"])
    op.create_index("lead_scores_ranked", "lead_scores", ["model_name", "grade", "probability"])
    op.create_index("lead_scores_by_lead", "lead_scores", ["lead_id"])
    op.create_index("lead_scores_by_time", "lead_scores", ["model_name", "scored_at"])
    if op.get_bind().dialect.name == "postgresql":
        _postgresql_triggers(op.get_bind())
    else:
        _sqlite_triggers()


def _hour() -> sa.Column[int]:
    return sa.Column("hour", sa.BigInteger, primary_key=True, autoincrement=False)


def _postgresql_triggers(connection: sa.Connection) -> None:
    """One statement per inserted batch: rows that were there already are not in `inserted`."""
    quote = connection.dialect.identifier_preparer.quote
    schema = quote(connection.exec_driver_sql("SELECT current_schema()").scalar_one())
    owner = quote(
        connection.exec_driver_sql(
            "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'predictions'::regclass"
        ).scalar_one()
    )
    op.execute("SET LOCAL lock_timeout = '3s'")
    for table, moment in (("predictions", "scored_at"), ("outcomes", "NULL")):
        op.execute(
            f"CREATE FUNCTION mark_pending_{table}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER"  # noqa: S608 (our own names)
            f" SET search_path = {schema}, pg_temp AS $$ BEGIN"
            " INSERT INTO rollup_pending (lead_id, prediction_id, scored_at)"
            f" SELECT lead_id, prediction_id, {moment} FROM inserted;"
            " RETURN NULL; END $$"
        )
        op.execute(f"ALTER FUNCTION mark_pending_{table}() OWNER TO {owner}")
        op.execute(
            f"CREATE TRIGGER mark_pending AFTER INSERT ON {table}"
            " REFERENCING NEW TABLE AS inserted"
            f" FOR EACH STATEMENT EXECUTE FUNCTION mark_pending_{table}()"
        )
    for table in _TABLES:
        copy_rights(connection, "outcomes", table)


def _sqlite_triggers() -> None:
    for table, moment in (("predictions", "NEW.scored_at"), ("outcomes", "NULL")):
        op.execute(
            f"CREATE TRIGGER mark_pending_{table} AFTER INSERT ON {table} BEGIN"  # noqa: S608 (our own names)
            " INSERT INTO rollup_pending (lead_id, prediction_id, scored_at)"
            f" VALUES (NEW.lead_id, NEW.prediction_id, {moment}); END"
        )
