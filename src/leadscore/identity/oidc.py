"""OIDC tokens, verified against the issuer's published keys, for one audience, with fixed algorithms.

Follows OpenID Connect Core 1.0, RFC 7519 (JWT) and RFC 8725 (best current practices): the algorithm is one of
ours and must fit the key's type, keys come from the configured issuer alone (never from the token's header),
and nothing that could not be verified is let in.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from leadscore.documents import DECODE_ERRORS
from leadscore.errors import LeadScoreError, UnauthorizedError, UnavailableError
from leadscore.identity.fetch import fetch_json
from leadscore.identity.oidc_settings import KEY_TYPES, OidcSettings

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey
_log = logging.getLogger(__name__)

SCOPE_PREFIX: Final = "leadscore:"
MAX_TOKEN_BYTES: Final = 16 * 1024
MAX_KEYS: Final = 100
_RSA_BITS: Final = range(2048, 8193)
_NAME_CHARACTERS: Final = 255

# Seconds.
_REFRESH_EVERY: Final = 300.0
_RETRY_AFTER: Final = 10.0
# Keys that could not be fetched anew for so long are dropped: the issuer may have withdrawn one.
_STALE_AFTER: Final = 86_400.0


class TokenError(UnauthorizedError):
    """The token is not one that the configured issuer gave out for us, or its time is not now."""


class TokenExpiredError(TokenError):
    """The token was a good one."""


class IssuerUnavailableError(UnavailableError):
    """The issuer's keys cannot be had, so that no token can be verified; none is let in."""

    code = "issuer_unavailable"


@dataclass(frozen=True, slots=True)
class Token:
    """What a verified token says.

    Attributes:
        name: Who it is about.
        scopes: What they may do.
        issued: Seconds since the epoch.
        expires: Seconds since the epoch, without leeway.
        nonce: The claim `nonce`, or "".
    """

    name: str
    scopes: frozenset[str]
    issued: float
    expires: float
    nonce: str


class TokenVerifier:
    """Verifies tokens with the issuer's keys, which are fetched when `refresh` is called and kept.

    Args:
        settings: Which tokens are taken.
        fetch: Returns the bytes at a URL; raises UnavailableError.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        settings: OidcSettings,
        *,
        fetch: Callable[[str], bytes] = fetch_json,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self._fetch = fetch
        self._clock = clock
        self._keys: dict[tuple[str, str], PublicKey] = {}
        self._digest = b""
        self._fetched = self._tried = float("-inf")
        self._missing = False
        self._problem = "They have not been fetched yet."
        self._lock = threading.Lock()
        self.generation = 0

    def refresh(self, *, wait: bool = True) -> None:
        """Fetch the issuer's keys if they are old or one was missing; blocks, so call it off an event loop.

        A failed fetch, or a document that is no set of keys, leaves the keys as they were; it is logged.
        """
        if not self._lock.acquire(blocking=wait):
            return
        try:
            now = self._clock()
            old = now - self._fetched >= _REFRESH_EVERY
            if not (old or self._missing) or now - self._tried < _RETRY_AFTER:
                return
            self._tried = now
            self._missing = False
            document = self._fetch(self.settings.jwks_url or self._discover())
            digest = hashlib.sha256(document).digest()
            if digest != self._digest:
                self._keys, self._digest = parse_jwks(document), digest
                # Tokens that were verified with the earlier keys are verified again.
                self.generation += 1
            self._fetched = self._clock()
        except LeadScoreError as error:
            self._problem = error.message
            _log.warning("the issuer's keys were not fetched", extra={"fields": {"error": error.message}})
        finally:
            self._lock.release()

    def _discover(self) -> str:
        """The keys' URL by OpenID Connect Discovery 1.0, 4."""
        document = self._fetch(f"{self.settings.issuer.rstrip('/')}/.well-known/openid-configuration")
        try:
            found = msgspec.json.decode(document, type=_Discovery)
        except (*DECODE_ERRORS, msgspec.ValidationError) as error:
            raise IssuerUnavailableError("The issuer's discovery document cannot be read.") from error
        if found.issuer != self.settings.issuer:
            raise IssuerUnavailableError(
                f"The discovery document at {self.settings.issuer} is of the issuer {found.issuer[:200]!r}.",
                hint="The two must be the same (OpenID Connect Discovery 1.0, 4.3).",
            )
        # As strict about the keys' address as about the issuer's.
        OidcSettings(issuer=found.issuer, audience="-", jwks_url=found.jwks_uri)
        return found.jwks_uri

    def verify(self, token: bytes, now: float) -> Token:
        """Verify a token with the keys that are there; bounded work, no I/O.

        Args:
            token: The compact JWT.
            now: Seconds since the epoch.

        Raises:
            TokenError: It is not to be taken (401).
            IssuerUnavailableError: There are no keys to verify any token with (503).
        """
        if len(token) > MAX_TOKEN_BYTES or token.count(b".") != 2:
            raise TokenError("The token is no signed JWT.", hint=_HINT)
        algorithm, key = self._key_of(token)
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self.settings.audience,
                issuer=self.settings.issuer,
                # Times are judged below, against the given time.
                options={
                    "require": ["exp", "iat", "iss", "aud", "sub"],
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
        except jwt.InvalidAudienceError as error:
            raise TokenError("The token is for another audience.", hint=_HINT) from error
        except jwt.InvalidIssuerError as error:
            raise TokenError("The token is of another issuer.", hint=_HINT) from error
        except jwt.MissingRequiredClaimError as error:
            raise TokenError(f"The token lacks the claim {error.claim!r}.", hint=_HINT) from error
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            raise TokenError("The token's signature or form is wrong.", hint=_HINT) from error
        return self._token(claims, now)

    def _key_of(self, token: bytes) -> tuple[str, PublicKey]:
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.InvalidTokenError, ValueError, RecursionError) as error:
            raise TokenError("The token is no signed JWT.", hint=_HINT) from error
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in self.settings.algorithms:
            raise TokenError("The token's algorithm is not one that is taken here.", hint=_HINT)
        if not isinstance(kid, str) or "crit" in header:
            raise TokenError("The token names no key, or asks for an extension.", hint=_HINT)
        if self._clock() - self._fetched > _STALE_AFTER:
            self._missing = True
            raise IssuerUnavailableError(
                f"The issuer's keys are not there. {self._problem}", hint="Use an API key, or try again."
            )
        key = self._keys.get((kid, KEY_TYPES[algorithm]))
        if key is None:
            # It may be a new key: keys are fetched again, at most every few seconds.
            self._missing = True
            raise TokenError("The token is signed by a key that the issuer does not list.", hint=_HINT)
        return algorithm, key

    def verify_fetching(self, token: bytes, now: float) -> Token:
        """Verify a token, fetching keys that are missing first; blocks.

        Raises:
            TokenError: As `verify`.
            IssuerUnavailableError: As `verify`.
        """
        self.refresh()
        try:
            return self.verify(token, now)
        except (TokenError, IssuerUnavailableError):
            if not self._missing:
                raise
        self.refresh()
        return self.verify(token, now)

    def _token(self, claims: Mapping[str, object], now: float) -> Token:
        leeway = self.settings.leeway_seconds
        issued, expires = _time(claims, "iat"), _time(claims, "exp")
        starts = _time(claims, "nbf") if "nbf" in claims else issued
        if now >= expires + leeway:
            raise TokenExpiredError("The token has expired.", hint="Get a new one.")
        if now < max(issued, starts) - leeway:
            raise TokenError("The token is not valid yet.", hint="Compare the clocks of issuer and service.")
        name, nonce = _claim(claims, self.settings.name_claim), claims.get("nonce", "")
        if not isinstance(name, str) or not 0 < len(name) <= _NAME_CHARACTERS or not name.isprintable():
            raise TokenError(f"The claim {self.settings.name_claim!r} does not name the caller.", hint=_HINT)
        return Token(
            name,
            _scopes(_claim(claims, self.settings.scopes_claim)),
            issued,
            expires,
            nonce if isinstance(nonce, str) else "",
        )


