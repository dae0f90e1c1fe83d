"""Replies remembered by `Idempotency-Key`: the same key gets the same prediction ids and the same bytes.

After draft-ietf-httpapi-idempotency-key-header-07. One SQLite database (WAL) beside the spool, shared by the
workers of a machine and kept across restarts; only requests that carry the header pay for it.

What is remembered is the reply *and* its event records. The order is: remember, put the records on the spool,
reply. A repeated request puts the remembered records on the spool once more before it is answered, so a
worker killed between any two of these steps neither loses a prediction (the repetition brings it) nor doubles
it (the ids are derived from the key, and the event store keeps one record per id).
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import sqlite3
import time
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from leadscore.errors import BadInputError, UnavailableError
from leadscore.events.records import Prediction
from leadscore_service.errors import IdempotencyKeyReusedError

_log = logging.getLogger(__name__)

_MAX_KEY: Final = 255
_BUSY_S: Final = 5.0
_PRUNE_EVERY: Final = 64
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS replies (
    key BLOB PRIMARY KEY, request BLOB NOT NULL, media_type TEXT NOT NULL,
    body BLOB NOT NULL, records BLOB NOT NULL, created INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS replies_created ON replies (created);
"""
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Prediction]).decode


@dataclass(frozen=True, slots=True)
class RecordedReply:
    """A reply and what it puts into the event log."""

    media_type: str
    body: bytes
    records: list[Prediction]


@dataclass(frozen=True, slots=True)
class Remembered:
    """The one answer of a key; `replayed` if an earlier request made it."""

    answer: RecordedReply
    replayed: bool
    evicted: int = 0


def check_key(raw: bytes) -> bytes:
    """The header's value, if it may be one: 1 to 255 visible ASCII characters; BadInputError otherwise."""
    if not 1 <= len(raw) <= _MAX_KEY or not all(0x21 <= byte <= 0x7E for byte in raw):
        raise BadInputError(
            "The Idempotency-Key is not 1 to 255 visible ASCII characters.", hint="Send a UUID, for instance."
        )
    return raw


def request_digest(*parts: bytes) -> bytes:
    """SHA-256 of parts of any length, told apart by their lengths."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()


class ReplyStore:
    """The remembered replies.

    Calls block for some tens of microseconds: make them on one thread of their own.

    Args:
        path: Database file; made if need be.
        ttl_s: How long a reply is remembered.
        max_bytes: Bound of the database; the oldest replies go first.

    Raises:
        UnavailableError: The file cannot be used.
    """

    def __init__(self, path: Path, *, ttl_s: int, max_bytes: int) -> None:
        self._path = path
        self._ttl_s = ttl_s
        self._max_bytes = max_bytes
        self._inserts = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with _exclusively(path):
                self._connection = _open(path)
        except (OSError, sqlite3.Error) as error:
            raise UnavailableError(
                f"Replies cannot be remembered in {path}: {error}.", hint="Check the spool's disk and owner."
            ) from error

    def find(self, key: bytes, request: bytes) -> Remembered | None:
        """The answer that `key` has; None if there is none (any more).

        Raises:
            IdempotencyKeyReusedError: The key was used for another request.
            UnavailableError: The database cannot be read.
        """
        with _translated():
            row = self._connection.execute(
                "SELECT request, media_type, body, records FROM replies WHERE key = ? AND created > ?",
                (key, int(time.time()) - self._ttl_s),
            ).fetchone()
        if row is None:
            return None
        stored, media_type, body, records = row
        if stored != request:
            raise IdempotencyKeyReusedError(
                "The Idempotency-Key was used before, for another request.",
                hint="Use a new key for a new request; repeat a request unchanged.",
            )
        return Remembered(
            RecordedReply(media_type, zlib.decompress(body), _decode(zlib.decompress(records))), replayed=True
        )

    def remember(self, key: bytes, request: bytes, answer: RecordedReply) -> Remembered:
        """Make `answer` the key's answer, unless another request was faster: then that one's is returned.

        Raises:
            IdempotencyKeyReusedError: The other request was a different one.
            UnavailableError: The database cannot be written.
        """
        now = int(time.time())
        row = (
            key,
            request,
            answer.media_type,
            zlib.compress(answer.body, 1),
            zlib.compress(_encode(answer.records), 1),
            now,
        )
        with _translated():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._connection.execute(
                    "DELETE FROM replies WHERE key = ? AND created <= ?", (key, now - self._ttl_s)
                )
                inserted = self._connection.execute(
                    "INSERT OR IGNORE INTO replies VALUES (?, ?, ?, ?, ?, ?)", row
                ).rowcount
                self._inserts += inserted
                evicted = self._prune(now) if inserted and self._inserts % _PRUNE_EVERY == 0 else 0
            finally:
                self._connection.execute("COMMIT")
        if inserted:
            return Remembered(answer, replayed=False, evicted=evicted)
        found = self.find(key, request)
        return found if found is not None else Remembered(answer, replayed=False)

    def file_bytes(self) -> int:
        """Size of the database file; may be asked on any thread."""
        return self._path.stat().st_size if self._path.exists() else 0

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def _prune(self, now: int) -> int:
        """Forget what expired, and the older half of the rest if that is not enough.

        Returns how many of those.
        """
        self._connection.execute("DELETE FROM replies WHERE created <= ?", (now - self._ttl_s,))
        pages, free, page = (
            self._connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        if (pages - free) * page <= self._max_bytes:
            return 0
        count = self._connection.execute("SELECT count(*) FROM replies").fetchone()[0]
        return self._connection.execute(
            "DELETE FROM replies WHERE key IN (SELECT key FROM replies ORDER BY created LIMIT ?)",
            (count // 2,),
        ).rowcount


def _open(path: Path) -> sqlite3.Connection:
    try:
        return _connect(path)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        # A damaged cache must not stop the service; it is renamed and kept for people to look at.
        _log.error("remembered replies are damaged", extra={"fields": {"error": str(error)}})
        path.replace(path.with_name(f"{path.name}.damaged"))
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        return _connect(path)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        # Survives kill -9; the last transactions may be lost with the machine's power, as the spool's may.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.executescript(_SCHEMA)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


@contextmanager
def _exclusively(path: Path) -> Generator[None]:
    """Workers start together; switching to WAL does not wait for the others by itself."""
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise UnavailableError(
            f"Replies cannot be remembered: {error}.",
            hint="Repeat the request, or send it without Idempotency-Key.",
        ) from error
