"""The outbox of messages to other systems, and alerts: episodes, what each rule says now, silences."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "outbox",
        sa.Column("number", _NUMBER, primary_key=True, autoincrement=True),
        sa.Column("message_id", _TEXT, nullable=False),
        sa.Column("channel", _TEXT, nullable=False),
        sa.Column("stream", _TEXT, nullable=False),
        sa.Column("payload", _TEXT, nullable=False),
        sa.Column("state", _TEXT, nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("created_at", "next_at", "give_up_at")),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("uncertain", sa.Integer, nullable=False),
        sa.Column("lease", _TEXT),
        sa.Column("leased_until", sa.BigInteger),
        sa.Column("settled_at", sa.BigInteger),
        sa.Column("last_status", sa.Integer),
        sa.Column("last_error", _TEXT, nullable=False),
    )
    op.create_index("outbox_once", "outbox", ["message_id", "channel"], unique=True)
    waiting = sa.text("state = 'waiting'")
    op.create_index(
        "outbox_waiting",
        "outbox",
        ["channel", "stream", "number"],
        postgresql_where=waiting,
        sqlite_where=waiting,
    )
    op.create_index("outbox_settled", "outbox", ["state", "settled_at"])
    op.create_table(
        "outbox_channels",
        sa.Column("channel", _TEXT, primary_key=True),
        sa.Column("not_before", sa.BigInteger, nullable=False),
        sa.Column("reason", _TEXT, nullable=False),
    )
    op.create_table(
        "alert_episodes",
        sa.Column("episode_id", _TEXT, primary_key=True),
        sa.Column("fingerprint", _TEXT, nullable=False),
        sa.Column("rule", _TEXT, nullable=False),
        sa.Column("severity", _TEXT, nullable=False),
        sa.Column("state", _TEXT, nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("document", _TEXT, nullable=False),
    )
    op.create_index("alert_episodes_by_time", "alert_episodes", ["started_at"])
    still_open = sa.text("ended_at IS NULL")
    op.create_index(
        "alert_episodes_open",
        "alert_episodes",
        ["fingerprint"],
        unique=True,
        postgresql_where=still_open,
        sqlite_where=still_open,
    )
    op.create_table(
        "alert_rules",
        sa.Column("rule", _TEXT, primary_key=True),
        sa.Column("evaluated_at", sa.BigInteger, nullable=False),
        sa.Column("document", _TEXT, nullable=False),
    )
    op.create_table(
        "alert_silences",
        sa.Column("silence_id", _TEXT, primary_key=True),
        sa.Column("starts_at", sa.BigInteger, nullable=False),
        sa.Column("ends_at", sa.BigInteger, nullable=False),
        sa.Column("document", _TEXT, nullable=False),
    )
