"""Flushing segments to the disk every so often, off the scoring thread."""

from __future__ import annotations

import os
import threading
from pathlib import Path


class IntervalSync:
    """A thread that calls `fdatasync` on every watched segment each `seconds`, and once more when stopped.

    It opens the files by name: a flush concerns the file, not the descriptor it was written through.
    """

    def __init__(self, seconds: float) -> None:
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
            self._flush()
        self._flush()

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
