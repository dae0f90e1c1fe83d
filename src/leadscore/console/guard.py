"""What stands before every request: who asks, from which page, and what browsers may do with the reply."""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import quote, urlsplit

import msgspec
from flask import Flask, Request, Response, g, redirect, request
from werkzeug.wrappers import Response as BaseResponse

from leadscore.console.ended_sessions import EndedSessions
from leadscore.console.metrics import ConsoleMetrics
from leadscore.console.page import ConsolePerson
from leadscore.console.sessions import ConsoleSession, SessionKeeper, SessionRefusedError
from leadscore.console.settings import ConsoleSettings
from leadscore.errors import ForbiddenError, LeadScoreError

_log = logging.getLogger(__name__)

CSRF_COOKIE: Final = "_csrf_token"
CSRF_HEADER: Final = "X-CSRFToken"
_SAFE: Final = frozenset(("GET", "HEAD", "OPTIONS"))
# What anybody may read: nothing in it is of an installation.
_OPEN_FOLDERS: Final = ("/static/", "/_dash-component-suites/")
_OPEN_PATHS: Final = frozenset(
    ("/sign-in", "/sign-in/oidc", "/sign-in/callback", "/healthz", "/readyz", "/_favicon.ico")
)


class CrossSiteError(ForbiddenError):
    """A post that did not come from a page of this console."""

    code = "cross_site"


class Guard:
    """Lets in who has a session, and posts that come from the console's own pages.

    Args:
        settings: The console's.
        sessions: Reads sessions.
        ended: Those that people have ended.
        metrics: Where refusals are counted.
    """

    def __init__(
        self,
        settings: ConsoleSettings,
        sessions: SessionKeeper,
        ended: EndedSessions,
        metrics: ConsoleMetrics,
    ) -> None:
        self._settings = settings
        self._sessions = sessions
        self._ended = ended
        self._metrics = metrics
        # Browsers keep a cookie of this name for https and this host alone (RFC 6265bis, 4.1.3.2).
        self.cookie = "__Host-leadscore" if settings.is_secure else "leadscore_session"

    def install(self, flask: Flask, script_hashes: Callable[[], Sequence[str]]) -> None:
        """Stand before and behind every request of an app."""
        flask.before_request(self._before)

        def after(response: Response) -> Response:
            return self._after(response, script_hashes())

        flask.after_request(after)
        flask.register_error_handler(LeadScoreError, _told)

    def address(self) -> str:
        """Where this request comes from."""
        forwarded = ",".join(request.headers.getlist("X-Forwarded-For")) or None
        return self._settings.proxies.client(
            request.remote_addr or "", None if forwarded is None else forwarded.encode("latin-1", "replace")
        )

    def refused(self, reason: str, person: ConsolePerson | None = None, **more: str) -> None:
        """Count a refusal, and leave a line that says who was refused what."""
        self._metrics.refused.labels(reason).inc()
        name = "" if person is None else person.name
        fields = {"reason": reason, "path": request.path[:200], "address": self.address(), "person": name}
        _log.warning("refused", extra={"fields": fields | more})

    def begin(self, response: BaseResponse, session: ConsoleSession) -> None:
        """Give a browser its session."""
        seconds = int(session.expires - session.issued)
        secure = self._settings.is_secure
        response.set_cookie(
            self.cookie,
            self._sessions.write(session),
            max_age=seconds,
            httponly=True,
            secure=secure,
            samesite="Lax",
            path="/",
        )
        response.set_cookie(
            CSRF_COOKIE,
            self._sessions.csrf_token(session),
            max_age=seconds,
            secure=secure,
            samesite="Strict",
            path="/",
        )

    def end(self, response: BaseResponse) -> None:
        """Take a browser's session away."""
        response.delete_cookie(self.cookie, path="/", secure=self._settings.is_secure, httponly=True)
        response.delete_cookie(CSRF_COOKIE, path="/", secure=self._settings.is_secure)

    def _before(self) -> BaseResponse | None:
        if request.method not in _SAFE and not _is_same_origin(request):
            self.refused("cross_site")
            raise CrossSiteError("This request comes from another site.", hint="Use the console's own pages.")
        if request.path in _OPEN_PATHS or request.path.startswith(_OPEN_FOLDERS):
            return None
        try:
            session, person = self._sessions.read(
                request.cookies.get(self.cookie, ""), time.time(), self.address()
            )
        except SessionRefusedError as error:
            return self._not_in(error)
        if self._ended.has_ended(session):
            return self._not_in(SessionRefusedError("signed_out", "This session was ended by signing out."))
        g.session, g.person = session, person
        if request.method not in _SAFE and not hmac.compare_digest(
            request.headers.get(CSRF_HEADER, "").encode("latin-1", "replace"),
            self._sessions.csrf_token(session).encode(),
        ):
            self.refused("csrf", person)
            raise CrossSiteError("This request lacks the token of your session.", hint="Load the page again.")
        return None

    def _not_in(self, error: SessionRefusedError) -> BaseResponse:
        if error.refusal != "no_session":
            self.refused(f"session_{error.refusal}")
        if request.method not in _SAFE or request.path.startswith("/_dash") or request.path == "/export":
            raise error
        then = quote(request.full_path.rstrip("?"), safe="")
        response = redirect(f"/sign-in?next={then}&why={error.refusal}", code=303)
        if error.refusal != "no_session":
            self.end(response)
        return response

    def _after(self, response: Response, script_hashes: Sequence[str]) -> Response:
        scripts = " ".join(script_hashes)
        policy = (
            f"default-src 'none'; script-src 'self' {scripts}; style-src 'self' 'unsafe-inline'; "
            "img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; form-action 'self'; "
            "base-uri 'none'; frame-ancestors 'none'"
        )
        response.headers["Content-Security-Policy"] = policy
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["X-Frame-Options"] = "DENY"
        response.headers["Referrer-Policy"] = "same-origin"
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
        response.headers["Permissions-Policy"] = "camera=(), geolocation=(), microphone=(), payment=()"
        if self._settings.is_secure:
            response.headers["Strict-Transport-Security"] = "max-age=31536000"
        if not request.path.startswith(("/static/", "/_dash-component-suites/")):
            response.headers["Cache-Control"] = "no-store"
        return response


def _is_same_origin(given: Request) -> bool:
    """Whether a browser says that a page of this console sent it (Fetch Metadata; else `Origin`).

    What says neither is no browser of today, and has no business here.
    """
    origin = given.headers.get("Origin", "")
    site = given.headers.get("Sec-Fetch-Site", "")
    if site:
        return site == "same-origin" and (not origin or urlsplit(origin).netloc == given.host)
    return bool(origin) and urlsplit(origin).netloc == given.host


def _told(error: LeadScoreError) -> Response:
    """An error as the console's own script reads it."""
    response = Response(status=error.status, mimetype="application/json")
    told = {"code": error.code, "message": error.message, "hint": error.hint}
    if isinstance(error, SessionRefusedError):
        told["why"] = error.refusal
    response.set_data(msgspec.json.encode(told))
    return response
