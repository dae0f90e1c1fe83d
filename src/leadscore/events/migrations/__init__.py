"""Migrations of the event store: forward only, one writer at a time, each revision whole or not at all.

A revision only adds (expand); what it makes superfluous is removed by a revision of a later release
(contract), when no release that needs it can be running. So the release before works on the migrated schema:
pods of both write to it while an upgrade is under way, and a rollback needs no other schema.
"""

from __future__ import annotations

from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa
from sqlalchemy import exc

from leadscore.events.schema import check_version, read_state

if TYPE_CHECKING:
    from alembic.config import Config

# Any constant that no other user of the same PostgreSQL database takes ("leadscor" in ASCII).
ADVISORY_LOCK: Final = int.from_bytes(b"leadscor", "big")
_LOCK_NOT_AVAILABLE: Final = "55P03"
_AGAIN_SECONDS: Final = 0.5


def revisions() -> tuple[tuple[int, str], ...]:
    """Number and title of every revision that this release knows, oldest first."""
    from alembic.script import ScriptDirectory  # noqa: PLC0415 (most processes never migrate)

    scripts = ScriptDirectory.from_config(_config()).walk_revisions()
    return tuple(sorted((int(each.revision), each.doc) for each in scripts))


def upgrade(engine: sa.Engine, *, wait_seconds: float = 300.0) -> None:
    """Bring the schema to this release's newest revision; what is done already is left as it is.

    Args:
        engine: Whose transactions write.
        wait_seconds: How long to go on trying for the short exclusive locks that some revisions need
            (PostgreSQL).

    Raises:
        SchemaTooNewError: A newer release has changed it in a way that this one does not know.
        sqlalchemy.exc.SQLAlchemyError: The database refuses; revisions before the one that failed are done.
    """
    if engine.dialect.name == "sqlite":
        # A write transaction excludes every other writer.
        with engine.begin() as connection:
            _run(connection)
        return
    with engine.connect() as connection:
        try:
            # Of the session: revisions have transactions of their own.
            connection.execute(sa.select(sa.func.pg_advisory_lock(ADVISORY_LOCK)))
            connection.commit()
            _run_patiently(connection, wait_seconds)
            connection.execute(sa.select(sa.func.pg_advisory_unlock(ADVISORY_LOCK)))
            connection.commit()
        except BaseException:
            # Its lock must not go back to the pool.
            connection.invalidate()
            raise


def _run_patiently(connection: sa.Connection, seconds: float) -> None:
    give_up = monotonic() + seconds
    while True:
        try:
            _run(connection)
        except exc.OperationalError as error:
            connection.rollback()
            if getattr(error.orig, "sqlstate", "") != _LOCK_NOT_AVAILABLE or monotonic() > give_up:
                raise
            # Waiting in the queue for a lock would hold up everybody behind us.
            sleep(_AGAIN_SECONDS)
        else:
            return


def _run(connection: sa.Connection) -> None:
    from alembic import command  # noqa: PLC0415

    check_version(read_state(connection).version)
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> Config:
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    return config
