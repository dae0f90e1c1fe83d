"""Signing in, answering for a release, and what is shown when the store or the session is gone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from tests.integration.console.conftest import Place, Visit, visit
from tests.support import console as consoles
from tests.support.console_world import make_world, serving, settings_of
from tests.support.issuer import issuer
from tests.support.login import login_at
from tests.support.ports import free_port

from leadscore.console.app import Console
from leadscore.console.page import PageContent, PageRequest
from leadscore.console.pages import ACTIONS, PAGES
from leadscore.events.store import EventStore
from leadscore.identity.apikeys import create_key, revoke_key
from leadscore.identity.approvers import Approvers
from leadscore.identity.oidc import TokenVerifier
from leadscore.release.approval import answers_of, open_requests


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Place]:
    """A world that nobody else answers in."""
    home = make_world(tmp_path)
    keys = {name: create_key(home.api_keys, name, ["view", "approve"])[0] for name in ("ada", "grace")}
    keys["vera"] = create_key(home.api_keys, "vera", ["view"])[0]
    console = Console(settings_of(home), PAGES, ACTIONS)
    with serving(console.flask) as address:
        yield Place(home, console, address, keys)


def fill_answer(tab: Visit, credential: str, reason: str = "The replay is fine.") -> None:
    form = tab.page.locator("form[data-action=answer]")
    form.locator("select[name=verdict]").select_option("approved")
    form.get_by_label("Reason, kept for good").fill(reason)
    if credential:
        form.locator("input[name=credential]").fill(credential)
    form.locator("button[type=submit]").click()


def test_an_approval_counts_for_whoever_checks_it(own: Place, browser: Browser) -> None:
    context = browser.new_context()
    tab = visit(context, own.address)
    tab.sign_in(own.keys["ada"], "/releases")
    assert "waits for a person’s answer" in tab.text()
    fill_answer(tab, own.keys["ada"])
    tab.page.get_by_text("leads/2 is approved by ada.").wait_for()
    approvers = Approvers(own.home.api_keys)
    with EventStore(own.home.events_url) as store:
        ((record, said),) = answers_of(store, "leads/2")
        assert said.why_not(approvers, time.time()) == ""
        assert open_requests(store, approvers, time.time()) == ()
    assert (said.verdict, said.by, said.reason) == ("approved", "ada", "The replay is fine.")
    assert own.keys["ada"] not in record.document
    tab.page.get_by_text("Nothing waits for an answer").wait_for()
    # What was decided stands where the form was.
    assert tab.page.locator("form[data-action=answer]").count() == 0
    decided = tab.page.get_by_text("by ada on 20").inner_text().replace("\n", " ")
    assert "Approved" in decided
    assert f"{time.gmtime().tm_year}-" in decided
    assert "UTC: The replay is fine." in decided
    assert tab.wrong == []
    context.close()


@pytest.mark.parametrize(
    ("signed_in", "signs", "says"),
    [
        ("ada", "grace", "this key is of 'grace'"),
        ("ada", "vera", "lacks the scope"),
        ("ada", "lsk_nobody", "is not in"),
    ],
)
def test_an_answer_with_another_credential_is_refused_and_what_was_typed_stays(
    signed_in: str, signs: str, says: str, own: Place, browser: Browser
) -> None:
    context = browser.new_context()
    tab = visit(context, own.address)
    tab.sign_in(own.keys[signed_in], "/releases")
    fill_answer(tab, own.keys.get(signs, signs))
    tab.page.locator("#said").get_by_text(says).wait_for()
    form = tab.page.locator("form[data-action=answer]")
    assert form.get_by_label("Reason, kept for good").input_value() == "The replay is fine."
    assert form.locator("input[name=credential]").input_value() == ""
    with EventStore(own.home.events_url) as store:
        assert answers_of(store, "leads/2") == ()
    assert consoles.refusals(own.console) == {"action": 1}
    context.close()


def test_a_viewer_sees_the_evidence_and_no_form(tab: Visit, place: Place) -> None:
    tab.sign_in(place.keys["vera"], "/releases")
    assert "AUC rose by 10 %" in tab.text()
    assert tab.page.locator("form.action").count() == 0


def test_a_login_at_the_issuer_signs_in_and_another_one_answers(tmp_path: Path, browser: Browser) -> None:
    home = make_world(tmp_path)
    port = free_port()
    with issuer() as idp:
        login_at(idp, scope="openid leadscore:approve", sub="ada@example.com")
        settings = settings_of(home, oidc=idp.settings(), url=f"http://127.0.0.1:{port}")
        console = Console(settings, PAGES, ACTIONS)
        with serving(console.flask, port=port) as address:
            context = browser.new_context()
            tab = visit(context, address)
            tab.page.goto(f"{address}/releases")
            tab.page.get_by_role("link", name="Sign in with your organisation").click()
            tab.settle()
            assert "ada@example.com" in tab.page.locator(".person").inner_text()
            fill_answer(tab, "")
            tab.page.get_by_text("leads/2 is approved by ada@example.com.").wait_for()
            # What they have just done is on the page that they come back to.
            assert "Approved by ada@example.com" in " ".join(tab.text().split())
            assert tab.wrong == []
            context.close()
            approvers = Approvers(home.api_keys, TokenVerifier(idp.settings()))
            with EventStore(home.events_url) as store:
                ((_, said),) = answers_of(store, "leads/2")
                assert said.why_not(approvers, time.time()) == ""
            assert said.proof is not None
            assert said.proof.kind == "token"


def test_a_session_that_has_ended_asks_to_sign_in_and_goes_on_where_it_was(
    own: Place, browser: Browser
) -> None:
    context = browser.new_context()
    tab = visit(context, own.address)
    tab.sign_in(own.keys["grace"], "/releases")
    tab.page.evaluate("document.querySelector('#shell').dataset.refresh = '0.2'")
    revoke_key(own.home.api_keys, "grace")
    tab.page.get_by_text("The key that you signed in with is not valid any more.").wait_for()
    tab.page.get_by_label("API key").fill(own.keys["ada"])
    tab.page.get_by_role("button", name="Sign in").click()
    tab.settle()
    assert tab.page.url == f"{own.address}/releases"
    context.close()


def test_a_store_that_is_dead_is_said_within_three_seconds_with_what_was_known(
    tmp_path: Path, browser: Browser
) -> None:
    hold, dead = threading.Event(), threading.Event()

    def build(request: PageRequest) -> PageContent:
        if dead.is_set():
            hold.wait(60)
        return consoles.content("The score can be trusted.")

    key = consoles.key(tmp_path, "view")
    settings = consoles.settings(tmp_path)
    console = Console(settings, [consoles.page(build=build)], ())
    with serving(console.flask) as address:
        context = browser.new_context()
        tab = visit(context, address)
        tab.sign_in(key)
        dead.set()
        tab.page.evaluate("document.querySelector('#shell').dataset.refresh = '0.2'")
        error = tab.page.locator(".error")
        error.wait_for()
        assert "has not answered within 2.5 s" in error.inner_text()
        assert "What follows is of" in error.inner_text()
        assert "The score can be trusted." in tab.page.locator(".stale").inner_text()
        assert tab.page.locator("#refresh-state").inner_text().startswith("Not updated")
        tab.go("/?range=7d")
        assert "Nothing is known yet" in tab.text()
        assert tab.page.locator(".tile").count() == 0
        hold.set()
        dead.clear()
        tab.page.get_by_text("The score can be trusted.").wait_for()
        context.close()
    assert 2.4 < settings.page_seconds < 3


def test_demo_data_is_marked_on_every_page(tmp_path: Path, browser: Browser) -> None:
    key = consoles.key(tmp_path, "view")
    console = Console(consoles.settings(tmp_path, demo=True), [consoles.page()], ())
    with serving(console.flask) as address:
        context = browser.new_context()
        tab = visit(context, address)
        tab.sign_in(key)
        assert "Nothing here is of your organisation." in tab.page.locator("main").inner_text()
        context.close()


def test_signing_out_ends_the_session_for_a_copy_of_it_too(own: Place, browser: Browser) -> None:
    context = browser.new_context()
    tab = visit(context, own.address)
    tab.sign_in(own.keys["vera"])
    copied = context.cookies()
    tab.page.get_by_role("button", name="Sign out").click()
    tab.page.get_by_label("API key").wait_for()
    context.add_cookies(copied)  # type: ignore[arg-type]
    tab.page.goto(f"{own.address}/leads")
    tab.page.get_by_text("That session was ended by signing out.").wait_for()
    assert consoles.refusals(own.console) == {"session_signed_out": 1}
    context.close()
