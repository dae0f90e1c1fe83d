"""Predictions in monthly partitions, 2 of 3.

The constraint is checked while others read and write (PostgreSQL).
"""

from __future__ import annotations

from alembic import op

from leadscore.events.partitions import before_month

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Read the table once: some seconds for ten million rows."""
    connection = op.get_bind()
    if connection.dialect.name == "postgresql":
        constraint, _ = before_month(connection)
        connection.exec_driver_sql(f"ALTER TABLE predictions VALIDATE CONSTRAINT {constraint}")
