"""Write-back into CRMs: what each target was told of each lead, webhook endpoints, how far readers have come.

`lead_scores.change` numbers the changes of leads' newest scores. A monitor of the release before leaves it
empty; whoever reads changes numbers those rows first.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from leadscore.events.partitions import copy_rights

revision = "0008"
down_revision = "0007"

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the tables."""
    op.add_column("lead_scores", sa.Column("change", sa.BigInteger))
    op.create_index("lead_scores_by_change", "lead_scores", ["model_name", "change", "lead_id"])
    unnumbered = sa.text("change IS NULL")
    op.create_index(
        "lead_scores_unnumbered",
        "lead_scores",
        ["lead_id"],
        postgresql_where=unnumbered,
        sqlite_where=unnumbered,
    )
    op.create_table(
        "crm_states",
        *(sa.Column(name, _TEXT, primary_key=True) for name in ("target", "lead_id")),
        sa.Column("chosen_at", sa.BigInteger, nullable=False),
        sa.Column("chosen_id", _TEXT, nullable=False),
        sa.Column("digest", _TEXT, nullable=False),
        sa.Column("written_at", sa.BigInteger),
        sa.Column("written_id", _TEXT),
    )
    op.create_table(
        "crm_cursors",
        *(sa.Column(name, _TEXT, primary_key=True) for name in ("target", "what")),
        sa.Column("position", _TEXT, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "crm_endpoints",
        sa.Column("name", _TEXT, primary_key=True),
        *(sa.Column(name, _TEXT, nullable=False) for name in ("url", "model", "state", "reason", "key_mark")),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("rotated_at", sa.BigInteger),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("failing_since", sa.BigInteger),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    connection = op.get_bind()
    if connection.dialect.name == "postgresql":
        for table in ("crm_states", "crm_cursors", "crm_endpoints"):
            copy_rights(connection, "outcomes", table)
