"""Servers under measurement: started on a core of their own, waited for, and stopped, only on 127.0.0.1."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from benchmarks.errors import BenchError
from benchmarks.machine import available_cores

_READY_SECONDS = 120.0
_STOP_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How to start a server.

    Attributes:
        name: For people and for the log file.
        command: Program and arguments; `{port}` is replaced.
        ready: Path that answers 200 when the server is ready.
        environ: Added to the environment; `{port}` is replaced.
        folder: Working directory, which also takes the log.
    """

    name: str
    command: tuple[str, ...]
    ready: str
    folder: Path
    environ: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers; `seconds` from its start to being ready."""

    name: str
    pid: int
    port: int
    seconds: float


@contextmanager
def running(plan: Plan) -> Generator[Running]:
    """Start the server on the last core, wait until it is ready, and stop it with everything it started.

    Raises:
        BenchError: It ended, or was not ready in time; the message ends with its log.
    """
    port = free_port()
    environ = {**os.environ, **{key: value.format(port=port) for key, value in plan.environ.items()}}
    plan.folder.mkdir(parents=True, exist_ok=True)
    log = plan.folder / f"{plan.name}.log"
    with log.open("wb") as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            on_core(server_core(), [part.format(port=port) for part in plan.command]),
            cwd=plan.folder,
            env=environ,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_until_ready(plan, process, port, log)
        yield Running(plan.name, process.pid, port, time.perf_counter() - started)
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process that leads its own session, and whatever it started: politely, then not."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, how)
        except ProcessLookupError:
            break
        deadline = time.monotonic() + _STOP_SECONDS
        while (process.poll() is None or process_tree(process.pid)) and time.monotonic() < deadline:
            time.sleep(0.02)
    process.wait()


def process_tree(leader: int) -> list[int]:
    """Living processes that `leader` began.

    Its session's, and the descendants of those, who may have sessions of their own.

    Linux only, else empty.
    """
    parents: dict[int, int] = {}
    tree: set[int] = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            # The name in brackets may hold spaces; what follows the last bracket does not.
            state, parent, _, session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if state != "Z":
            parents[int(entry.name)] = int(parent)
            if int(session) == leader:
                tree.add(int(entry.name))
    while grown := {pid for pid, parent in parents.items() if parent in tree} - tree:
        tree |= grown
    return sorted(tree)


def peak_bytes() -> int:
    """High-water mark of this program's memory (`ru_maxrss` includes the parent's, inherited at fork)."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def server_core() -> int | None:
    """The core that servers are pinned to: the last; None where there is only one, or nothing that pins."""
    if shutil.which("taskset") is None or available_cores() < 2:
        return None
    return max(os.sched_getaffinity(0))


def client_core() -> int | None:
    """The core that load comes from: the first."""
    return min(os.sched_getaffinity(0)) if server_core() is not None else None


def on_core(core: int | None, command: Sequence[str]) -> list[str]:
    """The command, kept on that core together with everything it starts."""
    return list(command) if core is None else ["taskset", "--cpu-list", str(core), *command]


@contextmanager
def this_thread_on(core: int | None) -> Generator[None]:
    """Keep the calling thread on that core for a while.

    Load that comes from here must not take the server's.
    """
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _wait_until_ready(plan: Plan, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.perf_counter() + _READY_SECONDS
    while time.perf_counter() < deadline:
        if process.poll() is not None:
            raise BenchError(f"{plan.name} ended with code {process.returncode}: {_tail(log)}")
        if _answers(port, plan.ready):
            return
        time.sleep(0.02)
    raise BenchError(f"{plan.name} was not ready after {_READY_SECONDS:.0f} s: {_tail(log)}")


def _answers(port: int, path: str) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _tail(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-1500:].strip()
