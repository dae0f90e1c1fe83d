"""Headless Chromium for tests, and what goes wrong in its tabs."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page
from tools.chromium import MISSING, chromium, find_chromium


# Of a module only: while it is open, its event loop runs in this thread, and no other test can run one.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = find_chromium()
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    with chromium(program) as started:
        yield started


def watch(page: Page, asked: list[str], wrong: list[str]) -> None:
    """Note what a page asks for, and what it complains about."""
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
