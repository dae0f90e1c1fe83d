"""Tables of write-back, in the event store's database; `leadscore.events.migrations` makes them.

Times are microseconds since the epoch (UTC).
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

# As the migration says.
CRM_REVISION: Final = 8

_metadata = sa.MetaData()

# What each target was told of each lead. `chosen_*`: sequence of the newest score that was put into the
# outbox, `digest`: of what it says there; `written_*`: sequence of the newest that the target has.
crm_states = sa.Table(
    "crm_states",
    _metadata,
    sa.Column("target", sa.Text, primary_key=True),
    sa.Column("lead_id", sa.Text, primary_key=True),
    sa.Column("chosen_at", sa.BigInteger, nullable=False),
    sa.Column("chosen_id", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("written_at", sa.BigInteger),
    sa.Column("written_id", sa.Text),
)

# How far something of a target has come: `scores` (changes that were looked at), `mapping` (what it is told),
# `outcomes` (what was read from it).
crm_cursors = sa.Table(
    "crm_cursors",
    _metadata,
    sa.Column("target", sa.Text, primary_key=True),
    sa.Column("what", sa.Text, primary_key=True),
    sa.Column("position", sa.Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
)

# Webhook endpoints. Their secrets are derived from a key that is not here: `generation` counts them,
# `key_mark` says of which key; until a day after `rotated_at` the generation before signs, too.
crm_endpoints = sa.Table(
    "crm_endpoints",
    _metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("key_mark", sa.Text, nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("rotated_at", sa.BigInteger),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("failing_since", sa.BigInteger),
    sa.Column("created_at", sa.BigInteger, nullable=False),
)