_HINT: Final = "Get a token of the configured issuer for this audience (docs/api.md)."


class _Discovery(msgspec.Struct):
    issuer: str
    jwks_uri: str


class _KeySet(msgspec.Struct):
    keys: list[dict[str, object]]


def parse_jwks(document: bytes) -> dict[tuple[str, str], PublicKey]:
    """Return the verification keys of a JWK set (RFC 7517) by key id and type.

    What is none of those is left out.

    Raises:
        IssuerUnavailableError: The document is no JWK set, or holds more keys than any issuer has.
    """
    try:
        listed = msgspec.json.decode(document, type=_KeySet).keys
    except (*DECODE_ERRORS, msgspec.ValidationError) as error:
        raise IssuerUnavailableError("The issuer's keys are no JWK set.") from error
    if len(listed) > MAX_KEYS:
        raise IssuerUnavailableError(
            f"The issuer lists {len(listed):,} keys; at most {MAX_KEYS} are read.",
            hint="Set LEADSCORE_OIDC_JWKS_URL to the set of this issuer alone.",
        )
    found: dict[tuple[str, str], PublicKey] = {}
    for entry in listed:
        kid, kind = entry.get("kid"), entry.get("kty")
        if not isinstance(kid, str) or kind not in {"RSA", "EC", "OKP"} or entry.get("use", "sig") != "sig":
            continue
        try:
            # A private key in a published set is compromised and left out (PyJWK gives a private type).
            key: object = jwt.PyJWK(entry).key
        except (jwt.PyJWTError, ValueError, TypeError):
            continue
        if not isinstance(key, PublicKey) or (
            isinstance(key, RSAPublicKey) and key.key_size not in _RSA_BITS
        ):
            continue
        found.setdefault((kid, cast("str", kind)), key)
    return found


def _time(claims: Mapping[str, object], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e11:
        raise TokenError(f"The claim {name!r} is no time.", hint=_HINT)
    return float(value)


def _claim(claims: Mapping[str, object], path: str) -> object:
    """A claim by its name, or by dots through claims in claims; None if it is not there."""
    if path in claims:
        return claims[path]
    found: object = claims
    for part in path.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(part)
    return found


def _scopes(value: object) -> frozenset[str]:
    if isinstance(value, str):
        words: Sequence[object] = value.split()
    elif isinstance(value, list):
        words = cast("list[object]", value)
    else:
        return frozenset()
    texts = (word for word in words if isinstance(word, str))
    return frozenset(word.removeprefix(SCOPE_PREFIX) for word in texts if word.startswith(SCOPE_PREFIX))
