"""Processes that run beside the service of `leadscore up`: started, watched, and stopped by their ids."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from leadscore.cli.output import notes
from leadscore.errors import UnavailableError

_STOPPED_WITHIN_S: Final = 10.0
# Callers wait for the service; for what runs beside it on the same cores nobody waits as long.
_NICENESS: Final = 10
# One that ends again and again will not be better the next time.
_STARTS: Final = 3
_WITHIN_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Companion:
    """A process to run.

    Attributes:
        name: For people, and of its log.
        arguments: Of `leadscore`.
        environment: Beside ours.
    """

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(slots=True)
class _Running:
    companion: Companion
    process: subprocess.Popen[bytes]
    starts: list[float]


class Companions:
    """Keeps processes running until they are stopped; what they say goes to files.

    Args:
        logs: Folder of those.
    """

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._running: list[_Running] = []

    def start(self, companion: Companion) -> None:
        """Start one more."""
        self._logs.mkdir(parents=True, exist_ok=True)
        self._running.append(_Running(companion, self._begin(companion), [time.monotonic()]))

    def check(self) -> None:
        """Start again what has ended by itself, and say so.

        Raises:
            UnavailableError: It ended for the third time within a minute.
        """
        for one in self._running:
            code = one.process.poll()
            if code is None:
                continue
            now = time.monotonic()
            one.starts = [at for at in one.starts if now - at < _WITHIN_S]
            log = self._log(one.companion)
            if len(one.starts) >= _STARTS:
                raise UnavailableError(
                    f"The {one.companion.name} ended {_STARTS} times within a minute (code {code}).",
                    hint=f"{log} says why.",
                )
            notes.print(
                f"The {one.companion.name} ended (code {code}; {log}) and is started again.", markup=False
            )
            one.process = self._begin(one.companion)
            one.starts.append(now)

    def stop(self) -> None:
        """End all of them, those first that need the others."""
        for one in reversed(self._running):
            if one.process.poll() is None:
                one.process.terminate()
        until = time.monotonic() + _STOPPED_WITHIN_S
        for one in reversed(self._running):
            try:
                one.process.wait(max(until - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                one.process.kill()
                one.process.wait()
        self._running.clear()

    def _log(self, companion: Companion) -> Path:
        return self._logs / f"{companion.name.replace(' ', '-')}.log"

    def _begin(self, companion: Companion) -> subprocess.Popen[bytes]:
        command = (sys.executable, "-m", "leadscore.cli", *companion.arguments)
        environ = {**os.environ, **companion.environment}
        with self._log(companion).open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - our own module, with checked arguments
                command, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        os.setpriority(os.PRIO_PROCESS, process.pid, os.getpriority(os.PRIO_PROCESS, 0) + _NICENESS)
        return process
