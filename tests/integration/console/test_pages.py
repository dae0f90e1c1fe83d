"""Each page in a real browser: drawn, usable with any eyes and without a mouse, and asking nobody else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser
from tests.integration.console.conftest import Place, Visit, visit
from tests.support import console as consoles
from tests.support.console_world import HOSTILE, serving

from leadscore.console.app import Console
from leadscore.console.pages import PAGES

PATHS = [page.path for page in PAGES]


def serious(found: object) -> list[str]:
    """Findings of axe-core that keep somebody from using the page."""
    return [
        f"{one['id']} ({one['impact']}): {node['html'][:200]}"
        for one in found.response["violations"]  # type: ignore[attr-defined]
        if one["impact"] in {"serious", "critical"}
        for node in one["nodes"]
    ]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_page_is_drawn_for_everybody(path: str, theme: str, browser: Browser, place: Place) -> None:
    context = browser.new_context(viewport={"width": 1300, "height": 900}, color_scheme=theme)  # type: ignore[arg-type]
    tab = visit(context, place.address)
    # Whoever may do everything sees every form.
    tab.sign_in(place.keys["eve.admin"], path)

    assert tab.page.locator("h1").inner_text() == next(p.title for p in PAGES if p.path == path)
    assert tab.page.locator(".error").count() == 0, tab.text()[:500]
    assert serious(Axe().run(tab.page)) == []
    assert tab.wrong == []
    assert tab.foreign == []
    assert tab.page.evaluate("window.hacked") is None
    # A sentence that is put together from others ends once.
    assert ".. " not in tab.text().replace("\n", " ") + " "
    context.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_signing_in_is_drawn_for_everybody(theme: str, tab: Visit) -> None:
    tab.page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    tab.page.goto(f"{tab.address}/")
    assert serious(Axe().run(tab.page)) == []
    assert tab.wrong == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_is_done_to_an_endpoint_before_somebody_says_what(
    theme: str, tab: Visit, place: Place
) -> None:
    tab.page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    tab.sign_in(place.keys["eve.admin"], "/crm")
    assert "Some scores were given up" in tab.text()
    form = tab.page.get_by_role("form", name="Change an endpoint")
    form.get_by_role("button", name="Do it").click()
    assert form.get_by_label("What to do").evaluate("field => field.validity.valueMissing")
    for what, verdict in (
        ("Send nothing", "Nothing is sent to crm-hook."),
        ("Send to it", "Some scores were"),
    ):
        choice = form.get_by_role("option", name=what).inner_text()
        form.get_by_label("What to do").select_option(label=choice)
        form.get_by_role("button", name="Do it").click()
        # The page is made anew, its forms too, once that is done.
        tab.page.locator(".verdict", has_text=verdict).wait_for()
    assert serious(Axe().run(tab.page)) == []
    assert tab.wrong == []


def test_the_first_page_is_small(browser: Browser, place: Place) -> None:
    context = browser.new_context()
    tab = visit(context, place.address)
    tab.sign_in(place.keys["vera"])
    context.clear_cookies()
    session = context.new_cdp_session(tab.page)
    session.send("Network.enable")
    session.send("Network.setCacheDisabled", {"cacheDisabled": True})
    received: list[float] = []
    session.on("Network.loadingFinished", lambda event: received.append(event["encodedDataLength"]))
    tab.sign_in(place.keys["vera"])
    assert 100_000 < sum(received) < 1_500_000
    context.close()


def test_a_name_with_html_in_it_is_text_everywhere(tab: Visit, place: Place) -> None:
    tab.sign_in(place.keys["vera"])
    for path in PATHS:
        tab.go(f"{path}?q={HOSTILE}&version={HOSTILE}")
        assert tab.page.evaluate("window.hacked") is None
    assert tab.page.locator("#content img").count() == 0


def test_every_page_is_reached_by_keyboard_alone(tab: Visit, place: Place) -> None:
    tab.sign_in(place.keys["vera"])
    tab.page.keyboard.press("Tab")
    assert tab.page.evaluate("document.activeElement.className") == "skip"
    tab.page.keyboard.press("Enter")
    assert tab.page.evaluate("document.activeElement.id") == "main"
    links = tab.page.locator("nav.side a")
    last = links.nth(links.count() - 1)
    title = last.inner_text()
    last.focus()
    tab.page.keyboard.press("Enter")
    tab.page.wait_for_function("title => document.querySelector('#title').textContent === title", arg=title)
    assert tab.page.evaluate("document.activeElement.id") == "title"
    assert last.get_attribute("aria-current") == "page"


def test_a_filter_is_in_the_address_and_the_back_button_takes_it_back(tab: Visit, place: Place) -> None:
    tab.sign_in(place.keys["vera"], "/releases")
    tab.page.locator("form.filters select[name=version]").select_option("leads/1")
    tab.page.wait_for_url("**/releases?version=leads%2F1")
    tab.page.get_by_role("heading", name="leads/1", exact=True).wait_for()
    tab.page.go_back()
    tab.page.get_by_role("heading", name="leads/2", exact=True).wait_for()
    assert tab.wrong == []


def test_the_theme_is_chosen_and_kept(tab: Visit, place: Place) -> None:
    tab.sign_in(place.keys["vera"])
    before = tab.page.evaluate("getComputedStyle(document.body).backgroundColor")
    tab.page.get_by_role("button", name="Dark").click()
    assert tab.page.evaluate("getComputedStyle(document.body).backgroundColor") != before
    tab.page.reload()
    tab.settle()
    tab.page.get_by_role("button", name="Light").wait_for()
    assert tab.page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_a_chart_has_its_numbers_beside_it_and_as_a_file(tab: Visit, place: Place) -> None:
    tab.sign_in(place.keys["vera"], "/releases")
    details = tab.page.locator("details").first
    details.locator("summary").click()
    assert details.locator("tbody tr").count() > 5
    with tab.page.expect_download() as waiting:
        details.get_by_role("button", name="Save as CSV").click()
    lines = waiting.value.path().read_text(encoding="utf-8").splitlines()
    assert lines[0] == "score from,score to,champion (share of 1),candidate (share of 1)"
    assert float(lines[1].split(",")[2]) >= 0


def test_refresh_waits_for_its_answer_and_stops_while_nobody_looks(tab: Visit, place: Place) -> None:
    tab.sign_in(place.keys["vera"], "/releases")
    tab.page.evaluate("document.querySelector('#shell').dataset.refresh = '0.2'")
    open_now, most = 0, 0

    def begins(request: object) -> None:
        nonlocal open_now, most
        if "_dash-update-component" in request.url:  # type: ignore[attr-defined]
            open_now += 1
            most = max(most, open_now)

    def ends(request: object) -> None:
        nonlocal open_now
        if "_dash-update-component" in request.url:  # type: ignore[attr-defined]
            open_now -= 1

    tab.page.on("request", begins)
    tab.page.on("requestfinished", ends)
    for _ in range(4):
        with tab.page.expect_response("**/_dash-update-component*"):
            pass
    assert most == 1
    tab.page.get_by_role("button", name="Pause").click()
    assert tab.page.locator("#refresh-state").inner_text() == "Paused"
    assert json.loads(tab.page.evaluate("JSON.stringify(document.title)")) == "Releases · LeadScore"


def wait_until_held(tab: Visit) -> None:
    """Until a refresh was due and has been held; one is due every 100 ms."""
    tab.page.evaluate("document.querySelector('#shell').dataset.refresh = '0.1'")
    tab.page.wait_for_function(
        "() => document.querySelector('#refresh-state').textContent.startsWith('Waiting')"
    )


def test_what_was_opened_stays_open_and_the_focus_stays(tab: Visit, place: Place) -> None:
    tab.sign_in(place.keys["vera"], "/releases")
    details = tab.page.locator("details").first
    details.locator("summary").click()
    wait_until_held(tab)
    assert details.get_attribute("open") is not None
    assert tab.page.evaluate("document.activeElement.tagName") == "SUMMARY"
    # Focus elsewhere: what is open is still read.
    tab.page.locator("#theme-switch").focus()
    with tab.page.expect_event("console", lambda said: said.text == "later"):
        tab.page.evaluate("setTimeout(() => console.log('later'), 1000)")
    assert details.get_attribute("open") is not None
    details.locator("summary").click()
    tab.page.locator("#theme-switch").focus()
    with tab.page.expect_response("**/_dash-update-component*"):
        pass


def test_a_date_that_was_typed_stays_until_it_is_applied(tab: Visit, place: Place) -> None:
    tab.sign_in(place.keys["vera"], "/live")
    tab.page.get_by_role("textbox", name="From").fill("2026-11-01")
    tab.page.locator("#theme-switch").focus()
    wait_until_held(tab)
    assert tab.page.get_by_role("textbox", name="From").input_value() == "2026-11-01"
    tab.page.get_by_role("button", name="Apply").click()
    tab.page.wait_for_url("**since=2026-11-01**")
    tab.page.locator("#theme-switch").focus()
    with tab.page.expect_response("**/_dash-update-component*"):
        pass


def test_a_page_that_cannot_be_had_is_said_and_comes_back(tab: Visit, place: Place) -> None:
    tab.page.route("**/_dash-update-component*", lambda route: route.fulfill(status=500, body="no"))
    tab.page.goto(f"{tab.address}/live")
    tab.page.get_by_label("API key").fill(place.keys["vera"])
    tab.page.get_by_role("button", name="Sign in").click()
    tab.page.get_by_text("The console failed (HTTP 500).").wait_for()
    assert "Loading" not in tab.text()
    tab.page.unroute("**/_dash-update-component*")
    tab.settle()
    assert tab.page.locator("#said").inner_text() == ""


def test_a_time_that_cannot_be_counted_with_is_a_page(tab: Visit, place: Place) -> None:
    tab.sign_in(place.keys["vera"], "/live?until=9999-12-31")
    assert "Write until as" in tab.text()


@pytest.mark.parametrize("path", PATHS)
def test_no_page_is_wider_than_a_phone(path: str, browser: Browser, place: Place) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 800})
    tab = visit(context, place.address)
    tab.sign_in(place.keys["vera"], f"{path}?q={'x' * 900}")
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= 390
    # A table's rows are read downwards: no cell is beside the screen, and none a column of single letters.
    beside, narrow = tab.page.evaluate(
        "() => { const cells = [...document.querySelectorAll('#content td:not(:empty)')]"
        ".filter(cell => cell.checkVisibility()).map(cell => cell.getBoundingClientRect());"
        " return [cells.filter(c => c.right > 390).length, cells.filter(c => c.width < 200).length]; }"
    )
    assert (beside, narrow) == (0, 0)
    assert serious(Axe().run(tab.page)) == []
    context.close()


@pytest.mark.parametrize("path", PATHS)
def test_words_of_a_table_are_whole(path: str, tab: Visit, place: Place) -> None:
    tab.sign_in(place.keys["eve.admin"], path)
    broken = tab.page.evaluate(
        """() => [...document.querySelectorAll('#content td')].filter(cell => cell.checkVisibility())
        .flatMap(cell => {
            const words = [], walker = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
            for (let node = walker.nextNode(); node; node = walker.nextNode())
                for (const found of node.data.matchAll(/[^\\s\\-–/]{2,20}/g)) {
                    const range = document.createRange();
                    range.setStart(node, found.index);
                    range.setEnd(node, found.index + found[0].length);
                    if (new Set([...range.getClientRects()].map(r => Math.round(r.top))).size > 1)
                        words.push(found[0]);
                }
            return words.filter(word => word.length < 20);
        })"""
    )
    assert broken == []


def test_an_address_without_a_page_is_said_and_not_found(tab: Visit, place: Place) -> None:
    tab.sign_in(place.keys["vera"])
    reply = tab.page.goto(f"{tab.address}/sign-inx")
    tab.settle()
    assert reply is not None
    assert reply.status == 404
    assert "There is no such page." in tab.text()


def test_days_in_the_wrong_order_are_a_page_that_says_so(tab: Visit, place: Place) -> None:
    tab.sign_in(place.keys["vera"], "/live?since=2026-11-20&until=2026-11-10")
    assert "From (2026-11-20) is after To (2026-11-10)." in tab.text()
    assert tab.page.locator("form.filters").count() == 1


def test_a_pages_file_holds_the_rows_of_all_its_tables(tab: Visit, place: Place) -> None:
    tab.sign_in(place.keys["vera"], "/live")
    rows = tab.page.locator("#content tbody tr").count()
    with tab.page.expect_download() as waiting:
        tab.page.get_by_role("link", name="Export CSV").click()
    lines = waiting.value.path().read_text(encoding="utf-8").splitlines()
    assert len(lines) == rows + 1 > 40
    assert lines[0].startswith("table,from (UTC),version,leads,")
    assert "latency in ms" in lines[0]


def test_the_watermark_of_a_demo_lies_behind_what_is_read(browser: Browser, tmp_path: Path) -> None:
    key = consoles.key(tmp_path, "view")
    console = Console(consoles.settings(tmp_path, demo=True), [consoles.page()], ())
    with serving(console.flask) as address:
        context = browser.new_context()
        tab = visit(context, address)
        tab.sign_in(key)
        mark = "getComputedStyle(document.querySelector('.shell'), '::after')"
        assert tab.page.evaluate(f"{mark}.content") == '"DEMO"'
        assert int(tab.page.evaluate(f"{mark}.zIndex")) < 0
        context.close()
