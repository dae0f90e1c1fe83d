"""Logging in at an OIDC issuer: authorization code with PKCE (RFC 7636), through Authlib.

The same way serves signing in and answering for a candidate; an answer's login carries the statement's hash
as its nonce, so that the issuer's token says who said exactly that.
"""

from __future__ import annotations

import secrets
import threading
import time
import warnings
from typing import Any, Final, cast

import httpx
import msgspec
from authlib.common.errors import AuthlibBaseError
from itsdangerous import BadSignature, URLSafeTimedSerializer

from leadscore.console.settings import ConsoleSettings
from leadscore.errors import BadInputError, UnauthorizedError
from leadscore.identity.fetch import fetch_json
from leadscore.identity.oidc import IssuerUnavailableError, Token, TokenError, TokenVerifier
from leadscore.identity.oidc_settings import OidcSettings

with warnings.catch_warnings():  # it would rather have httpx2, and takes httpx
    from authlib.deprecate import AuthlibDeprecationWarning

    warnings.simplefilter("ignore", AuthlibDeprecationWarning)
    from authlib.integrations.httpx_client import OAuth2Client

_SALT: Final = "leadscore.dev/v1 console login"
# How long a person may take at the issuer, seconds.
_PATIENCE: Final = 600
_SECONDS: Final = 5.0
# Browsers keep 4,096 bytes of a cookie, its name and attributes included.
_LONGEST_COOKIE: Final = 3_800
_SCOPES: Final = "openid profile leadscore:view leadscore:approve leadscore:admin"


class PendingLogin(msgspec.Struct, frozen=True, kw_only=True):
    """What a browser takes to the issuer and back, signed, in a cookie.

    Attributes:
        state: What the issuer must send back.
        verifier: PKCE's secret.
        nonce: What the token must carry.
        after: Path of the page to go on with.
        answer: Fields of an answer that this login is for; empty: it is for signing in.
    """

    state: str
    verifier: str
    nonce: str
    after: str
    answer: dict[str, str] = {}


class _Endpoints(msgspec.Struct):
    issuer: str
    authorization_endpoint: str
    token_endpoint: str


class OidcLogin:
    """Sends people to the issuer and verifies what they bring back.

    Args:
        settings: The console's.
        oidc: The issuer's; its audience is this client's id.
    """

    def __init__(self, settings: ConsoleSettings, oidc: OidcSettings) -> None:
        self._oidc = oidc
        self._client_secret = settings.client_secret
        self._callback = f"{settings.url}/sign-in/callback"
        self._verifier = TokenVerifier(oidc)
        self._signer = URLSafeTimedSerializer(settings.secret, salt=_SALT)
        self._endpoints: _Endpoints | None = None
        self._lock = threading.Lock()

    def begin(self, after: str, *, nonce: str = "", answer: dict[str, str] | None = None) -> tuple[str, str]:
        """Return the issuer's page to go to, and the cookie to take along.

        Args:
            after: Path of the page to go on with.
            nonce: What the token must carry; "": something random.
            answer: Fields of the answer that this login is for.

        Raises:
            IssuerUnavailableError: The issuer does not say where people log in.
            BadInputError: The answer is too long for a cookie.
        """
        pending = PendingLogin(
            state=secrets.token_urlsafe(24),
            verifier=secrets.token_urlsafe(48),
            nonce=nonce or secrets.token_urlsafe(24),
            after=after,
            answer=answer or {},
        )
        cookie = str(self._signer.dumps(msgspec.to_builtins(pending)))
        if len(cookie) > _LONGEST_COOKIE:
            raise BadInputError(
                "The reason is too long to take to the issuer and back.", hint="Say it in fewer words."
            )
        # Who answers shows that it is they, now: an open session at the issuer is not enough.
        fresh = {"prompt": "login", "max_age": "0"} if answer else {}
        with self._client() as client:
            url, _ = client.create_authorization_url(
                self._known().authorization_endpoint,
                state=pending.state,
                code_verifier=pending.verifier,
                nonce=pending.nonce,
                **fresh,
            )
        return str(url), cookie

    def read(self, cookie: str) -> PendingLogin:
        """What a browser took along.

        Raises:
            UnauthorizedError: It is none of ours, or too old.
        """
        try:
            return msgspec.convert(self._signer.loads(cookie, max_age=_PATIENCE), type=PendingLogin)
        except (BadSignature, msgspec.ValidationError) as error:
            raise UnauthorizedError(
                "This login was not begun here, or took too long.", hint="Begin again."
            ) from error

    def finish(self, pending: PendingLogin, url: str) -> tuple[bytes, Token]:
        """Exchange the code in the URL that the issuer sent the person to.

        Args:
            pending: What the browser took along.
            url: As it was asked for.

        Returns:
            The ID token as it is, and what it says.

        Raises:
            UnauthorizedError: The issuer refused, or its token does not hold or was given out for something
                else.
            IssuerUnavailableError: It does not answer.
        """
        try:
            with self._client() as client:
                reply = cast(
                    "dict[str, Any]",
                    client.fetch_token(
                        self._known().token_endpoint,
                        authorization_response=url,
                        state=pending.state,
                        code_verifier=pending.verifier,
                    ),
                )
        except AuthlibBaseError as error:
            raise UnauthorizedError(
                f"The issuer did not let you in: {error.error}.", hint="Begin again."
            ) from error
        except (httpx.HTTPError, ValueError) as error:
            raise IssuerUnavailableError(
                f"The issuer did not answer as it should: {type(error).__name__}.", hint="Try again soon."
            ) from error
        raw = str(reply.get("id_token", "")).encode("ascii", "replace")
        token = self._verifier.verify_fetching(raw, time.time())
        if not secrets.compare_digest(token.nonce.encode(), pending.nonce.encode()):
            raise TokenError("The token was given out for something else.", hint="Begin again.")
        return raw, token

    def _client(self) -> Any:  # Authlib has no types
        return OAuth2Client(
            client_id=self._oidc.audience,
            client_secret=self._client_secret or None,
            token_endpoint_auth_method="client_secret_basic" if self._client_secret else "none",
            scope=_SCOPES,
            redirect_uri=self._callback,
            code_challenge_method="S256",
            timeout=_SECONDS,
            follow_redirects=False,
            trust_env=False,
        )

    def _known(self) -> _Endpoints:
        with self._lock:
            if self._endpoints is None:
                url = f"{self._oidc.issuer.rstrip('/')}/.well-known/openid-configuration"
                try:
                    found = msgspec.json.decode(fetch_json(url), type=_Endpoints)
                except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                    raise IssuerUnavailableError(
                        "The issuer does not say where people log in.", hint=f"Look at {url}."
                    ) from error
                if found.issuer != self._oidc.issuer:
                    raise IssuerUnavailableError("The discovery document is of another issuer.")
                self._endpoints = found
            return self._endpoints
