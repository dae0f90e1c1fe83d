"""The one headless Chromium: of browser tests, and of pictures for the documentation."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

MISSING = "there is no Chromium: `make system` installs it"


def find_chromium() -> str | None:
    """Path of the program as the distribution calls it; None: it is not installed."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@contextmanager
def chromium(program: str) -> Iterator[Browser]:
    """A browser that is open within the block; until its end its event loop runs in this thread."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield started
        finally:
            started.close()
