"""The operator's clock, moved by a file: by libfaketime without its help, or read by an operator that can."""

from __future__ import annotations

import glob
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

_PLACES = (
    "/usr/lib/*/faketime/libfaketime.so.1",
    "/usr/lib/faketime/libfaketime.so.1",
    "/usr/local/lib/faketime/*.so.1",
)


def library() -> str | None:
    """libfaketime, if it is installed (`tools/setup/system.sh faults`)."""
    return next((found for place in _PLACES for found in sorted(glob.glob(place))), None)  # noqa: PTH207 (absolute)


class Clock:
    """An offset to the true time; only wall-clock time moves, as when a machine's clock is set."""

    def __init__(self, folder: Path, *, own: bool = False) -> None:
        """`own`: the operator reads the file by itself."""
        self.file = folder / "clock"
        self._own = own
        self._offset = 0
        self._lock = threading.Lock()
        self.file.write_text("+0")

    def environment(self) -> dict[str, str]:
        """What a process needs to live by this clock.

        Nothing if it reads the file, or the library is missing.
        """
        found = library()
        if found is None or self._own:
            return {}
        return {
            "LD_PRELOAD": found,
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def step(self, seconds: int) -> None:
        """Move it by so many seconds.

        Raises:
            RuntimeError: There is no library, so the clock would not move: a sweep must not count that as
                passed.
        """
        if library() is None and not self._own:
            raise RuntimeError("libfaketime is not installed: tools/setup/system.sh faults")
        # A fault may move it while the scenario does.
        with self._lock:
            self._offset += seconds
            fresh = self.file.with_suffix(".new")
            fresh.write_text(f"{self._offset:+d}")
            fresh.replace(self.file)

    def now(self) -> datetime:
        """The time by this clock."""
        return datetime.now(UTC) + timedelta(seconds=self._offset)
