"""What the shell serves: pages by URL, files, and replies of bounded size."""

from __future__ import annotations

import gzip
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import plotly
import pytest
from tests.support import console
from tests.support.console import OURS, Visitor, visitor

from leadscore.console import app
from leadscore.console.page import ActionRequest, ActionResult, ConsoleAction, PageExport, PageRequest
from leadscore.console.pages import PAGES

STATIC = Path(app.__file__).parent / "static"


def update(person: Visitor, path: str) -> Any:
    """What the browser asks for a page."""
    body = {
        "output": "..content.children...served.data..", "changedPropIds": ["url.href"],
        "outputs": [{"id": "content", "property": "children"}, {"id": "served", "property": "data"}],
        "inputs": [
            {"id": "url", "property": "href", "value": f"http://localhost{path}"},
            {"id": "tick", "property": "data", "value": 0},
        ],
    }  # fmt: skip
    return person.client.post(
        "/_dash-update-component", json=body, headers=OURS | {"X-CSRFToken": person.token()}
    )


@pytest.fixture
def viewer(tmp_path: Path) -> Visitor:
    def rows(request: PageRequest) -> PageExport:
        found = [("=1+1", 0.25, datetime(2026, 1, 1, tzinfo=UTC)), ("a,b", None, "<i>")]
        return PageExport(name="leads", header=("lead", "p", "at"), rows=found)

    person, _ = visitor(tmp_path, [console.page(), console.page("/leads", title="Leads", export=rows)])
    person.sign_in(console.key(tmp_path, "view"))
    return person


def test_a_page_is_served_by_its_url(viewer: Visitor) -> None:
    reply = update(viewer, "/leads?range=7d")
    assert reply.status_code == 200
    assert reply.json["response"]["served"]["data"]["title"] == "Leads"
    assert "/export/leads?range=7d" in json.dumps(reply.json)


def test_a_page_that_does_not_exist_is_said(viewer: Visitor) -> None:
    assert "There is no such page." in update(viewer, "/nowhere").text


def test_an_export_is_rows_as_they_are_and_no_formula(viewer: Visitor) -> None:
    reply = viewer.client.get("/export/leads")
    assert reply.mimetype == "text/csv"
    assert reply.text.splitlines() == ["lead,p,at", "'=1+1,0.25,2026-01-01T00:00:00+00:00", '"a,b",,<i>']
    assert viewer.client.get("/export/nowhere").status_code == 404


def test_the_navigation_names_each_page_once_and_paths_are_unique() -> None:
    assert len({page.path for page in PAGES}) == len(PAGES)
    assert all(page.title and page.question and page.path.startswith("/") for page in PAGES)


def test_scripts_are_ours_compressed_and_kept(viewer: Visitor) -> None:
    shell = viewer.client.get("/").text
    sources = re.findall(r'(?:src|href|content)="([^"]+\.(?:js|css|svg)[^"]*)"', shell)
    assert len(sources) >= 8
    total = 0
    for source in sources:
        assert source.startswith("/"), source
        reply = viewer.client.get(source, headers={"Accept-Encoding": "gzip"})
        assert reply.status_code == 200, source
        total += len(reply.data)
    assert total < 1_000_000
    kept = viewer.client.get(
        next(s for s in sources if "plotly-basic" in s), headers={"Accept-Encoding": "gzip"}
    )
    assert "immutable" in kept.headers["Cache-Control"]
    assert gzip.decompress(kept.data) == (STATIC / "plotly-basic.min.js").read_bytes()


def test_the_bundle_is_of_the_same_plotly_as_the_figures() -> None:
    whole = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    version = re.compile(rb"plotly\.js (?:\(basic - minified\) )?v([0-9.]+)")
    found = [version.search(path.read_bytes()[:300]) for path in (STATIC / "plotly-basic.min.js", whole)]
    assert found[0] is not None
    assert found[1] is not None
    assert found[0][1] == found[1][1]


def test_pages_are_never_kept_by_browsers(viewer: Visitor) -> None:
    assert viewer.client.get("/").headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "path", ["leadscore/x.js", "leadscore.console/app.py", "dash/x.js", "dash/../x", "no/x"]
)
def test_a_file_that_is_none_is_not_found_and_nothing_is_said_of_others(
    tmp_path: Path, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    person, _ = visitor(tmp_path)
    reply = person.client.get(f"/_dash-component-suites/{path}")
    assert (reply.status_code, reply.text) == (404, "There is no such file.\n")
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"null", b"[]", b"{}", b'{"output": "x"}', b"\xff",
        b'{"output": "..content.children...served.data..", "inputs": []}',
        b'{"output": "..content.children...served.data..", "outputs": [], "inputs": [{"id": "url"}]}',
        (
            b'{"output": "..content.children...served.data..", "outputs": ['
            b'{"id": "content", "property": "children"}, {"id": "served", "property": "data"}], "inputs": ['
            b'{"id": "url", "property": "href", "value": 5}, {"id": "tick", "property": "data", "value": 0}]}'
        ),
    ],
)  # fmt: skip
def test_a_body_that_no_page_sends_is_refused(
    viewer: Visitor, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    reply = viewer.client.post(
        "/_dash-update-component", data=body, content_type="application/json",
        headers=OURS | {"X-CSRFToken": viewer.token()},
    )  # fmt: skip
    assert reply.status_code == 400
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    "query", ["until=9999-12-31", "since=0001-01-01T00:00:00%2B14:00", "range=99999999999999999999w"]
)
def test_a_time_that_cannot_be_counted_with_is_a_sentence(viewer: Visitor, query: str) -> None:
    reply = update(viewer, f"/leads?{query}")
    assert reply.status_code == 200
    assert "Write" in reply.text or "shorter" in reply.text


@pytest.mark.parametrize(
    ("reason", "status", "says"),
    [
        ("x" * 300_000, 413, "more than a form may send"),
        ("nul\0", 400, "U+0000"),
        ("break", 500, "log says why"),
    ],
)
def test_whatever_goes_wrong_with_a_form_is_a_sentence(
    tmp_path: Path, reason: str, status: int, says: str
) -> None:
    def run(request: ActionRequest) -> ActionResult:
        raise ZeroDivisionError("secret")

    person, _ = visitor(tmp_path, [], [ConsoleAction(name="note", role="viewer", run=run)])
    person.sign_in(console.key(tmp_path, "view"))
    reply = person.act("note", reason=reason)
    assert reply.status_code == status
    assert says in reply.json["message"]
    assert reply.json["hint"]
    assert "secret" not in reply.text


def test_an_address_that_is_none_is_said(viewer: Visitor) -> None:
    assert "There is no such page." in update(viewer, "]//[").text
