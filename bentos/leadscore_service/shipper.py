"""Start the process that ships the spool to the event store, and restart it when it dies."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

_log = logging.getLogger(__name__)

_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 30.0
# After running for so long its next death counts as a first one.
_WELL_AFTER_S: Final = 60.0


class ShipperProcess:
    """The shipper of this machine or pod, watched by one worker.

    The shipper holds a lock on the spool, so a second one, started by mistake or by a restarted worker, ends
    by itself; it stops when its worker is gone.
    """

    def __init__(self, spool: Path, events_url: str) -> None:
        # The URL goes by the environment: it may hold a password, and `ps` shows arguments.
        self._environ = {**os.environ, "LEADSCORE_EVENTS_URL": events_url}
        self._command = (
            *(sys.executable, "-m", "leadscore.events.shipper"),
            *("--spool", str(spool), "--exit-with-parent", str(os.getpid())),
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._not_before = 0.0
        self._pause = _FIRST_PAUSE_S

    def keep(self) -> bool:
        """Start the process unless it runs or rests after a failure; True if it was started. Never blocks."""
        now = time.monotonic()
        if self._process is not None:
            if self._process.poll() is None:
                return False
            if now - self._started > _WELL_AFTER_S:
                self._pause = _FIRST_PAUSE_S
            _log.warning(
                "shipper ended",
                extra={"fields": {"code": self._process.returncode, "again_in_s": self._pause}},
            )
            self._process = None
            self._not_before = now + self._pause
            self._pause = min(2 * self._pause, _LONGEST_PAUSE_S)
        if now < self._not_before:
            return False
        try:
            # A group of its own, so that signals to ours pass it by; but our session, because its lower
            # priority counts only among processes that the kernel schedules together (sched(7), autogroup).
            self._process = subprocess.Popen(self._command, env=self._environ, process_group=0)  # noqa: S603
        except OSError as error:
            _log.error("shipper not started", extra={"fields": {"error": str(error)}})
            self._not_before = now + _LONGEST_PAUSE_S
            return False
        self._started = now
        return True

    def stop(self, seconds: float) -> None:
        """Let it ship the spool, for at most `seconds`; the rest waits for the next start."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            _log.warning("shipper cut off", extra={"fields": {"after_s": seconds}})
            self._process.kill()
            self._process.wait()
