"""Places and locks of a spool's files.

`ROOT/worker-NNN/` belongs to the process that holds the lock on its `lock` file;
`ROOT/shipper.lock` to the one shipper. A segment's writer holds a lock on the segment from before
the file has its name until it is done with it, so whoever gets that lock knows that nothing will be
appended. The kernel frees all of them when a process dies.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from leadscore.errors import UnavailableError

SUFFIX: Final = ".spool"
WRITER_LOCK_NAME: Final = "lock"
MAX_WORKERS: Final = 1_000
_WORKER: Final = re.compile(r"worker-\d{3}")


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker directory that this process owns until it closes `lock`."""

    directory: Path
    lock: int


def try_lock(descriptor: int) -> bool:
    """Take an exclusive lock without waiting (flock(2)); False if somebody else has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def claim_directory(root: Path) -> Claim:
    """Own the first worker directory without a living owner. Files of a dead worker stay for the shipper.

    Raises:
        UnavailableError: The root cannot be written, or every directory is taken.
    """
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for number in range(MAX_WORKERS):
            directory = root / f"worker-{number:03d}"
            directory.mkdir(mode=0o700, exist_ok=True)
            lock = os.open(directory / WRITER_LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if try_lock(lock):
                return Claim(directory, lock)
            os.close(lock)
    except OSError as error:
        raise UnavailableError(
            f"The spool {root} cannot be written: {error.strerror}.",
            hint="Give the service a writable directory (LEADSCORE_HOME or the spool setting).",
        ) from error
    raise UnavailableError(f"All {MAX_WORKERS} worker directories of the spool {root} are taken.")


def new_segment_name() -> str:
    """A name that is never used twice (positions are remembered by it) and sorts by time."""
    return f"{time.time_ns():020d}-{secrets.token_hex(4)}{SUFFIX}"


def created_at(name: str) -> float:
    """Seconds since the epoch at which the segment of that name was made."""
    return int(name.partition("-")[0]) / 1e9


def segment_sizes(directory: Path) -> dict[str, int]:
    """Size in bytes of each segment in a worker directory, by name, oldest first."""
    sizes: dict[str, int] = {}
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.endswith(SUFFIX):
                try:
                    sizes[entry.name] = entry.stat(follow_symlinks=False).st_size
                except FileNotFoundError:  # shipped and deleted since it was listed
                    continue
    return dict(sorted(sizes.items()))


def list_segments(root: Path) -> list[Path]:
    """Every segment of every worker, oldest first."""
    found = [
        directory / name
        for directory in root.iterdir()
        if _WORKER.fullmatch(directory.name)
        for name in segment_sizes(directory)
    ]
    return sorted(found, key=lambda path: (path.name, path.parent.name))
