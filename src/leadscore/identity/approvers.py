"""Who may approve, and the proof of it in a record.

A proof that anybody with the public parts can check again.

A proof is made by the person's own credential over exactly what is said. An API key with the scope
`approve` signs it (`signing`). A token cannot sign, so it must have been given out for exactly
this statement: its claim `nonce` is the statement's hash, which the person gives to the issuer
when they log in (OpenID Connect Core 1.0, 3.1.2.1).
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec

from leadscore.errors import ForbiddenError, UnauthorizedError, UnavailableError
from leadscore.identity.apikeys import (
    APPROVE,
    ApiKey,
    KeyFileError,
    KeyFileReader,
    find_key,
)
from leadscore.identity.caller import KEY, OIDC, Caller
from leadscore.identity.oidc import IssuerUnavailableError, TokenError, TokenVerifier
from leadscore.identity.oidc_settings import OidcSettings, is_token
from leadscore.identity.signing import is_signed, sign
from leadscore.settings import Home

_DOMAIN: Final = b"leadscore.dev/v1 statement\n"
# How far the clocks of the two machines may differ, seconds.
_SKEW: Final = 300.0
_HINT: Final = "Approvals need a key with the scope approve: leadscore keys create NAME --scope approve."


class ApproversUnavailableError(UnavailableError):
    """Who may approve cannot be read (key file) or asked (issuer): whether an answer counts is not known."""

    code = "approvers_unavailable"


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What shows who made a statement.

    Attributes:
        kind: `signature`: Ed25519, by the API key that is named as the caller. `token`: of an OIDC issuer.
        value: The signature in hex, or the compact JWT.
    """

    kind: Literal["signature", "token"]
    value: str


@dataclass(frozen=True, slots=True)
class Approver:
    """A person who has shown who they are, and may approve.

    Attributes:
        caller: Who it is.
    """

    caller: Caller
    _credential: bytes
    _kind: Literal["signature", "token"]

    def prove(self, statement: bytes, at: int) -> Proof:
        """Make the proof of a statement.

        Args:
            statement: What is said, in its canonical bytes.
            at: When, microseconds since the epoch.

        Raises:
            UnauthorizedError: The token was given out for something else.
        """
        if self._kind == "signature":
            value = sign(self._credential, _signed(self.caller, statement, at))
            return Proof(kind="signature", value=value)
        return Proof(kind="token", value=self._credential.decode("ascii"))


