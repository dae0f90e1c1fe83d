"""A real browser in front of a real console."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page
from tests.support.browser import browser, watch
from tests.support.console_world import make_world, serving, settings_of

from leadscore.console.app import Console
from leadscore.console.pages import ACTIONS, PAGES
from leadscore.identity.apikeys import create_key
from leadscore.settings import Home

__all__ = ["browser"]


@dataclass
class Place:
    """A console that is served, and keys to it."""

    home: Home
    console: Console
    address: str
    keys: dict[str, str]


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    home = make_world(tmp_path_factory.mktemp("console"))
    keys = {
        "vera": create_key(home.api_keys, "vera", ["view"])[0],
        "ada.lovelace": create_key(home.api_keys, "ada.lovelace", ["view", "approve"])[0],
        "eve.admin": create_key(home.api_keys, "eve.admin", ["view", "approve", "admin"])[0],
    }
    console = Console(settings_of(home), PAGES, ACTIONS)
    with serving(console.flask) as address:
        yield Place(home, console, address, keys)


@dataclass
class Visit:
    """Somebody's tab: what went wrong in it, and what it asked for."""

    context: BrowserContext
    page: Page
    address: str
    asked: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def sign_in(self, key: str, path: str = "/") -> None:
        self.page.goto(f"{self.address}{path}")
        self.page.get_by_label("API key").fill(key)
        self.page.get_by_role("button", name="Sign in").click()
        self.settle()

    def go(self, path: str) -> None:
        self.page.goto(f"{self.address}{path}")
        self.settle()

    def settle(self) -> None:
        """Wait until a page is shown, its charts drawn."""
        self.page.locator("#title:not(:empty)").wait_for()
        self.page.wait_for_function(
            "() => [...document.querySelectorAll('.dash-graph')].every(g => g.querySelector('.main-svg'))"
        )

    def text(self) -> str:
        return self.page.locator("#content").inner_text()

    @property
    def foreign(self) -> list[str]:
        return [url for url in self.asked if not url.startswith((self.address, "data:", "blob:"))]


def visit(context: BrowserContext, address: str) -> Visit:
    context.set_default_timeout(30_000)
    made = Visit(context, context.new_page(), address)
    watch(made.page, made.asked, made.wrong)
    return made


@pytest.fixture
def tab(browser: Browser, place: Place) -> Iterator[Visit]:
    context = browser.new_context(viewport={"width": 1300, "height": 900}, color_scheme="light")
    yield visit(context, place.address)
    context.close()


@pytest.fixture
def home(place: Place) -> Path:
    return place.home.root
