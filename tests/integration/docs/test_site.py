"""The documentation site, built as `make docs-site` does, and looked at in a real browser."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Browser, Page
from tests.support.browser import browser, watch

__all__ = ["browser"]

ROOT = Path(__file__).parents[3]
DIAGRAMS = sorted(
    path.relative_to(ROOT / "docs").as_posix()
    for path in (ROOT / "docs").rglob("*.md")
    if "```mermaid" in path.read_text(encoding="utf-8")
)
# Mermaid's result is put behind a closed door, which a test may open.
_OPEN_SHADOWS = """
const attach = Element.prototype.attachShadow;
Element.prototype.attachShadow = function (options) { return attach.call(this, {...options, mode: "open"}); };
"""
_SETTLED = """
() => !document.querySelector("pre.mermaid") &&
      [...document.querySelectorAll("div.mermaid")].every(
        one => one.shadowRoot && one.shadowRoot.querySelector("svg"))
"""
_DRAWN = """
() => [...document.querySelectorAll("div.mermaid")].map(one => {
  const svg = one.shadowRoot.querySelector("svg"), box = svg.getBoundingClientRect();
  return {
    width: box.width, height: box.height, text: svg.textContent,
    kind: svg.getAttribute("aria-roledescription")
  };
})
"""


def build(
    folder: Path, *options: str, config: Path = ROOT / "mkdocs.yml"
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--config-file", str(config), "--site-dir", str(folder),
            *options],
        cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build(folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def address(site: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@dataclass
class Reading:
    """A page that somebody reads, with what went wrong and what it asked for."""

    page: Page
    asked: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


@pytest.fixture
def reading(browser: Browser) -> Iterator[Reading]:
    context = browser.new_context(viewport={"width": 1300, "height": 900})
    context.add_init_script(_OPEN_SHADOWS)
    made = Reading(context.new_page())
    watch(made.page, made.asked, made.wrong)
    made.page.on("requestfailed", lambda request: made.wrong.append(f"not there: {request.url}"))
    yield made
    context.close()


def _alone(asked: list[str], address: str) -> list[str]:
    return [url for url in asked if not url.startswith((address, "data:", "blob:"))]


def test_there_are_diagrams_to_look_at() -> None:
    assert len(DIAGRAMS) >= 8


@pytest.mark.parametrize("document", DIAGRAMS)
def test_each_diagram_is_drawn_and_nothing_is_fetched_from_elsewhere(
    document: str, address: str, reading: Reading
) -> None:
    blocks = (ROOT / "docs" / document).read_text(encoding="utf-8").count("```mermaid")
    reading.page.goto(f"{address}/{re.sub('README', 'index', document).removesuffix('.md')}.html")
    reading.page.wait_for_function(_SETTLED, timeout=60_000)

    drawn = reading.page.evaluate(_DRAWN)

    assert len(drawn) == blocks
    for one in drawn:
        assert one["kind"] not in {None, "error"}
        assert "Syntax error" not in one["text"]
        assert one["width"] > 50
        assert one["height"] > 30
    assert reading.wrong == []
    assert _alone(reading.asked, address) == []


@pytest.mark.parametrize("page", ["index.html", "cli.html", "guides/index.html", "benchmarks.html"])
def test_a_page_without_diagrams_loads_no_mermaid_and_nothing_from_elsewhere(
    page: str, address: str, reading: Reading
) -> None:
    reading.page.goto(f"{address}/{page}", wait_until="networkidle")

    assert reading.page.locator("h1").count() == 1
    assert [url for url in reading.asked if "mermaid" in url] == []
    assert reading.wrong == []
    assert _alone(reading.asked, address) == []


def test_search_finds_a_page_by_what_it_says(address: str, reading: Reading) -> None:
    reading.page.goto(f"{address}/index.html", wait_until="networkidle")
    query = reading.page.locator('[data-md-component="search-query"]')
    query.click()
    query.press_sequentially("idempotency")
    found = reading.page.locator(".md-search-result__item a").first
    found.wait_for(state="attached", timeout=30_000)
    assert reading.page.locator(".md-search-result__item").count() >= 2
    assert reading.wrong == []


def test_every_document_is_a_page_of_the_navigation(site: Path) -> None:
    index = (site / "index.html").read_text(encoding="utf-8")
    pages = [path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")]
    missing = [
        str(page)
        for page in pages
        if f'href="{re.sub("README", "index", page.as_posix()).removesuffix(".md")}.html"' not in index
    ]
    assert missing == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("[gone](no-such-page.md)", "no-such-page.md"),
        ("[gone](api.md#no-such-heading)", "no-such-heading"),
        ("[gone](../no/such/file.yaml)", "no/such/file.yaml"),
    ],
    ids=["page", "heading", "file outside"],
)
def test_a_link_that_leads_nowhere_fails_the_build(line: str, said: str, tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    shutil.copytree(ROOT / "docs", docs)
    with (docs / "events.md").open("a", encoding="utf-8") as page:
        page.write(f"\n{line}\n")
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    config = tmp_path / "mkdocs.yml"
    hook = ROOT / "tools" / "docs" / "site_hooks.py"
    config.write_text(text.replace("tools/docs/site_hooks.py", str(hook)), encoding="utf-8")

    done = build(tmp_path / "site", config=config)

    assert done.returncode != 0
    assert said in done.stderr


def test_the_site_names_no_address_to_fetch_from(site: Path) -> None:
    loads = re.compile(r'<(?:script|link|img)[^>]+(?:src|href)="(https?://[^"]+)"')
    fetched = {
        url
        for page in site.rglob("*.html")
        for tag, url in ((found[0], found[1]) for found in loads.finditer(page.read_text(encoding="utf-8")))
        if 'rel="canonical"' not in tag
    }
    assert fetched == set()


def test_the_configuration_is_strict() -> None:
    text = re.sub(r"!!python/name:\S+", "x", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    assert yaml.safe_load(text)["strict"] is True
