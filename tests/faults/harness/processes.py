"""Processes that can be killed at any moment.

Fresh interpreters, or forks of one that has imported everything.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import json
import os
import runpy
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import IO, Protocol

_PR_SET_PDEATHSIG = 1


class Child(Protocol):
    """A process of ours."""

    def has_ended(self) -> bool:
        """Whether it is gone."""
        ...

    def kill(self) -> None:
        """SIGKILL; returns when it is gone."""
        ...

    def terminate(self) -> None:
        """SIGTERM."""
        ...


class _Interpreter:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def terminate(self) -> None:
        self._process.terminate()


class _Fork:
    """A grandchild, held by a descriptor: its number alone may be somebody else's by now."""

    def __init__(self, pid: int) -> None:
        try:
            self._handle = os.pidfd_open(pid)
        except ProcessLookupError:  # it has ended already
            self._handle = -1

    def has_ended(self) -> bool:
        if self._handle >= 0 and select.select([self._handle], [], [], 0)[0]:
            self._forget()
        return self._handle < 0

    def kill(self) -> None:
        if not self.has_ended():
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)
            select.select([self._handle], [], [])
            self._forget()

    def terminate(self) -> None:
        if not self.has_ended():
            signal.pidfd_send_signal(self._handle, signal.SIGTERM)

    def _forget(self) -> None:
        os.close(self._handle)
        self._handle = -1


class _Nursery:
    """The process that forks: of one thread, so that what it forks is as clean as a fresh interpreter."""

    def __init__(self, modules: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, *modules], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._lock = threading.Lock()
        atexit.register(self.close)

    def fork(self, module: str, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> int:
        """Number of the new process."""
        asked = {"module": module, "arguments": [*arguments], "environment": {**environment}, "log": str(log)}
        to, back = self._process.stdin, self._process.stdout
        assert to is not None
        assert back is not None
        with self._lock:
            to.write(json.dumps(asked).encode() + b"\n")
            to.flush()
            return int(back.readline())

    def close(self) -> None:
        """End it, and with it all that it forked."""
        self._process.kill()
        self._process.wait()


@functools.cache
def _nursery(modules: tuple[str, ...]) -> _Nursery:
    return _Nursery(modules)


def started(command: Sequence[str], environment: Mapping[str, str], log: Path) -> Child:
    """A fresh process, its output appended to `log`."""
    with log.open("ab") as output:
        return _Interpreter(
            subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                env=dict(environment)
            )
        )  # fmt: skip


def forked(
    modules: tuple[str, ...], arguments: Sequence[str], environment: Mapping[str, str], log: Path
) -> Child:
    """`python -m modules[0] arguments` in a fork of a process that has imported `modules`."""
    log.touch()  # there from the start, as with a fresh process
    return _Fork(_nursery(modules).fork(modules[0], arguments, environment, log))


def _serve(requests: IO[bytes], answers: IO[bytes]) -> dict[str, object] | None:
    """Fork once per request; returns the request in the child, None in the server at the end."""
    for line in requests:
        pid = os.fork()
        if pid == 0:
            asked: dict[str, object] = json.loads(line)
            return asked
        answers.write(f"{pid}\n".encode())
        answers.flush()
    return None


def _become(module: str, arguments: Sequence[str], environment: Mapping[str, str], log: str) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # Nobody is left behind: the end of the server (its input ends with the harness) is the end of all.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for number, source in ((0, os.open(os.devnull, os.O_RDONLY)), (1, output), (2, output)):
        os.dup2(source, number)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def main() -> None:
    """Import what is named, then fork for each line of the standard input."""
    for module in sys.argv[1:]:
        import_module(module)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them: they must not stay as zombies
    asked = _serve(sys.stdin.buffer, sys.stdout.buffer)
    if asked is not None:
        _become(**asked)  # pyright: ignore[reportArgumentType]


if __name__ == "__main__":
    main()
