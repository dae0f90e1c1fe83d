"""Every order of starting and killing supervisor, worker and shipper.

All of them end, and the port is free again.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.integration.service.conftest import COMMAND, alive, children, free_port
from tests.support.waiting import wait_until

SUPERVISOR = [sys.executable, "-m", "leadscore_service.supervisor", "--host", "127.0.0.1", "--port", "{port}"]
SERVE = [COMMAND, "serve", "--port", "{port}", "--json"]


class Started:
    """A service on its way up, seen from outside; whatever is left of it is killed when the test ends."""

    def __init__(self, command: list[str], environ: dict[str, str], log: Path) -> None:
        self.port = free_port()
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                [part.format(port=self.port) for part in command],
                env={**os.environ, **environ},
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        self.seen: set[int] = {self.process.pid}

    def below(self, generations: int) -> list[int]:
        """Descendants of that generation; 1 are children. Everybody who is seen is remembered."""
        found = [self.process.pid]
        for _ in range(generations):
            found = [child for pid in found for child in children(pid)]
            self.seen.update(found)
        return found

    def gone(self) -> bool:
        self.process.poll()
        return not any(map(alive, self.seen))

    def port_is_free(self) -> bool:
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", self.port))
            probe.listen()
            return True
        return False


@pytest.fixture
def stuck(artefact: Path, tmp_path: Path) -> Path:
    """A model whose first file never gives a byte: whoever loads it stays in the middle of it."""
    folder = tmp_path / "stuck"
    folder.mkdir()
    for file in artefact.iterdir():
        os.mkfifo(folder / file.name)
    return folder


@pytest.fixture
def begin(artefact: Path, tmp_path: Path) -> Iterator[Callable[..., Started]]:
    made: list[Started] = []

    def start(command: list[str], model: Path = artefact, **settings: str) -> Started:
        environ = {
            "LEADSCORE_HOME": str(tmp_path / "home"),
            "LEADSCORE_MODEL_DIR": str(model),
            "LEADSCORE_AUTH": "off",
            "LEADSCORE_THREADS": "1",
            "LEADSCORE_SHUTDOWN_S": "2",
            **settings,
        }
        made.append(Started(command, environ, tmp_path / "started.log"))
        return made[-1]

    yield start
    for one in made:
        one.below(3)
        for pid in one.seen:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        one.process.wait()


def imports(pid: int, what: str) -> bool:
    """Whether a process has loaded a library."""
    try:
        return what in Path(f"/proc/{pid}/maps").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def asked(started: Started, path: str) -> bool:
    """Whether the path is answered with 200."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", started.port), 5) as connection:
        connection.settimeout(5)
        connection.sendall(b"GET " + path.encode() + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return connection.recv(4096).startswith(b"HTTP/1.1 200")
    return False


PHASES = ["forked", "importing", "ready"]


def reach(started: Started, phase: str, generation: int = 1) -> int:
    """Wait until the worker is so far; its process id."""
    wait_until(lambda: bool(started.below(generation)), what="a worker")
    (worker,) = started.below(generation)
    if phase == "importing":
        wait_until(lambda: imports(worker, "httptools"), what="the worker's imports")
    elif phase == "ready":
        wait_until(lambda: asked(started, "/readyz"), seconds=60, what="readiness")
        wait_until(lambda: bool(started.below(generation + 1)), what="the shipper")
    return worker


@pytest.mark.parametrize("phase", PHASES)
def test_the_supervisor_killed_takes_its_worker_along(begin, phase: str) -> None:
    started = begin(SUPERVISOR)
    reach(started, phase)
    started.process.kill()
    wait_until(started.gone, seconds=40, what="the end of all")
    assert started.port_is_free()


def test_the_supervisor_killed_takes_a_worker_along_that_loads_for_ever(begin, stuck: Path) -> None:
    started = begin(SUPERVISOR, stuck)
    reach(started, "importing")
    wait_until(lambda: asked(started, "/livez"), seconds=60, what="an answer")
    started.process.kill()
    wait_until(started.gone, seconds=40, what="the end of all")
    assert started.port_is_free()


def test_the_supervisor_killed_takes_a_replaced_worker_along_that_loads_for_ever(
    begin, artefact: Path, stuck: Path, tmp_path: Path
) -> None:
    """It listens only when the model is there: until then it waits inside the server's start."""
    model = tmp_path / "model"
    model.symlink_to(artefact)
    started = begin(SUPERVISOR, model)
    worker = reach(started, "ready")
    model.unlink()
    model.symlink_to(stuck)
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: started.below(1) not in ([], [worker]), what="a new worker")
    (again,) = started.below(1)
    wait_until(lambda: imports(again, "httptools"), what="its imports")
    started.process.kill()
    wait_until(started.gone, seconds=40, what="the end of all")
    assert started.port_is_free()


@pytest.mark.parametrize("phase", PHASES)
def test_the_supervisor_told_to_stop_stops_its_worker_however_far_it_is(begin, phase: str) -> None:
    started = begin(SUPERVISOR)
    reach(started, phase)
    started.process.terminate()
    assert started.process.wait(40) == 0
    wait_until(started.gone, seconds=20, what="the end of all")
    assert started.port_is_free()


@pytest.mark.parametrize("phase", PHASES)
def test_a_worker_killed_however_far_it_is_is_replaced(begin, phase: str) -> None:
    started = begin(SUPERVISOR)
    worker = reach(started, phase)
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: started.below(1) not in ([], [worker]), what="a new worker")
    reach(started, "ready")
    started.process.terminate()
    assert started.process.wait(40) == 0
    wait_until(started.gone, seconds=20, what="the end of all")


def test_a_shipper_killed_is_replaced_and_ends_with_its_worker(begin) -> None:
    started = begin(SUPERVISOR)
    worker = reach(started, "ready")
    (shipper,) = children(worker)
    os.kill(shipper, signal.SIGKILL)
    wait_until(lambda: children(worker) not in ([], [shipper]), what="a new shipper")
    started.below(2)
    os.kill(worker, signal.SIGKILL)
    started.process.kill()
    wait_until(started.gone, seconds=40, what="the end of all")
    assert started.port_is_free()


@pytest.mark.parametrize("phase", ["supervisor", *PHASES])
def test_the_command_killed_takes_all_along(begin, phase: str) -> None:
    started = begin(SERVE)
    wait_until(lambda: bool(started.below(1)), seconds=60, what="the supervisor")
    if phase != "supervisor":
        reach(started, phase, generation=2)
    started.process.kill()
    wait_until(started.gone, seconds=40, what="the end of all")
    assert started.port_is_free()


def test_command_and_supervisor_killed_together_leave_no_worker(begin) -> None:
    started = begin(SERVE)
    worker = reach(started, "forked", generation=2)
    (supervisor,) = started.below(1)
    os.kill(supervisor, signal.SIGKILL)
    started.process.kill()
    wait_until(lambda: not alive(worker), seconds=40, what="the worker's end")
    wait_until(started.gone, seconds=40, what="the end of all")
    assert started.port_is_free()
