"""The service as people run it: `leadscore serve` in a process of its own, asked over HTTP."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from tests.support.artefacts import build_artefact
from tests.support.waiting import wait_until

from leadscore.contract.openapi import example_lead
from leadscore.scoring.model import ScoringModel

COMMAND = str(Path(sys.executable).parent / "leadscore")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def children(pid: int) -> list[int]:
    """Direct children of a process."""
    tasks = Path(f"/proc/{pid}/task")
    try:
        return [int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split()]
    except FileNotFoundError:
        return []


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Served:
    """One `leadscore serve` (or another command that listens) and its home."""

    def __init__(
        self, home: Path, environ: Mapping[str, str], workers: int, command: list[str] | None
    ) -> None:
        self.home = home
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = home.parent / f"{home.name}-{self.port}.log"
        self._environ = {**os.environ, "LEADSCORE_HOME": str(home), **environ}
        default = [COMMAND, "serve", "--port", str(self.port), "--workers", str(workers), "--json"]
        self._command = default if command is None else [part.format(port=self.port) for part in command]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Served:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, env=self._environ, stdout=subprocess.PIPE, stderr=log, start_new_session=True
            )
        wait_until(self.ready, seconds=60, what=f"readiness of {self.url}")
        return self

    def ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def workers(self) -> list[int]:
        """Processes that answer requests: children of the supervisor, which is our process's child."""
        assert self.process is not None
        return [worker for supervisor in children(self.process.pid) for worker in children(supervisor)]

    def family(self) -> list[int]:
        """Our process and everything below it."""
        assert self.process is not None
        found, todo = [], [self.process.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            todo += children(pid)
        return found

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Stop it; returns the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(60)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code

    def metric(self, line: str) -> float:
        """Sum of the samples whose line starts with `line`."""
        text = httpx.get(f"{self.url}/metrics").text
        return sum(float(one.rpartition(" ")[2]) for one in text.splitlines() if one.startswith(line))

    def stored(self, table: str = "predictions", key: str = "prediction_id") -> list[str]:
        """Ids in the event store, sorted."""
        path = self.home / "events.db"
        if not path.exists():
            return []
        engine = sa.create_engine(f"sqlite:///{path}")
        try:
            with engine.connect() as connection:
                return sorted(connection.execute(sa.text(f"SELECT {key} FROM {table}")).scalars())
        except sa.exc.OperationalError:  # the shipper has not made the tables yet
            return []
        finally:
            engine.dispose()


@pytest.fixture(scope="session")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_artefact(tmp_path_factory.mktemp("model") / "artefact")


@pytest.fixture(scope="session")
def lead(artefact: Path) -> dict[str, object]:
    return example_lead(ScoringModel.load(artefact).contract)


@pytest.fixture(scope="session")
def lead_body(lead: dict[str, object]) -> bytes:
    return json.dumps(lead).encode()


@pytest.fixture
def serve(artefact: Path, tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Starts services in one home; all of them are stopped when the test ends."""
    made: list[Served] = []

    def start(*, workers: int = 1, command: list[str] | None = None, **settings: str) -> Served:
        environ = {
            "LEADSCORE_MODEL_DIR": str(artefact),
            "LEADSCORE_AUTH": "off",
            "LEADSCORE_THREADS": "1",
            **settings,
        }
        served = Served(tmp_path / "home", environ, workers, command)
        made.append(served)
        return served.start()

    yield start
    for served in made:
        if served.process is not None:
            served.stop()
