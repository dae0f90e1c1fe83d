"""The time, in one place, so that a test can step it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path


class Clock:
    """Wall-clock time, moved by the seconds in a file if one is named.

    The file is read at each call, so that a test can step the clock of a running operator.
    """

    def __init__(self, offset_file: Path | None = None) -> None:
        self._offset_file = offset_file

    def now(self) -> datetime:
        """UTC, to the second: what the API server keeps."""
        moment = datetime.now(UTC).replace(microsecond=0)
        if self._offset_file is not None and self._offset_file.exists():
            moment += timedelta(seconds=float(self._offset_file.read_text().strip() or 0))
        return moment
