from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.artefacts import build_artefact

from leadscore.settings import Home

START_SECONDS = 120.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class MlflowServer:
    """A real `mlflow server` on loopback: SQLite, and artefacts through the server."""

    def __init__(self, root: Path) -> None:
        self.artefacts = root / "artefacts"
        self.port = _free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self._root = root
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it unless it runs; returns when it answers."""
        if self._process is not None and self._process.poll() is None:
            return
        command = [
            *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)),
            *("--backend-store-uri", f"sqlite:///{self._root / 'server.db'}"),
            *("--artifacts-destination", str(self.artefacts), "--workers", "1"),
        ]
        log = self._root / "server.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(log.read_text()[-3000:])
            time.sleep(0.2)

    def signal(self, number: signal.Signals) -> None:
        """Signal the server and its workers."""
        assert self._process is not None
        os.killpg(self._process.pid, number)

    def kill(self) -> None:
        """Stop it at once."""
        if self._process is not None and self._process.poll() is None:
            self.signal(signal.SIGKILL)
            self._process.wait()

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=2) as reply:
                return reply.status == 200
        except OSError:
            return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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
