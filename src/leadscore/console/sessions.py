"""Sessions: a signed cookie that says who signed in by what, looked at again with every request.

A session never outlives the credential behind it: it ends when the key or token expires, and a key that was
revoked, or lost its scope, opens nothing from the next request on.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Collection
from typing import Final, Literal

import msgspec
from itsdangerous import BadSignature, URLSafeSerializer

from leadscore.console.page import ConsolePerson, ConsoleRole
from leadscore.console.settings import ConsoleSettings
from leadscore.errors import ForbiddenError, UnauthorizedError
from leadscore.identity.apikeys import KeyFileReader, find_key, key_digest
from leadscore.identity.oidc import Token

_SALT: Final = "leadscore.dev/v1 console "
_VIEW_HINT: Final = "leadscore keys create NAME --scope view"

Refusal = Literal["no_session", "forged", "expired", "revoked", "signed_out"]


class SessionRefusedError(UnauthorizedError):
    """The cookie opens nothing.

    Args:
        refusal: Why, for metric and log.
        message: Why, for the person.
    """

    code = "session_refused"

    def __init__(self, refusal: Refusal, message: str) -> None:
        super().__init__(message, hint="Sign in again.")
        self.refusal: Refusal = refusal


class ConsoleSession(msgspec.Struct, frozen=True, kw_only=True):
    """What the cookie holds.

    Attributes:
        kind: By what the person signed in.
        name: The key's name or the token's subject.
        role: Of a token's scopes; a key's is looked up each time.
        digest: Of a key: which.
        issued: When, seconds since the epoch.
        expires: Refused from then on.
        number: Random; what a CSRF token is made of.
    """

    kind: Literal["key", "oidc"]
    name: str
    role: ConsoleRole
    digest: str = ""
    issued: float
    expires: float
    number: str


class SessionKeeper:
    """Opens sessions and reads them back.

    Args:
        settings: The console's.
    """

    def __init__(self, settings: ConsoleSettings) -> None:
        self._seconds = settings.session.total_seconds()
        self._keys = KeyFileReader(settings.api_keys)
        self._secret = settings.secret
        self._signer = URLSafeSerializer(settings.secret, salt=_SALT + "session")

    def open_by_key(self, secret: bytes, now: float) -> ConsoleSession:
        """Begin a session with an API key.

        Raises:
            UnauthorizedError: It is nobody's, or has expired.
            ForbiddenError: Its scopes do not let its holder see the console.
            UnavailableError: The key file cannot be read.
        """
        key = find_key(self._keys.read(), secret)
        if key is None:
            raise UnauthorizedError(
                "This API key is not known here.", hint="Was it revoked? Ask for another."
            )
        if key.has_expired(now):
            raise UnauthorizedError("This API key has expired.", hint="Ask for another.")
        role = role_of(key.scopes)
        if role is None:
            raise ForbiddenError(
                f"The API key {key.name!r} lacks the scope 'view'.", hint=f"Make one: {_VIEW_HINT}"
            )
        expires = now + self._seconds
        if key.expires is not None:
            expires = min(expires, key.expires.timestamp())
        digest = key_digest(secret).hex()
        return self._session("key", key.name, role, now, expires, digest)

    def open_by_token(self, token: Token, now: float) -> ConsoleSession:
        """Begin a session with a verified token.

        Raises:
            ForbiddenError: Its scopes do not let its holder see the console.
        """
        role = role_of(token.scopes)
        if role is None:
            raise ForbiddenError(
                f"{token.name!r} lacks the scope 'leadscore:view'.",
                hint="Ask who runs the issuer for it; 'leadscore:approve' and 'leadscore:admin' include it.",
            )
        return self._session("oidc", token.name, role, now, min(now + self._seconds, token.expires))

    def _session(
        self,
        kind: Literal["key", "oidc"],
        name: str,
        role: ConsoleRole,
        now: float,
        expires: float,
        digest: str = "",
    ) -> ConsoleSession:
        number = secrets.token_urlsafe(16)
        return ConsoleSession(
            kind=kind, name=name, role=role, digest=digest, issued=now, expires=expires, number=number
        )

    def write(self, session: ConsoleSession) -> str:
        """Return the cookie's value."""
        return str(self._signer.dumps(msgspec.to_builtins(session)))

    def read(self, cookie: str, now: float, address: str = "") -> tuple[ConsoleSession, ConsolePerson]:
        """Find out whose session it is.

        Raises:
            SessionRefusedError: Nobody's, not any more, or not yet.
            UnavailableError: The key file cannot be read: who this is is not known.
        """
        if not cookie:
            raise SessionRefusedError("no_session", "You are not signed in.")
        try:
            session = msgspec.convert(self._signer.loads(cookie), type=ConsoleSession)
        except (BadSignature, msgspec.ValidationError) as error:
            raise SessionRefusedError("forged", "This session was not made here.") from error
        if not session.issued - 60 <= now < session.expires:
            raise SessionRefusedError("expired", "Your session has ended.")
        role: ConsoleRole | None = session.role
        if session.kind == "key":
            key = next((key for key in self._keys.read() if key.digest == session.digest), None)
            role = None if key is None or key.has_expired(now) else role_of(key.scopes)
            if role is None:
                raise SessionRefusedError("revoked", "The key that you signed in with is not valid any more.")
        return session, ConsolePerson(kind=session.kind, name=session.name, role=role, address=address)

    def csrf_token(self, session: ConsoleSession) -> str:
        """What a page of this session, and no page of another site, can send along with a post."""
        message = f"{_SALT}csrf {session.number}".encode()
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()


def role_of(scopes: Collection[str]) -> ConsoleRole | None:
    """The highest role of some scopes; None: they do not open the console."""
    if "admin" in scopes:
        return "admin"
    if "approve" in scopes:
        return "approver"
    return "viewer" if "view" in scopes else None
