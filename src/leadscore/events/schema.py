"""Tables of the event store, and how they come into being when several processes start at once."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from leadscore.events.errors import SchemaTooNewError
from leadscore.events.records import now_us

SCHEMA_VERSION: Final = 1
# Any constant that no other user of the same PostgreSQL database takes ("leadscor" in ASCII).
_ADVISORY_LOCK: Final = int.from_bytes(b"leadscor", "big")

# Byte order, as SQLite has it: ties break alike everywhere, and PostgreSQL compares faster than by locale.
_Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_Float: sa.types.TypeEngine[float] = sa.Double()

metadata = sa.MetaData()

schema_version = sa.Table(
    "schema_version",
    metadata,
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("applied_at", sa.BigInteger, nullable=False),
)

predictions = sa.Table(
    "predictions",
    metadata,
    sa.Column("prediction_id", _Text, primary_key=True),
    sa.Column("lead_id", _Text, nullable=False),
    sa.Column("model_name", _Text, nullable=False),
    sa.Column("model_version", _Text, nullable=False),
    sa.Column("contract_version", _Text, nullable=False),
    sa.Column("role", _Text, nullable=False),
    sa.Column("scored_at", sa.BigInteger, nullable=False),
    sa.Column("probability", _Float, nullable=False),
    sa.Column("score", _Float, nullable=False),
    sa.Column("grade", _Text, nullable=False),
    sa.Column("features", sa.LargeBinary, nullable=False),
    sa.Column("request_id", _Text, nullable=False),
    sa.Column("warnings", _Text, nullable=False),
    sa.Index("predictions_by_time", "scored_at", "prediction_id"),
    sa.Index("predictions_by_lead", "lead_id", "scored_at", "prediction_id"),
)

outcomes = sa.Table(
    "outcomes",
    metadata,
    sa.Column("outcome_id", _Text, primary_key=True),
    sa.Column("lead_id", _Text, nullable=False),
    sa.Column("prediction_id", _Text),
    sa.Column("converted", sa.Boolean, nullable=False),
    sa.Column("value", _Float),
    sa.Column("occurred_at", sa.BigInteger, nullable=False),
    sa.Column("recorded_at", sa.BigInteger, nullable=False),
    sa.Column("source", _Text, nullable=False),
    sa.Index("outcomes_by_lead", "lead_id", "occurred_at"),
    sa.Index("outcomes_by_prediction", "prediction_id"),
    sa.Index("outcomes_by_time", "recorded_at"),
)

evidence = sa.Table(
    "evidence",
    metadata,
    sa.Column("evidence_id", _Text, primary_key=True),
    sa.Column("kind", _Text, nullable=False),
    sa.Column("subject", _Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("document", _Text, nullable=False),
    sa.Index("evidence_by_subject", "subject", "kind", "at"),
    sa.Index("evidence_by_time", "at"),
)


def current_version(connection: sa.Connection) -> int:
    """The store's schema version; 0 if it is empty."""
    if not sa.inspect(connection).has_table(schema_version.name):
        return 0
    return connection.execute(sa.select(sa.func.max(schema_version.c.version))).scalar() or 0


def create_schema(connection: sa.Connection) -> None:
    """Create what is missing, inside the caller's (write) transaction.

    On SQLite that transaction already excludes other writers; on PostgreSQL an advisory lock does, so that of
    two processes that start together one creates and the other finds it done.

    Raises:
        SchemaTooNewError: A newer release was here.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
    found = current_version(connection)
    check_version(found)
    if found == 0:
        metadata.create_all(connection)
        connection.execute(schema_version.insert().values(version=SCHEMA_VERSION, applied_at=now_us()))


def check_version(found: int) -> None:
    """Refuse a schema that this release does not know."""
    if found > SCHEMA_VERSION:
        raise SchemaTooNewError(
            f"The event store has schema version {found}; this release knows {SCHEMA_VERSION}.",
            hint="Upgrade leadscore wherever it writes to this store.",
        )
