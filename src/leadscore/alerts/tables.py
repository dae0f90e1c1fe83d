"""Tables of alerts, in the event store's database; `leadscore.events.migrations` makes them.

Times are microseconds since the epoch (UTC); documents are JSON of the struct that is named.
"""

from __future__ import annotations

import sqlalchemy as sa

_metadata = sa.MetaData()

# `document`: episodes.Episode. At most one row of a fingerprint has no `ended_at`.
alert_episodes = sa.Table(
    "alert_episodes",
    _metadata,
    sa.Column("episode_id", sa.Text, primary_key=True),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("rule", sa.Text, nullable=False),
    sa.Column("severity", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("started_at", sa.BigInteger, nullable=False),
    sa.Column("ended_at", sa.BigInteger),
    sa.Column("document", sa.Text, nullable=False),
)

# What each rule says now, `document`: evaluate.RuleStatus.
alert_rules = sa.Table(
    "alert_rules",
    _metadata,
    sa.Column("rule", sa.Text, primary_key=True),
    sa.Column("evaluated_at", sa.BigInteger, nullable=False),
    sa.Column("document", sa.Text, nullable=False),
)

# `document`: silences.Silence.
alert_silences = sa.Table(
    "alert_silences",
    _metadata,
    sa.Column("silence_id", sa.Text, primary_key=True),
    sa.Column("starts_at", sa.BigInteger, nullable=False),
    sa.Column("ends_at", sa.BigInteger, nullable=False),
    sa.Column("document", sa.Text, nullable=False),
)
