"""Who is let in, and which posts are taken."""

from __future__ import annotations

import json
import logging
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support import console
from tests.support.console import OURS, Visitor, noted, refusals, visitor

from leadscore.console.page import ActionRequest
from leadscore.console.sessions import SessionKeeper, role_of
from leadscore.errors import UnavailableError
from leadscore.identity.apikeys import create_key, revoke_key
from leadscore.identity.proxies import TrustedProxies


def test_who_is_not_signed_in_is_sent_to_the_form_and_comes_back(tmp_path: Path) -> None:
    person, _ = visitor(tmp_path)
    reply = person.client.get("/drift?range=7d")
    assert reply.status_code == 303
    assert reply.headers["Location"] == "/sign-in?next=%2Fdrift%3Frange%3D7d&why=no_session"
    reply = person.client.post(
        "/sign-in", data={"key": console.key(tmp_path, "view"), "next": "/drift?range=7d"}, headers=OURS
    )
    assert (reply.status_code, reply.headers["Location"]) == (303, "/drift?range=7d")
    assert person.client.get("/").status_code == 200


@pytest.mark.parametrize(
    "after", ["//evil.example", "https://evil.example/", "/\\evil.example", "javascript:x", "/actions/note"]
)
def test_nobody_is_sent_elsewhere_after_signing_in(after: str, tmp_path: Path) -> None:
    person, _ = visitor(tmp_path)
    data = {"key": console.key(tmp_path, "view"), "next": after}
    assert person.client.post("/sign-in", data=data, headers=OURS).headers["Location"] == "/"


@pytest.mark.parametrize("path", ["/_dash-layout", "/_dash-dependencies"])
def test_the_shell_itself_is_for_who_is_signed_in(path: str, tmp_path: Path) -> None:
    person, _ = visitor(tmp_path)
    assert person.client.get(path).status_code == 401
    person.sign_in(console.key(tmp_path, "view"))
    assert person.client.get(path).status_code == 200


def test_a_key_that_may_only_score_does_not_open_the_console(tmp_path: Path) -> None:
    person, made = visitor(tmp_path)
    reply = person.sign_in(console.key(tmp_path, "score"))
    assert reply.status_code == 403
    assert "lacks the scope" in reply.text
    assert person.sign_in("lsk_wrong").status_code == 401
    assert refusals(made) == {"sign_in_key": 2}


def test_cookies_cannot_be_read_by_scripts_nor_sent_by_other_sites(tmp_path: Path) -> None:
    person, _ = visitor(tmp_path, url="https://leads.example")
    reply = person.sign_in(console.key(tmp_path, "view"))
    session, csrf = reply.headers.getlist("Set-Cookie")
    assert session.startswith("__Host-leadscore=")
    assert {"HttpOnly", "Secure", "SameSite=Lax", "Path=/"} <= set(session.split("; "))
    assert {"Secure", "SameSite=Strict"} <= set(csrf.split("; "))


def test_every_reply_says_what_browsers_may_do(tmp_path: Path) -> None:
    person, _ = visitor(tmp_path)
    person.sign_in(console.key(tmp_path, "view"))
    for path in ("/", "/sign-in", "/static/console.css", "/nowhere"):
        headers = person.client.get(path).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        scripts = next(part for part in policy.split("; ") if part.startswith("script-src"))
        assert "unsafe" not in scripts
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_an_action_is_done_for_who_may(tmp_path: Path) -> None:
    asked: list[ActionRequest] = []
    person, made = visitor(tmp_path, actions=[noted(asked)])
    person.sign_in(console.key(tmp_path, "approve"))
    reply = person.act("note", reason=" because ")
    assert reply.json == {"sentence": "done", "redirect": ""}
    assert (asked[0].fields["reason"], asked[0].person.name) == ("because", "ada.lovelace")
    assert refusals(made) == {}


def test_a_viewer_who_posts_an_approval_is_refused_counted_and_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[ActionRequest] = []
    person, made = visitor(tmp_path, actions=[noted(asked)], proxies=TrustedProxies.parse("127.0.0.0/8"))
    person.sign_in(console.key(tmp_path, "view", name="vera"))
    headers = OURS | {"X-CSRFToken": person.token(), "X-Forwarded-For": "1.2.3.4, 203.0.113.9"}
    with caplog.at_level(logging.WARNING, logger="leadscore.console"):
        reply = person.act("note", headers=headers, credential="lsk_secret")
    assert (reply.status_code, reply.json["code"]) == (403, "forbidden")
    assert asked == []
    assert refusals(made) == {"role": 1}
    line = caplog.records[-1]
    assert line.fields == {  # type: ignore[attr-defined]
        "reason": "role", "path": "/actions/note", "address": "203.0.113.9", "person": "vera",
        "action": "note",
    }  # fmt: skip
    assert "lsk_secret" not in json.dumps(line.fields)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "none"},
        {"Origin": "https://evil.example"}, {}, {"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"},
    ],
)  # fmt: skip
def test_a_post_of_another_site_is_refused_even_with_the_token(
    headers: dict[str, str], tmp_path: Path
) -> None:
    asked: list[ActionRequest] = []
    person, made = visitor(tmp_path, actions=[noted(asked)])
    person.sign_in(console.key(tmp_path, "approve"))
    reply = person.act("note", headers=headers | {"X-CSRFToken": person.token()})
    assert (reply.status_code, reply.json["code"]) == (403, "cross_site")
    assert person.client.post("/sign-in", data={"key": "x"}, headers=headers).status_code == 403
    assert asked == []
    assert refusals(made) == {"cross_site": 2}


