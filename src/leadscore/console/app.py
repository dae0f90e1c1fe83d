"""The console put together: Flask's routes, Dash's shell, and the pages in it.

Dash draws and asks for pages by one callback; whatever changes something is a plain post to `/actions/…`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, cast
from urllib.parse import parse_qsl, urlsplit

import msgspec
import prometheus_client
from dash import ClientsideFunction, Dash, Input, Output, dcc, html
from dash import dcc as dash_core
from dash.development.base_component import Component
from dash.exceptions import DependencyException
from flask import Flask, g, jsonify, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from leadscore import __version__
from leadscore.console.assets import StaticFiles
from leadscore.console.building import PageBuilder
from leadscore.console.compression import compress
from leadscore.console.ended_sessions import EndedSessions
from leadscore.console.fields import attributes
from leadscore.console.guard import Guard
from leadscore.console.metrics import ConsoleMetrics
from leadscore.console.oidc_login import PendingLogin
from leadscore.console.page import (
    GROUPS,
    ActionRequest,
    ActionResult,
    ConsoleAction,
    ConsolePage,
    ConsolePerson,
    PageExport,
    PageReader,
    check_readable,
)
from leadscore.console.page_tables import exported_tables
from leadscore.console.sessions import SessionKeeper
from leadscore.console.settings import ConsoleSettings
from leadscore.console.sign_in import SignIn, local_path
from leadscore.errors import BadInputError, ForbiddenError, NotFoundError, UnauthorizedError
from leadscore.events.store import EventStore
from leadscore.identity.approvers import Approvers
from leadscore.identity.oidc import TokenVerifier

_HERE: Final = Path(__file__).parent
_REFRESH_SECONDS: Final = 5
_ROLES: Final = {"viewer": "may look", "approver": "may approve", "admin": "may administer"}


class _Place(msgspec.Struct):
    id: str
    property: str


class _Href(_Place):
    value: str | None = None


class _Tick(_Place):
    value: int | None = None


class _Asked(msgspec.Struct):
    """What our one callback is asked; Dash itself fails on anything else."""

    output: Literal["..content.children...served.data.."]
    outputs: tuple[_Place, _Place]
    inputs: tuple[_Href, _Tick]
    changedPropIds: list[str] = []  # noqa: N815 (Dash's name)
    state: tuple[()] = ()


class Console:
    """One console.

    Args:
        settings: How it works.
        pages: In the order of the navigation.
        actions: What forms of pages do.
        clock: This moment (UTC).
    """

    def __init__(
        self,
        settings: ConsoleSettings,
        pages: Sequence[ConsolePage],
        actions: Sequence[ConsoleAction],
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._pages = {page.path: page for page in pages}
        self._actions = {action.name: action for action in actions}
        self._clock = clock
        self.metrics = ConsoleMetrics()
        self._store = EventStore(settings.home.events_url, answer_seconds=settings.page_seconds)
        tokens = None if settings.oidc is None else TokenVerifier(settings.oidc)
        self._approvers = Approvers(settings.api_keys, tokens)
        self._builder = PageBuilder(settings, self._store, self._approvers, self.metrics, clock=clock)
        self._static = StaticFiles(_HERE / "static")
        self._sessions = SessionKeeper(settings)
        self._ended = EndedSessions(self._store, settings.session.total_seconds())
        self._guard = Guard(settings, self._sessions, self._ended, self.metrics)
        self.flask = Flask("leadscore.console", static_folder=None, template_folder=str(_HERE / "templates"))
        self.flask.config["MAX_CONTENT_LENGTH"] = 256 * 1024
        self._sign_in = SignIn(
            settings, self._guard, self._sessions, self._ended, self.metrics, self._static.url
        )
        self._sign_in.answered = self._answered
        self._script_hashes: tuple[str, ...] = ()
        # Before Dash, which asks for its layout on the first request, whoever that is from. What comes behind
        # a request runs in the other order: compressed last.
        self.flask.after_request(compress)
        self.flask.after_request(self._found)
        self._guard.install(self.flask, lambda: self._script_hashes)
        self.flask.before_request(_check_asked)
        self.flask.register_error_handler(DependencyException, _no_such_file)
        self.flask.register_error_handler(HTTPException, _in_a_sentence)
        self._script_hashes = tuple(self._dash().csp_hashes())

    def _dash(self) -> Dash:
        flask = self.flask
        self._static.install(flask)
        self._sign_in.install(flask)
        flask.add_url_rule("/healthz", "healthz", lambda: Response("ok\n", mimetype="text/plain"))
        flask.add_url_rule("/readyz", "readyz", lambda: Response("ok\n", mimetype="text/plain"))
        flask.add_url_rule("/actions/<name>", "action", self._act, methods=["POST"])
        flask.add_url_rule("/export/<path:path>", "export", self._export)
        dash = Dash(
            __name__,
            server=cast("Any", flask),  # typed as a function or a truth value
            assets_folder=str(_HERE / "no-assets"),
            serve_locally=True,
            suppress_callback_exceptions=True,
            update_title="",
            title="LeadScore",
            include_assets_files=False,
        )
        # The whole plotly.js, 4.8 MB, which `theme.js` replaces by the basic bundle where a chart is.
        scripts = cast("list[dict[str, object]]", getattr(dash_core, "_js_dist"))  # noqa: B009
        scripts[:] = [found for found in scripts if found.get("namespace") != "plotly"]
        shell = (_HERE / "templates" / "shell.html").read_text(encoding="utf-8")
        for word, name in (
            ("CONSOLE_CSS", "console.css"),
            ("CONSOLE_THEME_JS", "theme.js"),
            ("CONSOLE_JS", "console.js"),
        ):
            shell = shell.replace(word, self._static.url(name))
        dash.index_string = shell.replace(
            "<head>", f'<head>\n<meta name="plotly" content="{self._static.url("plotly-basic.min.js")}">'
        )
        dash.layout = self._layout
        dash.callback(
            Output("content", "children"),
            Output("served", "data"),
            Input("url", "href"),
            Input("tick", "data"),
        )(self._serve)
        dash.clientside_callback(
            ClientsideFunction("leadscore", "served"), Output("shown", "data"), Input("served", "data")
        )
        return dash

    def _layout(self) -> Component:
        person: ConsolePerson | None = g.get("person")
        if person is None:  # Dash looks at it before anybody is signed in
            return html.Div()
        settings = self._settings
        marks: list[Component] = []
        if settings.demo:
            said = "Demo: made-up leads and outcomes. Nothing here is of your organisation."
            marks.append(html.P([html.Strong(said), " ", settings.notice], className="demo"))
        elif settings.notice:
            marks.append(html.P(settings.notice, className="notice"))
        return html.Div(
            [
                dcc.Location(id="url", refresh="callback-nav"),
                dcc.Store(id="tick", data=0),
                dcc.Store(id="served"),
                dcc.Store(id="shown"),
                html.Header(
                    [
                        dcc.Link("LeadScore", href="/", className="brand"),
                        html.Span(settings.model, className="model", title="Model that the pages are about"),
                        html.Span("", id="refresh-state", className="refresh", role="status"),
                        html.Button("Pause", id="refresh-switch", type="button", className="quiet"),
                        html.Button("Dark", id="theme-switch", type="button", className="quiet"),
                        html.Span([html.Span(person.name), f" ({_ROLES[person.role]})"], className="person"),
                        html.Button("Sign out", id="sign-out", type="button", className="quiet"),
                    ],
                    className="top",
                ),
                html.Nav(self._navigation(), className="side", **attributes({"aria-label": "Pages"})),
                html.Main(
                    [
                        *marks,
                        html.H1("", id="title", tabIndex="-1"),
                        html.Div("", id="said", role="status", className="said"),
                        html.Div(html.P("Loading …", className="hint"), id="content"),
                        html.P(f"LeadScore {__version__}. All times are UTC.", className="foot"),
                    ],
                    id="main",
                    tabIndex="-1",
                ),
            ],
            id="shell",
            className="shell demo" if settings.demo else "shell",
            **attributes({"data-refresh": str(_REFRESH_SECONDS)}),
        )

    def _found(self, response: Response) -> Response:
        """Dash answers every path with its shell; where no page is, the status says so, too."""
        if response.status_code == 200 and response.mimetype == "text/html" and request.method == "GET":
            path = request.path.rstrip("/") or "/"
            if path not in self._pages and path != "/sign-in":
                response.status_code = 404
        return response

    def _navigation(self) -> list[Component]:
        found: list[Component] = []
        for group in GROUPS:
            pages = [page for page in self._pages.values() if page.group == group and not page.hidden]
            if pages:
                links = [html.Li(dcc.Link(page.title, href=page.path, title=page.question)) for page in pages]
                found += [html.H2(group), html.Ul(links)]
        return found

    def _serve(self, href: str | None, tick: int | None) -> tuple[list[Component], dict[str, object]]:
        """The one callback: a URL's page, as it is now."""
        try:
            parts = urlsplit(href or "/")
        except ValueError:  # such as a bracket of an IPv6 address alone
            parts = urlsplit("/no-such-page")
        page = self._pages.get(parts.path.rstrip("/") or "/")
        told: dict[str, object] = {"tick": tick, "path": parts.path, "at": f"{self._clock():%H:%M:%S}"}
        if page is None:
            lost = html.Div(
                [html.P("There is no such page."), html.P(dcc.Link("Go to the first page", href="/"))],
                className="empty",
            )
            return [lost], told | {"title": "Not found", "fresh": True}
        given = dict(parse_qsl(parts.query))
        built = self._builder.build(page, given, _reader())
        told |= {"title": page.title, "fresh": built.result != "unknown"}
        return list(built.children), told

    def _act(self, name: str) -> Response:
        person: ConsolePerson = g.person
        action = self._actions.get(name)
        if action is None:
            raise NotFoundError(f"There is no action {name[:40]!r}.", hint="Load the page again.")
        fields = {key: value.strip() for key, value in request.form.items()}
        check_readable(fields, kept=True)
        result = self._done(action, fields, person)
        oidc = self._sign_in.oidc
        if not result.login_nonce:
            return cast("Response", jsonify({"sentence": result.sentence, "redirect": ""}))
        if oidc is None:
            raise BadInputError("There is no issuer to prove it at.", hint="Give an API key.")
        url, cookie = oidc.begin(
            local_path(urlsplit(request.headers.get("Referer", "")).path),
            nonce=result.login_nonce,
            answer={"action": name, **result.login_fields},
        )
        response = cast("Response", jsonify({"sentence": "", "redirect": url}))
        self._sign_in.take_along(response, cookie)
        return response

    def _done(self, action: ConsoleAction, fields: Mapping[str, str], person: ConsolePerson) -> ActionResult:
        """Do what somebody asks, if they may; a refusal is counted and leaves a line."""
        if not person.may(action.role):
            self._guard.refused("role", person, action=action.name)
            raise ForbiddenError(
                f"Your role here is {person.role}; this needs {action.role}.",
                hint="Sign in with a key that has the scope, or ask who has one.",
            )
        try:
            return action.run(self._action_request(fields, person))
        except (ForbiddenError, UnauthorizedError):
            self._guard.refused("action", person, action=action.name)
            raise
        finally:  # what failed may have been done in part
            self._builder.forget()

    def _action_request(self, fields: Mapping[str, str], person: ConsolePerson) -> ActionRequest:
        return ActionRequest(
            fields=fields,
            person=person,
            store=self._store,
            home=self._settings.home,
            approvers=self._approvers,
            now=self._clock(),
        )

    def _answered(self, pending: PendingLogin, token: bytes, person: ConsolePerson) -> str:
        """Run the action that a login was for, with the token that it brought."""
        fields = dict(pending.answer)
        action = self._actions.get(fields.pop("action", ""))
        if action is None:
            raise NotFoundError("This login was for something that does not exist.", hint="Begin again.")
        return self._done(action, fields | {"credential": token.decode("ascii")}, person).sentence

    def _export(self, path: str) -> Response:
        page = self._pages.get("/" if path == "overview" else f"/{path}".rstrip("/"))
        if page is None:
            raise NotFoundError(f"There is no page /{path[:60]}.", hint="Open one and export it there.")
        asked = self._builder.request(page, dict(request.args.items()), _reader())
        if page.export is not None:
            found = page.export(asked)
        else:
            found = exported_tables(page.title.lower(), page.build(asked))
        return Response(
            _csv(found),
            mimetype="text/csv",
            headers={"Content-Disposition": f'attachment; filename="{found.name}.csv"'},
        )

    def serve_metrics(self, host: str, port: int) -> None:
        """Answer Prometheus on a port of its own, which no ingress leads to."""
        prometheus_client.start_http_server(port, host, self.metrics.registry)


