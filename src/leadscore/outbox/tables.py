"""Tables of the outbox, in the event store's database; `leadscore.events.migrations` makes them.

Times are microseconds since the epoch (UTC).
"""

from __future__ import annotations

from typing import Final, Literal

import sqlalchemy as sa

OutboxState = Literal["waiting", "delivered", "dead", "replaced"]

_metadata = sa.MetaData()

# One row per message and channel. Messages of one stream reach a channel in the order of `number`.
# `uncertain`: attempts whose end nobody knows (no answer, or a killed process), before it was tried again.
outbox = sa.Table(
    "outbox",
    _metadata,
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
    sa.Column("message_id", sa.Text, nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("stream", sa.Text, nullable=False),
    sa.Column("payload", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("next_at", sa.BigInteger, nullable=False),
    sa.Column("give_up_at", sa.BigInteger, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("uncertain", sa.Integer, nullable=False),
    sa.Column("lease", sa.Text),
    sa.Column("leased_until", sa.BigInteger),
    sa.Column("settled_at", sa.BigInteger),
    sa.Column("last_status", sa.Integer),
    sa.Column("last_error", sa.Text, nullable=False),
)

# What a channel asked for (`Retry-After`), or its own pace: nothing is sent to it before.
outbox_channels = sa.Table(
    "outbox_channels",
    _metadata,
    sa.Column("channel", sa.Text, primary_key=True),
    sa.Column("not_before", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
)

SECOND_US: Final = 1_000_000
