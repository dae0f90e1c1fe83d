"""Tokens of an OIDC issuer as callers' credentials: verified once, then known by their digest until they end.

Loaded only where an issuer is set: what verifies tokens takes memory and a tenth of a second.
"""

from __future__ import annotations

from typing import Final

from leadscore.identity.apikeys import KeyScope
from leadscore.identity.caller import OIDC, Caller
from leadscore.identity.oidc import Token, TokenVerifier
from leadscore.identity.oidc_settings import OidcSettings
from leadscore_service.errors import MissingScopeError
from leadscore_service.http import Request

_REMEMBERED: Final = 4096


class Tokens:
    """Find the caller of a token; the issuer's keys are fetched by `refresh`, apart from requests.

    Verifying is bounded work on the event loop, about as long as a score: the token's size, the number and
    the size of the issuer's keys have limits, and nothing is fetched for a request.

    Args:
        settings: Which tokens are taken.
        verifier: Verifies them; by default with keys fetched from the issuer.
    """

    def __init__(self, settings: OidcSettings, verifier: TokenVerifier | None = None) -> None:
        self._verifier = TokenVerifier(settings) if verifier is None else verifier
        self._known: dict[bytes, Token] = {}
        self._generation = 0

    def refresh(self) -> None:
        """Fetch the issuer's keys if it is time; blocks, so call it off the event loop."""
        self._verifier.refresh(wait=False)

    def caller(self, token: bytes, digest: bytes, scope: KeyScope, request: Request) -> Caller:
        """Whose token it is.

        Args:
            token: As the request carries it.
            digest: Its SHA-256.
            scope: What the endpoint needs.
            request: The request, for the time and the address.

        Raises:
            TokenError: It is not to be taken (401).
            MissingScopeError: It may not do this (403).
            IssuerUnavailableError: There are no keys to verify it with (503).
        """
        if self._generation != self._verifier.generation:
            # The issuer's keys have changed: one of them may have been withdrawn.
            self._generation = self._verifier.generation
            self._known.clear()
        now = request.now_ns / 1e9
        known = self._known.get(digest)
        if known is None or now >= known.expires:
            known = self._verifier.verify(token, now)
            if len(self._known) >= _REMEMBERED:
                self._known.pop(next(iter(self._known)))
            self._known[digest] = known
        if scope not in known.scopes:
            raise MissingScopeError(known.name, scope, what="token of")
        return Caller(OIDC, known.name, request.address)
