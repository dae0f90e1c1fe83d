"""The first schema: predictions, outcomes, evidence."""

from __future__ import annotations

import time

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the tables; a store that the release before has made has them already."""
    connection = op.get_bind()
    if sa.inspect(connection).has_table("schema_version"):
        return
    op.create_table(
        "schema_version",
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("applied_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "predictions",
        sa.Column("prediction_id", _TEXT, primary_key=True),
        sa.Column("lead_id", _TEXT, nullable=False),
        sa.Column("model_name", _TEXT, nullable=False),
        sa.Column("model_version", _TEXT, nullable=False),
        sa.Column("contract_version", _TEXT, nullable=False),
        sa.Column("role", _TEXT, nullable=False),
        sa.Column("scored_at", sa.BigInteger, nullable=False),
        sa.Column("probability", sa.Double, nullable=False),
        sa.Column("score", sa.Double, nullable=False),
        sa.Column("grade", _TEXT, nullable=False),
        sa.Column("features", sa.LargeBinary, nullable=False),
        sa.Column("request_id", _TEXT, nullable=False),
        sa.Column("warnings", _TEXT, nullable=False),
    )
    op.create_index("predictions_by_time", "predictions", ["scored_at", "prediction_id"])
    op.create_index("predictions_by_lead", "predictions", ["lead_id", "scored_at", "prediction_id"])
    op.create_table(
        "outcomes",
        sa.Column("outcome_id", _TEXT, primary_key=True),
        sa.Column("lead_id", _TEXT, nullable=False),
        sa.Column("prediction_id", _TEXT),
        sa.Column("converted", sa.Boolean, nullable=False),
        sa.Column("value", sa.Double),
        sa.Column("occurred_at", sa.BigInteger, nullable=False),
        sa.Column("recorded_at", sa.BigInteger, nullable=False),
        sa.Column("source", _TEXT, nullable=False),
    )
    op.create_index("outcomes_by_lead", "outcomes", ["lead_id", "occurred_at"])
    op.create_index("outcomes_by_prediction", "outcomes", ["prediction_id"])
    op.create_index("outcomes_by_time", "outcomes", ["recorded_at"])
    op.create_table(
        "evidence",
        sa.Column("evidence_id", _TEXT, primary_key=True),
        sa.Column("kind", _TEXT, nullable=False),
        sa.Column("subject", _TEXT, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("document", _TEXT, nullable=False),
    )
    op.create_index("evidence_by_subject", "evidence", ["subject", "kind", "at"])
    op.create_index("evidence_by_time", "evidence", ["at"])
    version = sa.table("schema_version", sa.column("version"), sa.column("applied_at"))
    op.execute(version.insert().values(version=1, applied_at=time.time_ns() // 1_000))