def _reader() -> PageReader:
    person: ConsolePerson = g.person
    return person.reader


def _check_asked() -> None:
    if request.path != "/_dash-update-component":
        return
    try:
        msgspec.json.decode(request.get_data(), type=_Asked)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadInputError("This is no request of the console's pages.", hint="Load the page.") from error


def _in_a_sentence(error: HTTPException) -> HTTPException | Response:
    """What a form is told where the request fails before or beside its action, as an error of ours."""
    if not request.path.startswith("/actions/"):
        return error
    code = error.code or 500
    message = "The action failed; whether it was done is not known. The log says why."
    hint = "Load the page and look."
    if code < 500:
        message = "This is more than a form may send." if code == 413 else "This is no request of a form."
        hint = "Write less." if code == 413 else "Load the page again."
    told = {"code": "failed" if code >= 500 else "bad_input", "message": message, "hint": hint}
    return Response(msgspec.json.encode(told), status=code, mimetype="application/json")


def _no_such_file(error: DependencyException) -> Response:
    del error  # it lists every file there is
    return Response("There is no such file.\n", status=404, mimetype="text/plain")


def _csv(found: PageExport) -> Iterator[str]:
    """Rows as RFC 4180, in parts; text that a spreadsheet would take for a formula is marked as text."""
    buffer = io.StringIO()
    write = csv.writer(buffer)
    write.writerow(found.header)
    for row in found.rows:
        write.writerow([_as_text(cell) for cell in row])
        if buffer.tell() > 32_768:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def _as_text(cell: object) -> object:
    if isinstance(cell, datetime):
        return cell.isoformat()
    if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{cell}"
    return cell
