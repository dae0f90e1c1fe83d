"""How channels of the outbox do, counted without reading its messages: their states, repeats and failures."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Make the indexes: some seconds for a million rows, in which nothing is put in or sent."""
    op.create_index("outbox_states", "outbox", ["channel", "state", "created_at"])
    repeated = sa.text("uncertain > 0")
    op.create_index(
        "outbox_uncertain",
        "outbox",
        ["channel", "uncertain"],
        postgresql_where=repeated,
        sqlite_where=repeated,
    )
    failed = sa.text("state = 'waiting' AND last_error <> ''")
    op.create_index(
        "outbox_failed", "outbox", ["channel", "number"], postgresql_where=failed, sqlite_where=failed
    )
