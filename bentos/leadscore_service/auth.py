"""Authenticate callers: by API keys, reloaded from their file while the service runs, and by OIDC tokens."""

from __future__ import annotations

import hmac
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from leadscore.errors import LeadScoreError, UnauthorizedError
from leadscore.identity.apikeys import (
    ApiKey,
    KeyFileError,
    KeyFileStamp,
    KeyScope,
    key_digest,
    key_file_stamp,
    read_keys,
)
from leadscore.identity.caller import KEY, Caller
from leadscore.identity.oidc_settings import is_token
from leadscore_service.errors import MissingScopeError
from leadscore_service.http import API_KEY, AUTHORIZATION, Request

if TYPE_CHECKING:
    from leadscore_service.tokens import Tokens

_log = logging.getLogger(__name__)

_HINT: Final = (
    "Send `Authorization: Bearer KEY` or `X-API-Key: KEY`; make one with: leadscore keys create NAME."
)


class MissingKeyError(UnauthorizedError):
    """The request carries no API key."""


class UnknownKeyError(UnauthorizedError):
    """The request carries a key that is not in the file."""


class ExpiredKeyError(UnauthorizedError):
    """The key is in the file, and its time is over.

    Args:
        name: The key's.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"The API key {name!r} has expired.", hint="Ask for a new one.")
        self.caller = name


@dataclass(frozen=True, slots=True)
class _Known:
    digest: bytes
    name: str
    scopes: frozenset[KeyScope]
    expires_ns: int


class KeyRing:
    """The keys as of the file's last good content.

    A presented key is hashed once and looked up by its digest: how long the lookup takes
    tells something about SHA-256 digests, from which no key can be worked out; the
    comparison that decides takes constant time.

    Args:
        path: The key file.
        tokens: Verifies what is no key and looks like a token; None: no tokens are taken.
    """

    def __init__(self, path: Path, tokens: Tokens | None = None) -> None:
        self._path = path
        self._tokens = tokens
        self._known: dict[bytes, _Known] = {}
        self._done: KeyFileStamp | None = None
        self._failed: tuple[KeyFileStamp | None, str] | None = None
        self.reload_errors = 0

    def __len__(self) -> int:
        return len(self._known)

    def reload(self) -> None:
        """Read the file if it changed; blocks, so call it off the event loop, by one thread at a time.

        A broken one leaves the keys as they were; it is logged and counted once for each
        change of the file or of what is wrong with it, and read again when it changes. One
        that cannot be read is tried again each time.
        """
        stamp = None
        try:
            stamp = key_file_stamp(self._path)
            if stamp == self._done:
                return
            keys = read_keys(self._path)
        except KeyFileError as error:
            self._done = stamp
            self._refuse(stamp, error)
        except LeadScoreError as error:
            self._done = None
            self._refuse(stamp, error)
        else:
            self._known = {bytes.fromhex(key.digest): _known(key) for key in keys}
            self._done, self._failed, self.reload_errors = stamp, None, 0
            _log.info("api keys loaded", extra={"fields": {"keys": len(keys)}})

    def _refuse(self, stamp: KeyFileStamp | None, error: LeadScoreError) -> None:
        if (stamp, error.message) != self._failed:
            self._failed = (stamp, error.message)
            self.reload_errors += 1
            _log.error("api keys not reloaded", extra={"fields": {"error": error.message, "kept": len(self)}})

    def caller(self, request: Request, scope: KeyScope, now_ns: int) -> Caller:
        """Return the caller whose key or token the request carries.

        Args:
            request: The request.
            scope: What the endpoint needs.
            now_ns: Nanoseconds since the epoch.

        Raises:
            UnauthorizedError: No key, an unknown or an expired one (401).
            MissingScopeError: The key may not do this (403).
            IssuerUnavailableError: It is a token, and there are no keys to verify it with (503).
        """
        presented = _presented(request.headers)
        digest = key_digest(presented)
        known = self._known.get(digest)
        if known is None or not hmac.compare_digest(known.digest, digest):
            if self._tokens is not None and is_token(presented):
                return self._tokens.caller(presented, digest, scope, request)
            raise UnknownKeyError("The API key is not known.", hint=_HINT)
        if now_ns >= known.expires_ns:
            raise ExpiredKeyError(known.name)
        if scope not in known.scopes:
            raise MissingScopeError(known.name, scope)
        return Caller(KEY, known.name, request.address)


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
    # Later than any time_ns(): never.
    expires_ns = 1 << 63 if key.expires is None else int(key.expires.timestamp() * 1_000_000_000)
    return _Known(bytes.fromhex(key.digest), key.name, frozenset(key.scopes), expires_ns)
