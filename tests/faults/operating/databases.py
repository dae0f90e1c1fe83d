"""The event store of the scenarios.

One PostgreSQL server for all replays, a database and a user of its own for each.
"""

from __future__ import annotations

import atexit
import functools
import threading
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager

from tests.faults.harness.servers import STORE, DatabaseServer, Server
from tests.support.postgres import PostgresServer, running_postgres

_starting = threading.Lock()


def server() -> PostgresServer:
    """The one of this process; started when it is asked for first."""
    with _starting:
        return _server()


@functools.cache
def _server() -> PostgresServer:
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(running_postgres())


def url(address: str, namespace: str) -> str:
    """How a replay's store is reached at an address (host and port)."""
    return f"postgresql://{namespace}:hidden@{address}/{namespace}"


@contextmanager
def fresh(namespace: str) -> Generator[Sequence[Server]]:
    """A replay's own user and database.

    Gone in the end, however many sessions somebody has left open there.
    """
    running = server()
    running.run(f'CREATE ROLE "{namespace}" LOGIN', f'CREATE DATABASE "{namespace}" OWNER "{namespace}"')
    try:
        yield (DatabaseServer(STORE, running.port),)
    finally:
        running.run(f'DROP DATABASE "{namespace}" WITH (FORCE)', f'DROP ROLE "{namespace}"')


def lock_out(namespace: str) -> None:
    """Take the user's right to come in, and end what it has open: credentials that were withdrawn."""
    mine = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{namespace}'"
    server().run(f'ALTER ROLE "{namespace}" NOLOGIN', mine)


def let_in(namespace: str) -> None:
    """Give it back."""
    server().run(f'ALTER ROLE "{namespace}" LOGIN')
