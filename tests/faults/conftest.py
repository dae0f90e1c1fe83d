"""The servers of the fault tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.faults.harness.api import Api
from tests.faults.harness.controlplane import ControlPlane
from tests.faults.operating import databases
from tests.support.postgres import PostgresServer, require_binaries


@pytest.fixture(scope="session")
def database() -> PostgresServer:
    """The PostgreSQL server of the scenarios."""
    require_binaries()
    return databases.server()


@pytest.fixture
def api(plane: ControlPlane) -> Iterator[Api]:
    """The API server as administrator."""
    opened = Api(plane)
    yield opened
    opened.close()
