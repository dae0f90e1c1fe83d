"""Advisory file locks between the processes of one machine."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from leadscore.errors import UnavailableError


@contextmanager
def locked(path: Path) -> Generator[None]:
    """Hold an exclusive lock on `path` (made if absent); waits for other holders; dies with the process.

    Not re-entrant: the same process must not take it twice.

    Raises:
        UnavailableError: The lock file cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise UnavailableError(
            f"Cannot write {path}: {error.strerror}.", hint="Check LEADSCORE_HOME, its permissions and space."
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
