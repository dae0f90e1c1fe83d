"""Signing in and out: by an API key, or at the organisation's issuer."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from urllib.parse import quote, urlsplit

from flask import Flask, g, redirect, render_template, request
from werkzeug.wrappers import Response

from leadscore.console.ended_sessions import EndedSessions
from leadscore.console.guard import Guard
from leadscore.console.metrics import ConsoleMetrics
from leadscore.console.oidc_login import OidcLogin, PendingLogin
from leadscore.console.page import ConsolePerson
from leadscore.console.sessions import SessionKeeper
from leadscore.console.settings import ConsoleSettings
from leadscore.errors import BadInputError, LeadScoreError
from leadscore.identity.caller import Caller

_log = logging.getLogger(__name__)

_WHY = {
    "no_session": "",
    "expired": "Your session has ended. Sign in again to go on where you were.",
    "revoked": "The key that you signed in with is not valid any more.",
    "forged": "Your session is not valid here. Sign in again.",
    "signed_out": "That session was ended by signing out.",
    "unsure": "You are signed out here, and the event store did not take it down: a copy of your session "
    "may be good until it ends. Revoke the key where one may have been taken.",
}
LOGIN_COOKIE = "leadscore_login"


class SignIn:
    """The routes of signing in and out.

    Args:
        settings: The console's.
        guard: Gives and takes sessions.
        sessions: Opens them.
        ended: Where the end of one is kept.
        metrics: Where sign-ins are counted.
        asset: URL of a static file.
    """

    def __init__(
        self,
        settings: ConsoleSettings,
        guard: Guard,
        sessions: SessionKeeper,
        ended: EndedSessions,
        metrics: ConsoleMetrics,
        asset: Callable[[str], str],
    ) -> None:
        self._settings = settings
        self._guard = guard
        self._sessions = sessions
        self._ended = ended
        self._metrics = metrics
        self._asset = asset
        self.oidc = None if settings.oidc is None else OidcLogin(settings, settings.oidc)
        # Set by who records answers: what a login for an answer leads to.
        self.answered: Callable[[PendingLogin, bytes, ConsolePerson], str] | None = None

    def install(self, flask: Flask) -> None:
        """Add the routes to an app."""
        flask.add_url_rule("/sign-in", "sign_in", self._form, methods=["GET"])
        flask.add_url_rule("/sign-in", "sign_in_by_key", self._by_key, methods=["POST"])
        flask.add_url_rule("/sign-out", "sign_out", self._out, methods=["POST"])
        if self.oidc is not None:
            flask.add_url_rule("/sign-in/oidc", "sign_in_at_issuer", partial(self._to_issuer, self.oidc))
            flask.add_url_rule("/sign-in/callback", "sign_in_callback", partial(self._from_issuer, self.oidc))

    def _form(self) -> Response:
        said = _WHY.get(request.args.get("why", ""), "")
        return self._page(local_path(request.args.get("next", "")), said)

    def _page(self, after: str, said: str, hint: str = "", status: int = 200) -> Response:
        return Response(
            render_template(
                "sign_in.html",
                css=self._asset("console.css"),
                theme=self._asset("theme.js"),
                after=after,
                said=said,
                hint=hint,
                oidc=self.oidc is not None,
            ),
            status=status,
            mimetype="text/html",
        )

    def _by_key(self) -> Response:
        after = local_path(request.form.get("next", ""))
        try:
            key = request.form.get("key", "").strip().encode()
            session = self._sessions.open_by_key(key, time.time())
        except LeadScoreError as error:
            self._guard.refused("sign_in_key")
            return self._page(after, error.message, error.hint, error.status)
        response = redirect(after, code=303)
        self._guard.begin(response, session)
        self._metrics.signed_in.labels("key").inc()
        return response

    def _out(self) -> Response:
        """End the session here and everywhere; 503 where only this process can know of it."""
        person: ConsolePerson = g.person
        response = Response(status=204)
        try:
            self._ended.end(g.session, Caller(person.kind, person.name, person.address))
        except LeadScoreError as error:
            _log.error("a sign-out is not on record", extra={"fields": {"error": error.message}})
            response = Response(status=503)
        self._guard.end(response)
        return response

    def _to_issuer(self, oidc: OidcLogin) -> Response:
        after = local_path(request.args.get("next", ""))
        try:
            url, cookie = oidc.begin(after)
        except LeadScoreError as error:
            return self._page(after, error.message, error.hint, error.status)
        response = redirect(url, code=303)
        self.take_along(response, cookie)
        return response

    def take_along(self, response: Response, cookie: str) -> None:
        """Give a browser what it takes to the issuer and back."""
        response.set_cookie(
            LOGIN_COOKIE,
            cookie,
            max_age=600,
            httponly=True,
            secure=self._settings.is_secure,
            samesite="Lax",
            path="/sign-in",
        )

    def _from_issuer(self, oidc: OidcLogin) -> Response:
        after = "/"
        try:
            pending = oidc.read(request.cookies.get(LOGIN_COOKIE, ""))
            after = pending.after
            if request.args.get("state", "") != pending.state:
                raise BadInputError("This is the end of another login.", hint="Begin again.")
            raw, token = oidc.finish(pending, request.url)
            session = self._sessions.open_by_token(token, time.time())
            said = ""
            if pending.answer and self.answered is not None:
                _, person = self._sessions.read(
                    self._sessions.write(session), time.time(), self._guard.address()
                )
                said = self.answered(pending, raw, person)
        except LeadScoreError as error:
            self._guard.refused("sign_in_oidc")
            response = self._page(after, error.message, error.hint, error.status)
            response.delete_cookie(LOGIN_COOKIE, path="/sign-in")
            return response
        # In the fragment, which reaches no log.
        response = redirect(after if not said else f"{after}#said={quote(said)}", code=303)
        response.delete_cookie(LOGIN_COOKIE, path="/sign-in")
        self._guard.begin(response, session)
        self._metrics.signed_in.labels("oidc").inc()
        return response


def local_path(after: str) -> str:
    """A path of the console; never another site's address, as `//evil.example` is one."""
    parts = urlsplit(after)
    if parts.scheme or parts.netloc or not after.startswith("/") or after.startswith(("//", "/\\")):
        return "/"
    if not after.isprintable() or after.startswith(("/sign-in", "/_dash", "/actions")):
        return "/"
    return after
