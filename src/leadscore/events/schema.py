"""Tables of the event store as this release reads and writes them, and whether a store has them.

Two numbers say what a store is. `schema_version` changes only when releases before could no
longer work on it: they refuse it then. The revision counts every migration (`migrations`),
each of which leaves the release before working.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from leadscore.events.errors import SchemaTooNewError, SchemaTooOldError

SCHEMA_VERSION: Final = 1
# The first revision that has every column below; later ones change how rows are kept, not what a statement
# says.
NEEDED_REVISION: Final = 2
# The newest: an embedded store is brought to it by whoever opens it.
NEWEST_REVISION: Final = 10
REVISION_TABLE: Final = "events_revision"

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
    sa.Column("latency_us", sa.BigInteger),
    sa.Column("source", _Text),
    sa.Column("caller_kind", _Text),
    sa.Column("caller_name", _Text),
    sa.Column("caller_address", _Text),
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
    sa.Column("caller_kind", _Text),
    sa.Column("caller_name", _Text),
    sa.Column("caller_address", _Text),
    sa.Index("evidence_by_subject", "subject", "kind", "at"),
    sa.Index("evidence_by_time", "at"),
)

_revision = sa.Table(REVISION_TABLE, sa.MetaData(), sa.Column("version_num", sa.String(32), primary_key=True))


@dataclass(frozen=True, slots=True)
class SchemaState:
    """What a store is.

    Attributes:
        version: Of `schema_version`; 0: the store is empty.
        revision: The newest migration that is done; 1 for a store that a release before migrations made.
    """

    version: int
    revision: int


def read_state(connection: sa.Connection) -> SchemaState:
    """Look at what the store is."""
    inspector = sa.inspect(connection)
    if not inspector.has_table(schema_version.name):
        return SchemaState(0, 0)
    version = connection.execute(sa.select(sa.func.max(schema_version.c.version))).scalar() or 0
    if not inspector.has_table(REVISION_TABLE):
        return SchemaState(version, min(version, 1))
    found = connection.execute(sa.select(_revision.c.version_num)).scalars().all()
    return SchemaState(version, max(map(int, found), default=min(version, 1)))


def is_unused(connection: sa.Connection, found: SchemaState) -> bool:
    """Whether a store holds no record, so that its schema may be replaced."""
    if found.version == 0:
        return True
    anything = [sa.exists(sa.select(sa.literal(1)).select_from(t)) for t in (predictions, outcomes, evidence)]
    return not connection.execute(sa.select(sa.or_(*anything))).scalar_one()


def check_version(found: int) -> None:
    """Refuse a schema that this release does not know."""
    if found > SCHEMA_VERSION:
        raise SchemaTooNewError(
            f"The event store has schema version {found}; this release knows {SCHEMA_VERSION}.",
            hint="Upgrade leadscore wherever it writes to this store.",
        )


def check_revision(found: int, needed: int = NEEDED_REVISION) -> None:
    """Refuse to work on a schema without the columns, or tables, that are needed."""
    if found < needed:
        raise SchemaTooOldError(
            f"The event store is at revision {found}, and this release needs {needed}: it waits for"
            " `leadscore events migrate`.",
            hint="The chart's migration Job runs it. Until then predictions wait on the spool.",
        )
