"""Roll-ups: what was scored and what became of it, counted by hour, and the newest score of each lead.

Triggers note in the transaction of an insert which leads it is about, whoever inserts: a shipper of the
release before does not know of roll-ups, and its rows must be counted too.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_SUMS = (
    *("sum_probability", "sum_variance", "sum_value", "sum_squared_value"),
    *("labelled_sum_probability", "sum_squared_error"),
)
_COUNTS = ("predictions", "superseded", "superseded_unlabelled", "labelled", "converted", "valued")


def upgrade() -> None:
    """Make the tables and the triggers, and note that everything stored until now is to be counted."""
    op.create_table(
        "rollup_pending",
        sa.Column("pending_id", _NUMBER, primary_key=True, autoincrement=True),
        sa.Column("lead_id", _TEXT, nullable=False),
        sa.Column("prediction_id", _TEXT),
    )
    op.create_table("rollup_dirty", sa.Column("hour", sa.BigInteger, primary_key=True, autoincrement=False))
    op.create_table(
        "rollup_hours",
        sa.Column("hour", sa.BigInteger, primary_key=True, autoincrement=False),
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
        sa.Column("hour", sa.BigInteger, primary_key=True, autoincrement=False),
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
        sa.Column("hour", sa.BigInteger, primary_key=True, autoincrement=False),
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
    op.create_index("lead_scores_ranked", "lead_scores", ["model_name", "grade", "probability"])
    op.create_index("lead_scores_by_time", "lead_scores", ["model_name", "scored_at"])
    if op.get_bind().dialect.name == "postgresql":
        _postgresql_triggers()
    else:
        _sqlite_triggers()


def _postgresql_triggers() -> None:
    """One statement per inserted batch: rows that were there already are not in `inserted`."""
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute(
        "CREATE FUNCTION mark_pending() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " INSERT INTO rollup_pending (lead_id, prediction_id) SELECT lead_id, prediction_id FROM inserted;"
        " RETURN NULL; END $$"
    )
    for table in ("predictions", "outcomes"):
        op.execute(
            f"CREATE TRIGGER mark_pending AFTER INSERT ON {table}"
            " REFERENCING NEW TABLE AS inserted"
            " FOR EACH STATEMENT EXECUTE FUNCTION mark_pending()"
        )


def _sqlite_triggers() -> None:
    for table in ("predictions", "outcomes"):
        op.execute(
            f"CREATE TRIGGER mark_pending_{table} AFTER INSERT ON {table} BEGIN"  # noqa: S608 (our own names)
            " INSERT INTO rollup_pending (lead_id, prediction_id)"
            " VALUES (NEW.lead_id, NEW.prediction_id); END"
        )
