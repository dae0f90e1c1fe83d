"""A console over a store of its own, and people who sign in to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from dash import html
from flask.testing import FlaskClient

from leadscore.console.app import Console
from leadscore.console.page import (
    ActionRequest,
    ActionResult,
    ConsoleAction,
    ConsolePage,
    ConsolePerson,
    NumberTile,
    PageContent,
    PageRequest,
    PageVerdict,
)
from leadscore.console.settings import ConsoleSettings
from leadscore.identity.apikeys import KeyScope, create_key
from leadscore.identity.oidc_settings import OidcSettings
from leadscore.identity.proxies import TrustedProxies
from leadscore.monitoring.measures import Measure
from leadscore.settings import Home

PERSON = ConsolePerson(kind="key", name="ada.lovelace", role="viewer")
OURS = {"Sec-Fetch-Site": "same-origin"}


def settings(folder: Path, *, oidc: OidcSettings | None = None, **changes: Any) -> ConsoleSettings:
    home = Home.from_environment({"LEADSCORE_HOME": str(folder)})
    given: dict[str, Any] = {
        "home": home, "model": "leads", "api_keys": home.api_keys, "oidc": oidc,
        "client_secret": "", "url": "",
        "secret": b"s" * 32, "session": timedelta(hours=8), "proxies": TrustedProxies(),
    }  # fmt: skip
    return ConsoleSettings(**(given | changes))


def content(sentence: str = "Everything is as it was.") -> PageContent:
    tile = NumberTile(label="Predictions", measure=Measure(value=12, n=12))
    return PageContent(
        verdict=PageVerdict(level="good", sentence=sentence), tiles=[tile], body=[html.P("body")]
    )


def page(path: str = "/", build: Any = None, **changes: Any) -> ConsolePage:
    def plain(request: PageRequest) -> PageContent:
        return content()

    given: dict[str, Any] = {
        "path": path, "title": "Overview", "group": "Operations", "question": "?", "build": build or plain,
    }  # fmt: skip
    return ConsolePage(**(given | changes))


def noted(into: list[ActionRequest], role: Any = "approver") -> ConsoleAction:
    """An action that notes what it was asked."""

    def run(request: ActionRequest) -> ActionResult:
        into.append(request)
        return ActionResult(sentence="done")

    return ConsoleAction(name="note", role=role, run=run)


@dataclass
class Visitor:
    """Somebody with a browser."""

    client: FlaskClient

    def sign_in(self, key: str) -> Any:
        return self.client.post("/sign-in", data={"key": key, "next": "/"}, headers=OURS)

    def token(self) -> str:
        found = self.client.get_cookie("_csrf_token")
        return "" if found is None else found.value

    def act(self, name: str, *, headers: dict[str, str] | None = None, **fields: str) -> Any:
        given = OURS | {"X-CSRFToken": self.token()} if headers is None else headers
        return self.client.post(f"/actions/{name}", data=fields, headers=given)


def visitor(
    folder: Path, pages: Sequence[ConsolePage] = (), actions: Sequence[ConsoleAction] = (), **changes: Any
) -> tuple[Visitor, Console]:
    console = Console(settings(folder, **changes), pages or [page()], actions)
    return Visitor(console.flask.test_client()), console


def key(folder: Path, *scopes: KeyScope, name: str = "ada.lovelace") -> str:
    return create_key(settings(folder).api_keys, name, scopes)[0]


def refusals(console: Console) -> dict[str, float]:
    """How often was refused, by why."""
    return {
        sample.labels["reason"]: sample.value
        for metric in console.metrics.registry.collect()
        for sample in metric.samples
        if sample.name == "leadscore_console_refused_total"
    }
