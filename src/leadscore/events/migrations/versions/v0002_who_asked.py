"""Latency, source and caller of predictions; the caller of evidence."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_CALLER = ("caller_kind", "caller_name", "caller_address")


def upgrade() -> None:
    """Add the columns; earlier rows have nulls in them.

    So have rows that the release before goes on writing.
    """
    if op.get_bind().dialect.name == "postgresql":
        op.execute("SET LOCAL lock_timeout = '3s'")
    op.add_column("predictions", sa.Column("latency_us", sa.BigInteger))
    op.add_column("predictions", sa.Column("source", _TEXT))
    for table in ("predictions", "evidence"):
        for name in _CALLER:
            op.add_column(table, sa.Column(name, _TEXT))