@pytest.mark.parametrize("path", ["/actions/note", "/_dash-update-component", "/sign-out"])
def test_a_post_without_the_sessions_token_is_refused(path: str, tmp_path: Path) -> None:
    person, made = visitor(tmp_path, actions=[noted([])])
    person.sign_in(console.key(tmp_path, "approve"))
    assert person.client.post(path, headers=OURS).status_code == 403
    assert person.client.post(path, headers=OURS | {"X-CSRFToken": "0" * 64}).status_code == 403
    assert refusals(made) == {"csrf": 2}


def test_a_session_that_was_made_elsewhere_is_refused(tmp_path: Path) -> None:
    person, made = visitor(tmp_path)
    secret = console.key(tmp_path, "admin")
    forged = SessionKeeper(console.settings(tmp_path, secret=b"x" * 32))
    cookie = forged.write(forged.open_by_key(secret.encode(), time.time()))
    for value in (cookie, "x", "eyJ9.x", cookie[:-3]):
        person.client.set_cookie("leadscore_session", value)
        assert "why=forged" in person.client.get("/").headers["Location"]
    assert refusals(made) == {"session_forged": 4}


def test_a_session_ends_with_its_time_and_with_its_key(tmp_path: Path) -> None:
    person, made = visitor(tmp_path)
    path = made._settings.api_keys
    soon = datetime.now(UTC) + timedelta(minutes=10)
    secret, _ = create_key(path, "ada.lovelace", ["view"], expires=soon)
    keeper = made._sessions
    session = keeper.open_by_key(secret.encode(), time.time())
    assert session.expires <= soon.timestamp()
    old = keeper.write(keeper.open_by_key(secret.encode(), time.time() - 10 * 3600))
    person.client.set_cookie("leadscore_session", old)
    assert "why=expired" in person.client.get("/").headers["Location"]
    person.sign_in(secret)
    assert person.client.get("/").status_code == 200
    revoke_key(path, "ada.lovelace")
    assert "why=revoked" in person.client.get("/").headers["Location"]
    assert refusals(made) == {"session_expired": 1, "session_revoked": 1}


@pytest.mark.parametrize(
    ("scopes", "role"),
    [
        (["score"], None),
        (["view"], "viewer"),
        (["view", "approve"], "approver"),
        (["admin", "view"], "admin"),
    ],
)
def test_the_role_is_the_highest_of_the_scopes(scopes: list[str], role: str | None) -> None:
    assert role_of(scopes) == role


def sign_out(person: Visitor) -> int:
    reply = person.client.post("/sign-out", headers=OURS | {"X-CSRFToken": person.token()})
    return int(reply.status_code)


def test_a_copy_of_a_session_opens_nothing_after_signing_out(tmp_path: Path) -> None:
    person, made = visitor(tmp_path)
    secret = console.key(tmp_path, "view")
    person.sign_in(secret)
    kept = {name: person.client.get_cookie(name) for name in ("leadscore_session", "_csrf_token")}
    assert sign_out(person) == 204
    assert person.client.get("/").status_code == 303
    # Here, in a process that starts later, and in one that has been running beside.
    later, beside = (visitor(tmp_path)[0] for _ in range(2))
    for thief in (person, later, beside):
        for name, cookie in kept.items():
            assert cookie is not None
            thief.client.set_cookie(name, cookie.value)
        assert "why=signed_out" in thief.client.get("/").headers["Location"]
    assert refusals(made) == {"session_signed_out": 1}
    # Another session of the same person goes on.
    again, _ = visitor(tmp_path)
    again.sign_in(secret)
    assert again.client.get("/").status_code == 200


def test_the_end_of_a_session_reaches_a_process_that_knows_it_already(tmp_path: Path) -> None:
    here, _ = visitor(tmp_path)
    there, other = visitor(tmp_path)
    here.sign_in(console.key(tmp_path, "view"))
    cookie = here.client.get_cookie("leadscore_session")
    assert cookie is not None
    there.client.set_cookie("leadscore_session", cookie.value)
    assert there.client.get("/").status_code == 200
    assert sign_out(here) == 204
    # It reads anew once what it knows is two seconds old.
    other._ended._monotonic = lambda: time.monotonic() + 3
    assert "why=signed_out" in there.client.get("/").headers["Location"]


def test_a_sign_out_that_cannot_be_recorded_is_said_and_holds_in_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    person, made = visitor(tmp_path)
    person.sign_in(console.key(tmp_path, "view"))
    cookie = person.client.get_cookie("leadscore_session")

    def fails(_: object) -> bool:
        raise UnavailableError("The event store does not answer.")

    monkeypatch.setattr(made._store, "record", fails)
    assert sign_out(person) == 503
    assert cookie is not None
    person.client.set_cookie("leadscore_session", cookie.value)
    assert "why=signed_out" in person.client.get("/").headers["Location"]
    assert "may be good until it ends" in person.client.get("/sign-in?why=unsure").text.replace("\n", " ")


@pytest.mark.parametrize("path", ["/sign-inx", "/sign-in/nowhere", "/nowhere", "/static"])
def test_an_address_without_a_page_is_for_who_is_signed_in_and_not_found(path: str, tmp_path: Path) -> None:
    person, _ = visitor(tmp_path)
    assert person.client.get(path).status_code == 303
    person.sign_in(console.key(tmp_path, "view"))
    assert person.client.get(path).status_code == 404
    assert person.client.get("/").status_code == 200
