"""What the console is told by its environment."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from leadscore.durations import parse_duration
from leadscore.errors import BadInputError, UnavailableError
from leadscore.identity.oidc_settings import OidcSettings
from leadscore.identity.proxies import TrustedProxies
from leadscore.settings import Home

_SHORTEST_SECRET: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleSettings:
    """How the console works.

    Attributes:
        home: Where the stores are.
        model: Registered name of the model that pages are about.
        api_keys: Key file.
        oidc: Issuer whose people may sign in; None: keys alone. Its audience is the client's id.
        client_secret: Of the client at the issuer; "": a public client (PKCE alone).
        url: As people's browsers see the console; "": whatever they ask for, over http.
        secret: What sessions are signed with.
        session: How long one lasts at most.
        proxies: Whose `X-Forwarded-For` is believed.
        demo: Whether the store holds made-up data, which every page then says.
        notice: A sentence that every page shows, such as that history was backfilled; "": none.
        page_seconds: After how long a page is given up that the store has not answered.
    """

    home: Home
    model: str
    api_keys: Path
    oidc: OidcSettings | None
    client_secret: str
    url: str
    secret: bytes
    session: timedelta
    proxies: TrustedProxies
    demo: bool = False
    notice: str = ""
    page_seconds: float = 2.5

    @property
    def is_secure(self) -> bool:
        """Whether browsers come over https, so that cookies are sent over nothing else."""
        return self.url.startswith("https://")

    @classmethod
    def from_environment(cls, model: str, environ: Mapping[str, str] = os.environ) -> ConsoleSettings:
        """Read `LEADSCORE_*`; a secret is made and kept in the home folder where none is given.

        Raises:
            BadInputError: A variable holds what it cannot hold.
            UnavailableError: The secret can be neither read nor kept.
        """
        home = Home.from_environment(environ)
        url = environ.get("LEADSCORE_CONSOLE_URL", "").rstrip("/")
        parts = urlsplit(url)
        if url and (parts.scheme not in {"http", "https"} or not parts.hostname or parts.path):
            raise BadInputError(
                f"{url[:200]!r} is no address of a console.",
                hint="Set LEADSCORE_CONSOLE_URL to the scheme and host that people type: https://leads.example.",
            )
        oidc = OidcSettings.from_environment(environ)
        if oidc is not None and not url:
            raise BadInputError(
                "Signing in by OIDC needs the console's address.",
                hint="Set LEADSCORE_CONSOLE_URL, and register ITS-VALUE/sign-in/callback at the issuer.",
            )
        secret = environ.get("LEADSCORE_CONSOLE_SECRET", "").encode() or _kept_secret(home)
        if len(secret) < _SHORTEST_SECRET:
            raise BadInputError(
                f"LEADSCORE_CONSOLE_SECRET has {len(secret)} bytes.",
                hint=f"Give {_SHORTEST_SECRET} random ones or more: openssl rand -hex 32.",
            )
        return cls(
            home=home,
            model=model,
            api_keys=Path(environ.get("LEADSCORE_API_KEYS") or home.api_keys).absolute(),
            oidc=oidc,
            client_secret=environ.get("LEADSCORE_OIDC_CLIENT_SECRET", ""),
            url=url,
            secret=secret,
            session=parse_duration(environ.get("LEADSCORE_CONSOLE_SESSION") or "8h"),
            proxies=TrustedProxies.parse(environ.get("LEADSCORE_TRUSTED_PROXIES", "")),
            notice=environ.get("LEADSCORE_CONSOLE_NOTICE", ""),
        )


def _kept_secret(home: Home) -> bytes:
    """One per home folder, readable for its owner only; who starts first makes it."""
    kept = home.root / "console.secret"
    try:
        home.root.mkdir(parents=True, exist_ok=True)
        try:
            with os.fdopen(os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_hex(32))
        except FileExistsError:
            pass
        return kept.read_bytes()
    except OSError as error:
        raise UnavailableError(
            f"{kept} can be neither read nor written: {error.strerror}.",
            hint="Set LEADSCORE_CONSOLE_SECRET instead: openssl rand -hex 32.",
        ) from error
