"""The write side of the event log: a record is on the local spool before its reply is sent.

One `write(2)` per record puts it in the page cache, which outlives the process (kill -9) but not the machine:
`fsync` says what power loss may take. `never`: what the kernel had not written back yet (some 30 s);
`interval`: the last `fsync_seconds`; `always`: nothing, at the price of one disk flush per record.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

import msgspec

from leadscore.errors import SpoolFullError, UnavailableError
from leadscore.events.errors import RecordTooLargeError
from leadscore.events.frames import HEADER, MAX_FRAME, seal
from leadscore.events.records import OUTCOME, PREDICTION, Outcome, Prediction, Record
from leadscore.events.segments import SUFFIX, claim_directory, created_at, new_segment_name, segment_sizes
from leadscore.events.syncing import IntervalSync

OnFull = Literal["refuse", "drop"]
Fsync = Literal["never", "interval", "always"]

_MIB: Final = 1 << 20
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(frozen=True, slots=True)
class SpoolStats:
    """State of one worker's spool, for `/metrics`.

    Attributes:
        bytes: On disk in this worker's directory, shipped parts of unfinished segments included.
        max_bytes: The bound.
        segments: Files that hold them.
        oldest_seconds: Age of the oldest segment; the true lag is in the shipper's health file.
        records: Appended by this process.
        dropped: Predictions that were scored but not logged (`on_full="drop"`).
        refused: Appends that raised.
        last_error: Why the last refused or dropped one was; empty after a success.
    """

    bytes: int
    max_bytes: int
    segments: int
    oldest_seconds: float
    records: int
    dropped: int
    refused: int
    last_error: str


class SpoolWriter:
    """Appends records to segment files in a worker directory under `root`; safe to share between threads.

    Args:
        root: Spool of this machine; a free `worker-NNN` directory below it is claimed.
        max_bytes: Bound of this worker's directory, what a dead predecessor left in it included.
        segment_bytes: A segment is closed when it would grow beyond this.
        segment_seconds: … or, at the next append, when it is older than this.
        on_full: At the bound or when the disk is full or failing: `refuse` raises, `drop` counts and goes on.
            Outcomes are always refused: a caller who was told that one was taken will not send it again.
        fsync: What power loss may take (see the module).
        fsync_seconds: Period of `fsync="interval"`.

    Raises:
        UnavailableError: The directory cannot be written.
    """

    def __init__(
        self,
        root: Path,
        *,
        max_bytes: int = 256 * _MIB,
        segment_bytes: int = 4 * _MIB,
        segment_seconds: float = 300.0,
        on_full: OnFull = "refuse",
        fsync: Fsync = "never",
        fsync_seconds: float = 1.0,
    ) -> None:
        if not 0 < segment_bytes <= max_bytes // 2:
            raise ValueError("max_bytes must hold at least two segments")
        self._max_bytes = max_bytes
        self._segment_bytes = segment_bytes
        self._segment_seconds = segment_seconds
        self._drop = on_full == "drop"
        self._always_sync = fsync == "always"
        self._encode_into = msgspec.msgpack.Encoder().encode_into
        self._buffer = bytearray(4096)
        self._lock = threading.Lock()
        self._records = self._dropped = self._refused = 0
        self._last_error = ""
        self._closed = False
        self._fd = -1
        self._name = ""
        self._size = 0
        # One comparison on the hot path: beyond it the segment or the bound is full, or there is no segment.
        self._limit = -1
        self._rotate_at = 0.0
        claim = claim_directory(root)
        self.directory = claim.directory
        self._claim = claim.lock
        for leftover in self.directory.glob(f"*{SUFFIX}.new"):  # a worker died between making and naming it
            leftover.unlink(missing_ok=True)
        self._held = segment_sizes(self.directory)
        self._sync = IntervalSync(fsync_seconds) if fsync == "interval" else None

    def append_prediction(self, prediction: Prediction) -> bool:
        """Put a prediction on the spool; False if it was dropped (`on_full="drop"`).

        Raises:
            SpoolFullError: The bound is reached or the disk is full (`on_full="refuse"`).
            UnavailableError: The disk fails otherwise, or the writer is closed.
            RecordTooLargeError: The record exceeds 1 MiB.
        """
        with self._lock:
            try:
                self._append(prediction, PREDICTION)
            except UnavailableError:
                if self._drop:
                    self._dropped += 1
                    return False
                self._refused += 1
                raise
        return True

    def append_outcome(self, outcome: Outcome) -> None:
        """Put an outcome on the spool, or raise as `append_prediction` does, whatever `on_full` says."""
        with self._lock:
            try:
                self._append(outcome, OUTCOME)
            except UnavailableError:
                self._refused += 1
                raise

    @property
    def stats(self) -> SpoolStats:
        """Counters and sizes as of now."""
        with self._lock:
            self._forget_shipped()
            names = [*self._held, *([self._name] if self._name else [])]
            return SpoolStats(
                bytes=sum(self._held.values()) + self._size,
                max_bytes=self._max_bytes,
                segments=len(names),
                oldest_seconds=max(0.0, time.time() - created_at(min(names))) if names else 0.0,
                records=self._records,
                dropped=self._dropped,
                refused=self._refused,
                last_error=self._last_error,
            )

    @property
    def sync_errors(self) -> int:
        """Flushes to the disk that failed in the background (`fsync="interval"`)."""
        return 0 if self._sync is None else self._sync.errors

    def close(self) -> None:
        """Finish the segment and free the directory; appends raise from now on."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._finish_segment()
            os.close(self._claim)
        if self._sync is not None:
            self._sync.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _append(self, record: Record, kind: int) -> None:
        buffer = self._buffer
        self._encode_into(record, buffer, HEADER.size)
        seal(buffer, kind)
        size = len(buffer)
        if size > MAX_FRAME:
            raise RecordTooLargeError(
                f"A record of {size} bytes exceeds the {MAX_FRAME} bytes of a spool frame.",
                hint="Shorten ids and warnings.",
            )
        if self._size + size > self._limit or time.monotonic() >= self._rotate_at:
            self._make_room(size)
        try:
            written = os.write(self._fd, buffer)
        except OSError as error:
            raise self._failure(error) from error
        if written != size:
            raise self._failure(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        if self._always_sync:
            self._flush()
        self._size += size
        self._records += 1
        self._last_error = ""

    def _make_room(self, size: int) -> None:
        if self._closed:
            raise UnavailableError("The spool is closed.", hint="The service is stopping: try again.")
        if self._size and (self._size + size > self._segment_bytes or time.monotonic() >= self._rotate_at):
            self._finish_segment()
        self._forget_shipped()
        room = self._max_bytes - sum(self._held.values())
        if self._size + size > room:
            self._last_error = f"The spool is at its bound of {self._max_bytes} bytes."
            raise SpoolFullError(
                self._last_error,
                hint="Is the shipper running and the event store reachable? Or raise the bound.",
            )
        if self._fd < 0:
            try:
                self._open_segment()
            except OSError as error:
                raise self._failure(error) from error
        self._limit = min(max(self._segment_bytes, size), room)

    def _open_segment(self) -> None:
        name = new_segment_name()
        unnamed = self.directory / f"{name}.new"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(unnamed, flags, 0o600)
        try:
            # Locked before it has its name: the shipper never sees a live segment that looks finished.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            unnamed.rename(self.directory / name)
        except OSError:
            os.close(descriptor)
            raise
        self._fd, self._name, self._size = descriptor, name, 0
        self._rotate_at = time.monotonic() + self._segment_seconds
        if self._always_sync:
            self._sync_directory()
        if self._sync is not None:
            self._sync.watch(self.directory / name)

    def _sync_directory(self) -> None:
        descriptor = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _finish_segment(self) -> None:
        if self._fd < 0:
            return
        os.close(self._fd)
        self._held[self._name] = self._size
        self._fd, self._name, self._size, self._limit = -1, "", 0, -1

    def _flush(self) -> None:
        try:
            os.fdatasync(self._fd)
        except OSError as error:
            failure = self._failure(error)
            # The shipper may have read the frame before it was cut off, so nothing may take its place.
            self._finish_segment()
            raise failure from error

    def _failure(self, error: OSError) -> UnavailableError:
        """Undo a partial write and say what happened."""
        self._last_error = f"The spool cannot be written: {error.strerror}."
        full = error.errno in _FULL
        if self._fd >= 0:
            try:
                os.ftruncate(self._fd, self._size)
                usable = full
            except OSError:  # the reader skips the torn frame
                usable = False
            if not usable:
                self._finish_segment()
        if full:
            return SpoolFullError(self._last_error, hint="Free space on the spool's disk.")
        return UnavailableError(self._last_error, hint="Check the disk that holds the spool.")

    def _forget_shipped(self) -> None:
        if not self._held:
            return
        present = segment_sizes(self.directory)
        self._held = {name: size for name, size in self._held.items() if name in present}
