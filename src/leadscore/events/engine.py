"""Connections and transactions of the event store's two databases, and the translation of their errors."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy import event, exc

from leadscore.errors import BadInputError, LeadScoreError
from leadscore.events.errors import RecordRefusedError, StoreEncodingError, StoreUnavailableError

if TYPE_CHECKING:
    from leadscore.events.patience import ImpatientConnection

_WRITES: Final = "leadscore_writes"
_CONNECT_SECONDS: Final = 5
_BUSY_SECONDS: Final = 15
_AGAIN_SECONDS: Final = 0.01
# A writer whose connection was lost unnoticed by the server holds its inserted rows: a retry of the same
# record would wait until TCP gives up (two hours).
_IDLE_WRITER_SECONDS: Final = 15


def parse_url(text: str) -> sa.URL:
    """The URL with the driver we ship.

    Raises:
        BadInputError: Not a URL, or neither SQLite nor PostgreSQL.
    """
    hint = "Use sqlite:////path/events.db or postgresql://user@host/database."
    try:
        url = sa.make_url(text)
    except exc.ArgumentError as error:
        raise BadInputError("The event store's URL cannot be parsed.", hint=hint) from error
    backend = url.get_backend_name()
    if backend in {"postgresql", "postgres"}:
        return url.set(drivername="postgresql+psycopg")
    if backend == "sqlite" and url.database not in {None, "", ":memory:"}:
        return url
    raise BadInputError(f"The event store cannot be {url.render_as_string()}.", hint=hint)


@dataclass(frozen=True, slots=True)
class Engines:
    """One pool of connections, two kinds of transactions on it.

    Attributes:
        read: Sees one state of the database from beginning to end.
        write: Takes the write lock at its start (SQLite), or sees what others commit meanwhile (PostgreSQL).
    """

    read: sa.Engine
    write: sa.Engine


def open_engines(url: sa.URL, answer_seconds: float | None = None) -> Engines:
    """Engines that connect on first use and give up on a host that is gone within seconds, not minutes.

    Args:
        url: Of the store.
        answer_seconds: How long a PostgreSQL server may be silent while it is asked something, though its
            host is there; None: as long as a statement takes.
    """
    if url.get_backend_name() == "sqlite":
        engine = sa.create_engine(url, connect_args={"timeout": _BUSY_SECONDS})
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return Engines(read=engine, write=engine.execution_options(**{_WRITES: True}))
    timeouts = {
        "connect_timeout": _CONNECT_SECONDS,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 20_000,
    }
    given = {key: value for key, value in timeouts.items() if key not in url.query}
    engine = sa.create_engine(url, connect_args=given, pool_pre_ping=True, pool_size=2)
    event.listen(engine, "begin", _begin_postgresql)
    event.listen(engine, "do_connect", partial(_connect, answer_seconds))
    return Engines(
        read=engine.execution_options(isolation_level="REPEATABLE READ"),
        write=engine.execution_options(**{_WRITES: True}),
    )


def _configure_sqlite(connection: sqlite3.Connection, _: object) -> None:
    # The driver's own transactions begin too late to protect a read before a write.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_SECONDS * 1000}")
    _write_ahead(connection)
    # The spool deletes what the store has committed, so a commit must outlive power loss.
    connection.execute("PRAGMA synchronous = FULL")


def _write_ahead(connection: sqlite3.Connection) -> None:
    # Two processes that open a new file at once both turn it to WAL. SQLite does not use its busy timeout for
    # that: one of them gets "database is locked" at once.
    give_up = monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or monotonic() > give_up:
                raise
            sleep(_AGAIN_SECONDS)
        else:
            return


def _begin_sqlite(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _begin_postgresql(connection: sa.Connection) -> None:
    if connection.get_execution_options().get(_WRITES, False):
        connection.exec_driver_sql(
            f"SET LOCAL idle_in_transaction_session_timeout = {_IDLE_WRITER_SECONDS * 1000}"
        )


def _connect(
    seconds: float | None, _dialect: object, _record: object, words: tuple[str, ...], options: dict[str, Any]
) -> ImpatientConnection:
    # Installations with events in SQLite may lack the driver.
    from leadscore.events.patience import ImpatientConnection  # noqa: PLC0415

    connection = ImpatientConnection.connect(*words, **options)
    name, encoding = connection.info.dbname, connection.info.parameter_status("server_encoding")
    # Before SQLAlchemy's first query: under SQL_ASCII text is bytes of any kind.
    if encoding not in (None, "UTF8"):
        connection.close()
        raise StoreEncodingError(
            f"The event store's database {name!r} keeps text as {encoding}, not as UTF8.",
            hint="Make a database for it: CREATE DATABASE leadscore ENCODING 'UTF8' TEMPLATE template0.",
        )
    if seconds is not None:
        connection.answer_seconds = seconds
    return connection


def make_parent(url: sa.URL) -> None:
    """Create the folder of an SQLite file."""
    if url.get_backend_name() == "sqlite" and url.database:
        try:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreUnavailableError(
                f"Cannot create the folder of {url.database}: {error.strerror}.", hint="Check LEADSCORE_HOME."
            ) from error


def translate(error: exc.SQLAlchemyError, url: sa.URL) -> LeadScoreError:
    """Translate an error: the record's fault (`RecordRefusedError`) or the store's (`UnavailableError`).

    Only the first line of a database's message is kept, because the next ones may quote the row.
    """
    cause = error.orig if isinstance(error, exc.DBAPIError) and error.orig is not None else error
    line = next(iter(str(cause).strip().splitlines()), type(cause).__name__)
    if isinstance(error, exc.DataError | exc.IntegrityError):
        return RecordRefusedError(f"The event store refuses a record: {line}.", hint="Correct the record.")
    return StoreUnavailableError(
        f"The event store {url.render_as_string()} cannot be used: {line}.",
        hint="Is the database up, and may this user write to it? The spool keeps what is not stored yet.",
    )
