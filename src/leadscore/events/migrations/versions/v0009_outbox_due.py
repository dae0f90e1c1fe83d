"""What is due of the outbox in the order in which it is sent, found without reading what waits behind it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Make the index: some seconds for ten million rows, in which nothing is put in or sent."""
    waiting = sa.text("state = 'waiting'")
    op.create_index(
        "outbox_due",
        "outbox",
        ["channel", "next_at", "number"],
        postgresql_where=waiting,
        sqlite_where=waiting,
    )
