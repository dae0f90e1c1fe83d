"""Flushing segments to the disk every so often, off the scoring thread."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path

_log = logging.getLogger(__name__)


class IntervalSync:
    """A thread that calls `fdatasync` on every watched segment each `seconds`, and once more when stopped.

    It opens the files by name: a flush concerns the file, not the descriptor it was written through.

    Attributes:
        errors: Flushes that failed.
    """

    def __init__(self, seconds: float) -> None:
        self.errors = 0
        self._seconds = seconds
        self._lock = threading.Lock()
        self._paths: list[Path] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="spool-sync", daemon=True)
        self._thread.start()

    def watch(self, path: Path) -> None:
        """Flush this segment from now on; the one before it is flushed once more and then forgotten."""
        with self._lock:
            self._paths.append(path)

    def stop(self) -> None:
        """Flush what is open and end the thread."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(self._seconds):
            self._try_to_flush()
        self._try_to_flush()

    def _try_to_flush(self) -> None:
        try:
            self._flush()
        except OSError as error:
            # The thread must not end: the next flush may work, and the kernel writes by itself meanwhile.
            self.errors += 1
            _log.error("spool not flushed", extra={"fields": {"error": error.strerror, "times": self.errors}})

    def _flush(self) -> None:
        with self._lock:
            paths = tuple(self._paths)
            del self._paths[:-1]
        for path in paths:
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:  # shipped and deleted: the event store has it
                continue
            try:
                os.fdatasync(descriptor)
            finally:
                os.close(descriptor)
