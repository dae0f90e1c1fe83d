"""Counters of all workers in shared memory: one mapped file per worker, summed when somebody asks.

A worker claims the first file that no living worker holds (flock). A restarted worker thus goes on counting
where the dead one stopped, a service with fewer workers than before loses no count, and there are never more
files than there were workers at once. Files of other models are removed.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from leadscore.errors import UnavailableError
from leadscore_service.metrics_layout import CounterLayout, Counters

_SUFFIX: Final = ".counters"


class CounterFile:
    """The file of one worker, held until `close` or the process's end.

    Attributes:
        counters: For the hot path.
        cells: The same memory as uint64 (layout.size,), for vectorised additions.
    """

    def __init__(self, directory: Path, layout: CounterLayout) -> None:
        self._layout = layout
        self._directory = directory
        try:
            directory.mkdir(parents=True, exist_ok=True)
            _remove_others(directory, layout.digest)
            self._fd = _claim(directory, layout)
            self._map = mmap.mmap(self._fd, layout.size * 8)
        except OSError as error:
            raise UnavailableError(
                f"The counters below {directory} cannot be kept: {error.strerror}.",
                hint="Check owner and space of LEADSCORE_SPOOL_DIR.",
            ) from error
        self.cells: npt.NDArray[np.uint64] = np.frombuffer(self._map, dtype=np.uint64)
        self.counters = Counters(memoryview(self._map).cast("Q"), layout)

    def total(self) -> npt.NDArray[np.uint64]:
        """Sum of all workers' counters, living and dead, uint64 (layout.size,)."""
        total = np.zeros(self._layout.size, dtype=np.uint64)
        for path in sorted(self._directory.glob(f"{self._layout.digest}-*{_SUFFIX}")):
            content = path.read_bytes()
            if len(content) == self._layout.size * 8:
                total += np.frombuffer(content, dtype=np.uint64)
        return total

    def close(self) -> None:
        """Let another worker have the file. The memory stays mapped: late requests may still count."""
        # The mapping holds a duplicate of the descriptor, and the lock with it: closing alone would not let
        # go.
        fcntl.flock(self._fd, fcntl.LOCK_UN)
        os.close(self._fd)


def _claim(directory: Path, layout: CounterLayout) -> int:
    slot = 0
    while True:
        path = directory / f"{layout.digest}-{slot:03d}{_SUFFIX}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            slot += 1
            continue
        # Allocated, not sparse: writing to a mapped hole of a full disk would kill the process (SIGBUS).
        os.posix_fallocate(descriptor, 0, layout.size * 8)
        return descriptor


def _remove_others(directory: Path, digest: str) -> None:
    for path in directory.glob(f"*{_SUFFIX}"):
        if path.name.startswith(f"{digest}-"):
            continue
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue  # a worker of the previous model is still draining
            path.unlink(missing_ok=True)
