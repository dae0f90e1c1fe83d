"""Which OIDC tokens are taken: read from the environment without loading what verifies them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from leadscore.errors import BadInputError

# Asymmetric only: with HMAC, the public key would be the secret.
KEY_TYPES: Final = {
    "RS256": "RSA", "RS384": "RSA", "RS512": "RSA", "PS256": "RSA", "PS384": "RSA", "PS512": "RSA",
    "ES256": "EC", "ES384": "EC", "ES512": "EC", "EdDSA": "OKP",
}  # fmt: skip
ALGORITHMS: Final = tuple(KEY_TYPES)


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcSettings:
    """Which tokens are taken.

    Attributes:
        issuer: Its URL, as in the claim `iss`.
        audience: What the claim `aud` must name.
        jwks_url: Where the issuer's keys are; "": as its discovery document says.
        algorithms: Signature algorithms that are taken.
        scopes_claim: Claim that holds the scopes, with dots for claims in claims
            (`resource_access.leadscore.roles`): words `leadscore:score`, as a list or separated by spaces.
        name_claim: Claim that names the caller.
        leeway_seconds: How far the clocks of issuer and service may differ.
    """

    issuer: str
    audience: str
    jwks_url: str = ""
    algorithms: tuple[str, ...] = ("RS256", "ES256", "EdDSA")
    scopes_claim: str = "scope"
    name_claim: str = "sub"
    leeway_seconds: int = 30

    def __post_init__(self) -> None:
        """Refuse what could not be verified safely."""
        if not self.audience:
            raise BadInputError("OIDC needs an audience.", hint="Set LEADSCORE_OIDC_AUDIENCE.")
        for url in (self.issuer, self.jwks_url):
            parts = urlsplit(url)
            local = parts.hostname in {"localhost", "127.0.0.1", "::1"}
            if url and (parts.scheme != "https" and not (local and parts.scheme == "http")):
                raise BadInputError(f"{url!r} is no https URL.", hint="Correct LEADSCORE_OIDC_ISSUER.")
        unknown = [name for name in self.algorithms if name not in ALGORITHMS]
        if unknown or not self.algorithms:
            raise BadInputError(
                f"{', '.join(unknown) or 'Nothing'} is no signature algorithm to verify tokens with.",
                hint=f"LEADSCORE_OIDC_ALGORITHMS takes: {', '.join(ALGORITHMS)}.",
            )
        if not 0 <= self.leeway_seconds <= 300:
            raise BadInputError("The leeway of tokens is 0 to 300 s.", hint="Set LEADSCORE_OIDC_LEEWAY_S.")

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> OidcSettings | None:
        """Read `LEADSCORE_OIDC_*`; None if no issuer is set.

        Raises:
            BadInputError: A variable holds what it cannot hold.
        """
        issuer = environ.get("LEADSCORE_OIDC_ISSUER", "")
        if not issuer:
            return None
        leeway = environ.get("LEADSCORE_OIDC_LEEWAY_S") or "30"
        algorithms = environ.get("LEADSCORE_OIDC_ALGORITHMS") or "RS256,ES256,EdDSA"
        return cls(
            issuer=issuer,
            audience=environ.get("LEADSCORE_OIDC_AUDIENCE", ""),
            jwks_url=environ.get("LEADSCORE_OIDC_JWKS_URL", ""),
            algorithms=tuple(algorithms.replace(",", " ").split()),
            scopes_claim=environ.get("LEADSCORE_OIDC_SCOPES_CLAIM") or "scope",
            name_claim=environ.get("LEADSCORE_OIDC_NAME_CLAIM") or "sub",
            leeway_seconds=int(leeway) if leeway.isdigit() else -1,
        )


def is_token(credential: bytes) -> bool:
    """Tell whether a credential looks like a JWT; API keys have no dots."""
    return credential.count(b".") == 2
