"""Sessions that people have ended: a copy of the cookie opens nothing any more, in any process.

Ends are records in the event store. Each process keeps those that matter still, and reads anew every two
seconds, when somebody asks.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotInTimeError
from typing import Final

import msgspec
import sqlalchemy as sa

from leadscore.console.sessions import ConsoleSession
from leadscore.errors import ConflictError, LeadScoreError
from leadscore.events.records import Evidence
from leadscore.events.schema import evidence
from leadscore.events.store import EventStore
from leadscore.identity.caller import Caller

SIGN_OUT: Final = "console-sign-out"
# A page must be answered within three seconds even if the store is dead, and reads for up to 2.5 s itself.
_PATIENCE_SECONDS: Final = 0.3
_FRESH_SECONDS: Final = 2.0
# Clocks of processes may differ.
_LEEWAY_SECONDS: Final = 300.0


class _Ended(msgspec.Struct, frozen=True, kw_only=True):
    """The document of a record: a digest of the session's number, and until when it would have lasted."""

    session: str
    expires: float


class EndedSessions:
    """Knows which sessions were ended by whoever they belonged to.

    Args:
        store: Where ends are on record.
        longest: Seconds that a session lasts at most.
        clock: Seconds since the epoch.
        monotonic: A clock that nobody sets.
    """

    def __init__(
        self,
        store: EventStore,
        longest: float,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._longest = longest
        self._clock = clock
        self._monotonic = monotonic
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="ended-sessions")
        self._lock = threading.Lock()
        self._ended: dict[str, float] = {}
        self._read_at: float | None = None
        self._reading: Future[None] | None = None

    def end(self, session: ConsoleSession, by: Caller) -> None:
        """Let a session open nothing any more.

        Raises:
            LeadScoreError: The end could not be put on record: until it can, only this process knows of it.
        """
        mark = _mark(session)
        with self._lock:
            self._ended[mark] = session.expires
        document = msgspec.json.encode(_Ended(session=mark, expires=session.expires)).decode()
        at = round(self._clock() * 1e6)
        subject = f"{session.kind}:{session.name}"
        try:
            self._store.record(Evidence(f"{SIGN_OUT}-{mark}", SIGN_OUT, subject, at, document, by))
        except ConflictError:
            return  # two clicks: it is on record already

    def has_ended(self, session: ConsoleSession) -> bool:
        """Whether a session was ended, as far as is known: a store that is away is waited for but shortly."""
        mark = _mark(session)
        with self._lock:
            if mark in self._ended:
                return True
            reading = self._refreshed()
        if reading is not None:
            try:
                reading.result(_PATIENCE_SECONDS)
            except NotInTimeError:
                return False
            with self._lock:
                return mark in self._ended
        return False

    def _refreshed(self) -> Future[None] | None:
        """The reading that is due or under way; None: what is known is fresh."""
        if self._reading is not None and not self._reading.done():
            return self._reading
        if self._read_at is not None and self._monotonic() - self._read_at < _FRESH_SECONDS:
            return None
        self._read_at = self._monotonic()
        self._reading = self._pool.submit(self._read)
        return self._reading

    def _read(self) -> None:
        now = self._clock()
        since = round((now - self._longest - _LEEWAY_SECONDS) * 1e6)
        query = sa.select(evidence.c.document).where(evidence.c.at >= since, evidence.c.kind == SIGN_OUT)
        try:
            with self._store.reading() as connection:
                documents = list(connection.execute(query).scalars())
        except LeadScoreError:
            return  # without the store there is nothing to see either; it is read again when somebody asks
        found = (msgspec.json.decode(document, type=_Ended) for document in documents)
        with self._lock:
            known = self._ended | {one.session: one.expires for one in found}
            self._ended = {mark: expires for mark, expires in known.items() if expires > now}


def _mark(session: ConsoleSession) -> str:
    """A digest of the session's number, which with the secret would be its CSRF token."""
    return hashlib.sha256(f"session {session.number}".encode()).hexdigest()[:32]
