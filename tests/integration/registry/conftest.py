from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.artefacts import build_artefact
from tests.support.mlflow_server import MlflowServer

from leadscore.settings import Home


@pytest.fixture(scope="session")
def one_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """One for all tests: it takes ten seconds and more to start."""
    server = MlflowServer(tmp_path_factory.mktemp("mlflow"))
    yield server
    server.kill()


@pytest.fixture
def server(one_server: MlflowServer) -> MlflowServer:
    """The server, running (again)."""
    one_server.start()
    return one_server


@pytest.fixture(scope="session")
def artefacts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    root = tmp_path_factory.mktemp("artefacts")
    return tuple(build_artefact(root / str(seed), seed=seed, trees=3) for seed in range(3))


@pytest.fixture
def home(server: MlflowServer, tmp_path: Path) -> Home:
    """A machine that uses the server."""
    environment = {"LEADSCORE_HOME": str(tmp_path / "home"), "LEADSCORE_TRACKING_URI": server.uri}
    return Home.from_environment(environment)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A model of the test's own."""
    return request.node.name.removeprefix("test_")[:60]
