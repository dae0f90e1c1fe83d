"""Runs the service's workers behind one socket.

`python -m leadscore_service.supervisor --port 3000 --workers 2`.

In place of BentoML's process manager, which notices a dead worker only every ten seconds (and in a container
never replaces it), waits up to a day for one that does not stop, closes idle connections after five seconds,
and costs 80 MB. The workers are BentoML's own.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Final

from leadscore.errors import LeadScoreError, UnavailableError
from leadscore_service.lifecycle import LISTENER
from leadscore_service.logs import configure_logging
from leadscore_service.orphan import SUPERVISOR
from leadscore_service.settings import Settings

_log = logging.getLogger("leadscore_service.supervisor")

_BACKLOG: Final = 2048
_POLL_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 5.0
_WELL_AFTER_S: Final = 10.0


@dataclass(slots=True)
class _Slot:
    """One worker's place: its process, or when the next one may start."""

    number: int
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    not_before: float = 0.0
    pause: float = 0.0


class Supervisor:
    """Keeps `workers` processes alive until it is told to stop, or until `parent`, if given, is gone."""

    def __init__(
        self, listener: socket.socket, workers: int, settings: Settings, parent: int | None = None
    ) -> None:
        self._listener = listener
        self._slots = [_Slot(number + 1) for number in range(workers)]
        self._settings = settings
        self._parent = parent
        self._stopping = False

    def stop(self) -> None:
        """Ask `run` to end; may be called from a signal handler."""
        self._stopping = True

    def run(self) -> None:
        """Start the workers, replace those that die, stop them all in bounded time."""
        while not self._stopping and self._parent in (None, os.getppid()):
            for slot in self._slots:
                self._keep(slot)
            time.sleep(_POLL_S)
        self._stop_workers()

    def _keep(self, slot: _Slot) -> None:
        now = time.monotonic()
        if slot.process is not None:
            code = slot.process.poll()
            if code is None:
                return
            # The first restart is immediate; those of a worker that keeps dying are delayed.
            well = now - slot.started > _WELL_AFTER_S
            slot.pause = 0.0 if well else min(max(2 * slot.pause, 0.25), _LONGEST_PAUSE_S)
            slot.not_before = now + slot.pause
            slot.process = None
            _log.warning("worker died", extra={"fields": {"worker": slot.number, "code": code}})
        if now >= slot.not_before:
            try:
                slot.process = self._start(slot.number, first=slot.started == 0.0)
            except OSError as error:
                # No memory or process to be had for a moment: the supervisor must not end for that.
                slot.not_before = now + _LONGEST_PAUSE_S
                _log.error(
                    "worker not started", extra={"fields": {"worker": slot.number, "error": str(error)}}
                )
                return
            slot.started = now

    def _start(self, number: int, *, first: bool) -> subprocess.Popen[bytes]:
        descriptor = self._listener.fileno()
        command = (
            *(
                sys.executable,
                "-m",
                "leadscore_service.server_adapter",
                "leadscore_service.service:LeadScoring",
            ),
            *("--service-name", "lead_scoring", "--fd", str(descriptor), "--worker-id", str(number)),
            *("--backlog", str(_BACKLOG)),
            *("--timeout-graceful-shutdown", str(max(1, round(self._settings.shutdown_s / 2)))),
        )
        environ = {
            **os.environ,
            # Only then it listens: no caller gets "not ready" from one worker while another could answer.
            "LEADSCORE_SUPERVISED": "at-once" if first and len(self._slots) == 1 else "loaded",
            LISTENER: str(descriptor),
            SUPERVISOR: str(os.getpid()),
            "BENTOML_DO_NOT_TRACK": "True",
            # NumPy's own threads would each take a stack and never be used.
            "OPENBLAS_NUM_THREADS": os.environ.get("OPENBLAS_NUM_THREADS", "1"),
        }
        # A session of its own: Ctrl-C on the terminal reaches the supervisor only, which stops workers in
        # order.
        return subprocess.Popen(command, env=environ, pass_fds=(descriptor,), start_new_session=True)  # noqa: S603

    def _stop_workers(self) -> None:
        # Closed here: connections must not wait in its queue after the last worker.
        self._listener.close()
        running = [slot.process for slot in self._slots if slot.process is not None]
        for process in running:
            process.terminate()
        # Workers bound their own shutdown; this is for a stuck one.
        deadline = time.monotonic() + self._settings.drain_s + self._settings.shutdown_s + 2.0
        for process in running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _log.error("worker killed", extra={"fields": {"pid": process.pid}})
                process.kill()
                process.wait()


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; UnavailableError if the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise UnavailableError(
            f"Cannot listen on {host}:{port}: {error.strerror}.",
            hint="Is another service running? Try another port.",
        ) from error
    return listener


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT; the exit code is that of a `LeadScoreError`, if there is one."""
    parser = argparse.ArgumentParser(prog="python -m leadscore_service.supervisor", description=__doc__)
    parser.add_argument("--host", default="0.0.0.0")  # noqa: S104 - in a container; the command line says 127.0.0.1
    parser.add_argument("--port", type=int, default=3000)
    parser.add_argument("--workers", type=int, default=int(os.environ.get("LEADSCORE_WORKERS") or 1))
    parser.add_argument("--exit-with-parent", type=int, metavar="PID", help="stop when this parent is gone")
    given = parser.parse_args(arguments)
    configure_logging()
    try:
        settings = Settings.from_environment()
        listener = listen(given.host, given.port)
    except LeadScoreError as error:
        _log.error("cannot start", extra={"fields": {"error": error.message, "hint": error.hint}})
        return int(error.exit_code)
    supervisor = Supervisor(listener, max(1, given.workers), settings, given.exit_with_parent)

    def on_signal(number: int, frame: FrameType | None) -> None:
        del number, frame
        supervisor.stop()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    _log.info(
        "listening", extra={"fields": {"host": given.host, "port": given.port, "workers": given.workers}}
    )
    supervisor.run()
    listener.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