class Approvers:
    """The people who may approve: holders of keys in a file, and of tokens of an issuer.

    Args:
        keys: Key file; one that does not exist has no keys.
        tokens: Verifies tokens; None: none are taken.
    """

    def __init__(self, keys: Path, tokens: TokenVerifier | None = None) -> None:
        self._file = KeyFileReader(keys)
        self._tokens = tokens

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Approvers:
        """As `LEADSCORE_API_KEYS` (default: the home's file) and `LEADSCORE_OIDC_*` say.

        Raises:
            BadInputError: A variable holds what it cannot hold.
        """
        oidc = OidcSettings.from_environment(environ)
        path = environ.get("LEADSCORE_API_KEYS") or Home.from_environment(environ).api_keys
        return cls(Path(path), None if oidc is None else TokenVerifier(oidc))

    def authenticate(self, credential: bytes, now: float) -> Approver:
        """Find out whose credential it is; may ask the issuer for its keys.

        Args:
            credential: An API key, or a token.
            now: Seconds since the epoch.

        Raises:
            UnauthorizedError: It is nobody's, or has expired.
            ForbiddenError: Its holder may not approve.
            UnavailableError: The key file cannot be read, or the issuer cannot be reached.
        """
        if is_token(credential):
            if self._tokens is None:
                raise UnauthorizedError("Tokens are not taken here.", hint="Set LEADSCORE_OIDC_ISSUER.")
            token = self._tokens.verify_fetching(credential, now)
            if APPROVE not in token.scopes:
                raise ForbiddenError(
                    f"The token of {token.name!r} lacks the scope 'leadscore:approve'.",
                    hint=f"It is looked for in the claim {self._tokens.settings.scopes_claim!r}.",
                )
            return Approver(Caller(OIDC, token.name), credential, "token")
        key = find_key(self._keys(), credential)
        if key is None:
            raise UnauthorizedError(f"The API key is not in {self._file.path.name}.", hint=_HINT)
        if key.has_expired(now):
            raise UnauthorizedError(f"The API key {key.name!r} has expired.", hint=_HINT)
        if APPROVE not in key.scopes:
            raise ForbiddenError(f"The API key {key.name!r} lacks the scope 'approve'.", hint=_HINT)
        return Approver(Caller(KEY, key.name), credential, "signature")

    def why_not(
        self, proof: Proof | None, caller: Caller | None, statement: bytes, *, at: int, now: float
    ) -> str:
        """Say why a statement on record does not count; "" if its proof holds.

        A key must be valid both when the statement was made and now: its maker gives that time, and a thief
        of an expired or revoked key would give an earlier one.

        Args:
            proof: As it is on record.
            caller: Who is said to have made it.
            statement: What was said, in its canonical bytes.
            at: When, as it is on record; microseconds since the epoch.
            now: Seconds since the epoch.

        Raises:
            ApproversUnavailableError: The key file cannot be read, or the issuer cannot
                be reached: nothing is known.
        """
        if proof is None or caller is None:
            return "it carries no proof of who made it"
        if at / 1e6 > now + _SKEW:
            return "it was made in the future"
        if proof.kind == "signature" and caller.kind == KEY:
            return self._why_not_signed(proof.value, caller, statement, at, now)
        if proof.kind == "token" and caller.kind == OIDC:
            return self._why_not_token(proof.value, caller, statement, at)
        return "its proof is not of the kind that its maker would have"

    def _why_not_signed(self, signature: str, caller: Caller, statement: bytes, at: int, now: float) -> str:
        key = next((key for key in self._keys() if key.name == caller.name), None)
        if key is None:
            return f"there is no key {caller.name!r} (any more)"
        if key.approval_key is None:
            return f"the key {caller.name!r} lacks the scope approve"
        if key.has_expired(max(now, at / 1e6)):
            return f"the key {caller.name!r} has expired"
        if at / 1e6 < key.created.timestamp() - _SKEW:
            return f"the key {caller.name!r} was created later"
        if not is_signed(key.approval_key, _signed(caller, statement, at), signature):
            return f"its signature is not that of the key {caller.name!r} over what it says"
        return ""

    def _why_not_token(self, value: str, caller: Caller, statement: bytes, at: int) -> str:
        if self._tokens is None:
            return "tokens are not taken here"
        try:
            token = self._tokens.verify_fetching(value.encode("utf-8", "replace"), at / 1e6)
        except TokenError as error:
            return f"its token does not hold: {error.message}"
        except IssuerUnavailableError as error:
            raise ApproversUnavailableError(error.message, hint=error.hint) from error
        if token.name != caller.name:
            return f"its token is of {token.name!r}"
        if APPROVE not in token.scopes:
            return f"the token of {token.name!r} lacks the scope 'leadscore:approve'"
        if token.nonce != nonce_of(statement):
            return f"the token of {token.name!r} was given out for something else"
        return ""

    def _keys(self) -> tuple[ApiKey, ...]:
        try:
            return self._file.read()
        except (KeyFileError, UnavailableError) as error:
            raise ApproversUnavailableError(
                f"Who may approve cannot be read: {error.message}", hint=error.hint
            ) from error


def nonce_of(statement: bytes) -> str:
    """The claim `nonce` that a token for exactly this statement carries.

    base64url of SHA-256, without padding.
    """
    digest = hashlib.sha256(_DOMAIN + statement).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def _signed(caller: Caller, statement: bytes, at: int) -> bytes:
    """What is signed: who, when and what. The domain keeps a signature from meaning anything elsewhere."""
    return _DOMAIN + msgspec.json.encode((caller.kind, caller.name, caller.address, at)) + b"\n" + statement
