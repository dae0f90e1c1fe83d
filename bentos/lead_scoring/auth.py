"""Who is calling: API keys by digest, kept fresh from their file while the service runs."""

from __future__ import annotations

import hmac
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lead_scoring.errors import MissingScopeError
from lead_scoring.http import API_KEY, AUTHORIZATION, Request
from leadscore.apikeys import ApiKey, Scope, digest_of, read_keys
from leadscore.errors import LeadScoreError, UnauthorizedError

_log = logging.getLogger(__name__)

_HINT: Final = (
    "Send `Authorization: Bearer KEY` or `X-API-Key: KEY`; make one with: leadscore keys create NAME."
)


class MissingKeyError(UnauthorizedError):
    """The request carries no API key."""


class UnknownKeyError(UnauthorizedError):
    """The request carries a key that is not in the file."""


class ExpiredKeyError(UnauthorizedError):
    """The key is in the file, and its time is over."""


@dataclass(frozen=True, slots=True)
class _Known:
    digest: bytes
    name: str
    scopes: frozenset[Scope]
    expires_ns: int


class KeyRing:
    """The keys as of the file's last good content.

    A presented key is hashed once and looked up by its digest: how long the lookup takes tells something about
    SHA-256 digests, from which no key can be worked out; the comparison that decides takes constant time.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[bytes, _Known] = {}
        self._stamp: tuple[int, int, int] | None = None
        self.reload_errors = 0
        self._loaded = False

    def __len__(self) -> int:
        return len(self._known)

    def reload(self) -> None:
        """Read the file if it changed. A broken one leaves the keys as they were, is logged and counted."""
        stamp = self._look()
        if self._loaded and stamp == self._stamp:
            return
        self._stamp, self._loaded = stamp, True
        try:
            keys = read_keys(self._path)
        except LeadScoreError as error:
            self.reload_errors += 1
            _log.error("api keys not reloaded", extra={"fields": {"error": error.message, "kept": len(self)}})
            return
        self._known = {bytes.fromhex(key.digest): _known(key) for key in keys}
        _log.info("api keys loaded", extra={"fields": {"keys": len(keys)}})

    def caller(self, request: Request, scope: Scope, now_ns: int) -> str:
        """Name of the key that the request carries.

        Args:
            request: The request.
            scope: What the endpoint needs.
            now_ns: Nanoseconds since the epoch.

        Raises:
            UnauthorizedError: No key, an unknown or an expired one (401).
            MissingScopeError: The key may not do this (403).
        """
        digest = digest_of(_presented(request.headers))
        known = self._known.get(digest)
        if known is None or not hmac.compare_digest(known.digest, digest):
            raise UnknownKeyError("The API key is not known.", hint=_HINT)
        if now_ns >= known.expires_ns:
            raise ExpiredKeyError(f"The API key {known.name!r} has expired.", hint="Ask for a new one.")
        if scope not in known.scopes:
            raise MissingScopeError(known.name, scope)
        return known.name

    def _look(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


def _presented(headers: list[bytes | None]) -> bytes:
    authorization = headers[AUTHORIZATION]
    if authorization is not None:
        if authorization[:7].lower() == b"bearer ":
            return authorization[7:].strip()
        raise MissingKeyError("The Authorization header is not `Bearer KEY`.", hint=_HINT)
    key = headers[API_KEY]
    if key is None:
        raise MissingKeyError("The request carries no API key.", hint=_HINT)
    return key


def _known(key: ApiKey) -> _Known:
    # Beyond every time that time_ns() can return: never.
    expires_ns = 1 << 63 if key.expires is None else int(key.expires.timestamp() * 1_000_000_000)
    return _Known(bytes.fromhex(key.digest), key.name, frozenset(key.scopes), expires_ns)
