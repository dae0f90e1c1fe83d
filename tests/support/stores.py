"""Event stores for tests, on each of the two databases.

Import `backend`, `url` and `postgres` into a conftest.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.postgres import PostgresServer, postgres

__all__ = ["backend", "fresh_url", "postgres", "url"]


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def backend(request: pytest.FixtureRequest) -> str:
    """Everything that reads or writes the event store is claimed of both databases."""
    kind: str = request.param
    return kind


def fresh_url(backend: str, request: pytest.FixtureRequest, folder: Path) -> str:
    """URL of an event store that nobody has used; a SQLite one lies in the folder."""
    if backend == "sqlite":
        return f"sqlite:///{folder / 'events.db'}"
    # Asked for only where it is needed: SQLite's half runs without PostgreSQL.
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
def url(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an event store of this test's own."""
    return fresh_url(backend, request, tmp_path)
