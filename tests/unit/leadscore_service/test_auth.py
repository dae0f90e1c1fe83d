"""API keys: who gets in, who does not, and keys that change while the service runs."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.issuer import Issuer, issuer

from leadscore.errors import UnauthorizedError
from leadscore.identity.apikeys import ApiKey, create_key, read_keys, revoke_key
from leadscore.identity.caller import Caller
from leadscore.identity.oidc import TokenVerifier
from leadscore_service.auth import KeyRing
from leadscore_service.http import FORWARDED_FOR, Request
from leadscore_service.logs import RefusalLog
from leadscore_service.metrics_layout import SINGLE_INDEX
from leadscore_service.tokens import Tokens


@pytest.fixture
def key_file(tmp_path):
    return tmp_path / "api-keys.yaml"


@pytest.fixture
def guarded(make_service, key_file):
    def start(**settings: str):
        return make_service(LEADSCORE_AUTH="keys", LEADSCORE_API_KEYS=str(key_file), **settings).start()

    return start


def test_either_header_is_taken(guarded, key_file, lead) -> None:
    secret, _ = create_key(key_file, "crm", ["score"])
    service = guarded()
    for headers in (
        {"authorization": f"Bearer {secret}"},
        {"authorization": f"bearer   {secret}"},
        {"x-api-key": secret},
    ):
        assert service.post("/score-lead", lead, headers).status == 200


@pytest.mark.parametrize(
    ("headers", "counter"),
    [
        ({}, "auth_missing"),
        ({"authorization": "Basic dXNlcjpwYXNz"}, "auth_missing"),
        ({"authorization": "Bearer"}, "auth_missing"),
        ({"authorization": "Bearer nope"}, "auth_unknown"),
        ({"authorization": "Bearer "}, "auth_unknown"),
        ({"x-api-key": ""}, "auth_unknown"),
        ({"x-api-key": "\xff\xfe"}, "auth_unknown"),
    ],
)
def test_without_a_good_key_nobody_gets_in(guarded, key_file, lead, headers, counter) -> None:
    create_key(key_file, "crm", ["score"])
    service = guarded()
    answer = service.post("/score-lead", lead, headers)
    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith("Bearer ")
    assert answer.json["error"]["code"] == "unauthorized"
    assert service.logged() == []
    assert counted(service, counter) == 1


def test_a_key_without_the_scope_is_forbidden(guarded, key_file, lead) -> None:
    secret, _ = create_key(key_file, "crm", ["score"])
    service = guarded()
    answer = service.post("/outcomes", {"lead_id": "x", "converted": True}, {"x-api-key": secret})
    assert answer.status == 403
    assert 'scope="outcomes"' in answer.headers["www-authenticate"]
    assert "'crm'" in answer.json["error"]["message"]
    assert counted(service, "auth_scope") == 1


def test_an_expired_key_is_refused(guarded, key_file, lead) -> None:
    secret, _ = create_key(key_file, "crm", ["score"], expires=datetime.now(UTC) + timedelta(days=1))
    service = guarded()
    assert service.post("/score-lead", lead, {"x-api-key": secret}).status == 200
    text = key_file.read_text()
    key_file.write_text(
        text.replace(f"expires: {text.split('expires: ')[1].split()[0]}", "expires: '2020-01-01T00:00:00Z'")
    )
    service.worker.keys.reload()
    answer = service.post("/score-lead", lead, {"x-api-key": secret})
    assert answer.status == 401
    assert "expired" in answer.json["error"]["message"]
    assert counted(service, "auth_expired") == 1


def test_probes_need_no_key_and_metrics_only_if_told(guarded, key_file) -> None:
    secret, _ = create_key(key_file, "prometheus", ["metrics"])
    service = guarded()
    for path in ("/livez", "/readyz", "/metrics", "/openapi.json", "/"):
        assert service.ask("GET", path).status == 200
    guard = guarded(LEADSCORE_METRICS_AUTH="key")
    for path in ("/metrics", "/openapi.json"):
        assert guard.ask("GET", path).status == 401
        assert guard.ask("GET", path, headers={"x-api-key": secret}).status == 200
    assert guard.ask("GET", "/readyz").status == 200


def test_keys_are_reloaded_when_the_file_changes(key_file) -> None:
    ring = KeyRing(key_file)
    ring.reload()
    assert len(ring) == 0
    create_key(key_file, "one", ["score"])
    ring.reload()
    assert len(ring) == 1
    create_key(key_file, "two", ["score"])
    revoke_key(key_file, "one")
    ring.reload()
    assert len(ring) == 1


@pytest.mark.parametrize("content", ["keys: [", "kind: Other", "keys:\n- name: x\n", "\x00", "[]"])
def test_a_broken_file_keeps_the_keys_and_is_counted(key_file, content, caplog) -> None:
    create_key(key_file, "one", ["score"])
    ring = KeyRing(key_file)
    ring.reload()
    key_file.write_text(content)
    ring.reload()
    ring.reload()
    assert len(ring) == 1
    assert ring.reload_errors == 1
    assert "api keys not reloaded" in caplog.text


@pytest.mark.parametrize(
    "content",
    [
        "keys:\n- {name: a, digest: DIGEST, scopes: [score], created: 2026-13-29T13:15:47Z}\n",
        "keys: " + "[" * 100_000,
        "keys: " + "9" * 5_000,
        "a: &a [x, x]\nkeys: &b [*a, *a]\nz: *b\n",
        "keys: []\nkeys: []\n",
    ],
    ids=["month 13", "deep", "long number", "aliases", "duplicate"],
)
def test_a_hostile_file_is_refused_said_once_and_mended_by_the_next_change(key_file, content, caplog) -> None:
    create_key(key_file, "one", ["score"])
    good = key_file.read_bytes()
    ring = KeyRing(key_file)
    ring.reload()
    key_file.write_text(content.replace("DIGEST", "0" * 64))
    ring.reload()
    ring.reload()
    assert (len(ring), ring.reload_errors) == (1, 1)
    assert caplog.text.count("api keys not reloaded") == 1
    key_file.write_bytes(good)
    create_key(key_file, "two", ["score"])
    ring.reload()
    assert (len(ring), ring.reload_errors) == (2, 0)


def test_a_file_that_could_not_be_read_once_is_read_again(key_file, monkeypatch) -> None:
    create_key(key_file, "one", ["score"])
    ring = KeyRing(key_file)

    def fails(path: Path, limit: int) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr("leadscore.identity.apikeys.read_file", fails)
        ring.reload()
        ring.reload()
        assert (len(ring), ring.reload_errors) == (0, 1)
    ring.reload()
    assert (len(ring), ring.reload_errors) == (1, 0)


def test_the_exchange_of_a_kubernetes_secrets_link_is_seen(tmp_path) -> None:
    for number, name in enumerate(("one", "two")):
        (tmp_path / f"..{number}").mkdir()
        create_key(tmp_path / f"..{number}" / "keys.yaml", name, ["score"])
    (tmp_path / "..data").symlink_to("..0")
    (tmp_path / "keys.yaml").symlink_to("..data/keys.yaml")
    ring = KeyRing(tmp_path / "keys.yaml")
    ring.reload()
    # The same size and, as far as a clock can make it so, the same time.
    times = (tmp_path / "..0" / "keys.yaml").stat()
    os.utime(tmp_path / "..1" / "keys.yaml", ns=(times.st_atime_ns, times.st_mtime_ns))
    (tmp_path / "..data_tmp").symlink_to("..1")
    (tmp_path / "..data_tmp").replace(tmp_path / "..data")
    before = dict(ring._known)
    ring.reload()
    assert ring._known.keys().isdisjoint(before)


def test_a_pipe_is_no_key_file_and_nobody_waits_for_it(tmp_path) -> None:
    os.mkfifo(tmp_path / "keys.yaml")
    ring = KeyRing(tmp_path / "keys.yaml")
    ring.reload()
    assert ring.reload_errors == 1


def test_keys_are_read_beside_the_event_loop(guarded, key_file, monkeypatch) -> None:
    readers: set[threading.Thread] = set()

    def noting(path: Path) -> tuple[ApiKey, ...]:
        readers.add(threading.current_thread())
        return read_keys(path)

    monkeypatch.setattr("leadscore_service.auth.read_keys", noting)
    guarded().ask("GET", "/livez")
    assert readers
    assert threading.main_thread() not in readers


def test_a_request_is_refused_before_its_body_is_read(guarded, key_file) -> None:
    create_key(key_file, "one", ["score"])
    service = guarded()
    answer = service.ask("POST", "/score-leads", b"", {"content-type": "application/json"}, chunks=[])
    assert answer.status == 401
    assert answer.headers["connection"] == "close"


def counted(service, name: str) -> int:
    return int(service.engine.counter_file.total()[service.engine.layout.singles + SINGLE_INDEX[name]])


# --- tokens, addresses, and what is said of callers who were refused ---------------------------------------


@pytest.fixture
def idp() -> Iterator[Issuer]:
    with issuer() as made:
        yield made


@pytest.fixture
def with_tokens(guarded, idp):
    def start(**settings: str):
        service = guarded(LEADSCORE_OIDC_ISSUER=idp.url, LEADSCORE_OIDC_AUDIENCE="leadscore", **settings)
        service.worker._tokens.refresh()
        return service

    return start


def bearer(token: bytes) -> dict[str, str]:
    return {"authorization": f"Bearer {token.decode()}"}


def test_a_token_is_taken_beside_keys(with_tokens, idp, key_file, lead) -> None:
    secret, _ = create_key(key_file, "crm", ["score"])
    service = with_tokens()
    for headers in (bearer(idp.token()), bearer(idp.token()), {"x-api-key": secret}):
        assert service.post("/score-lead", lead, headers).status == 200


def test_a_token_without_the_scope_or_of_nobody_is_refused(with_tokens, idp, lead) -> None:
    service = with_tokens()
    answer = service.post("/outcomes", {"lead_id": "x", "converted": True}, bearer(idp.token()))
    assert answer.status == 403
    assert "'ada@example.com'" in answer.json["error"]["message"]
    stranger = Issuer(idp.url)
    for token in (idp.token(aud="other"), idp.token(exp=1), stranger.token(), b"a.b.c"):
        answer = service.post("/score-lead", lead, bearer(token))
        assert (answer.status, answer.json["error"]["code"]) == (401, "unauthorized")
    assert service.logged() == []


def test_while_the_issuer_is_away_tokens_wait_and_keys_are_taken(guarded, idp, key_file, lead) -> None:
    secret, _ = create_key(key_file, "crm", ["score"])
    idp.answers = False
    service = guarded(LEADSCORE_OIDC_ISSUER=idp.url, LEADSCORE_OIDC_AUDIENCE="leadscore")
    answer = service.post("/score-lead", lead, bearer(idp.token()))
    assert (answer.status, answer.json["error"]["code"]) == (503, "issuer_unavailable")
    assert "retry-after" in answer.headers
    assert service.post("/score-lead", lead, {"x-api-key": secret}).status == 200


def test_a_known_token_is_verified_again_when_it_ends_or_the_issuer_s_keys_change(idp) -> None:
    verifier = TokenVerifier(idp.settings())
    verifier.refresh()
    tokens = Tokens(idp.settings(), verifier)
    token = idp.token(exp=int(time.time()) + 2)
    request = Request({"method": "POST", "path": "/", "query_string": b"", "headers": []}, None)
    assert tokens.caller(token, b"d", "score", request) == Caller("oidc", "ada@example.com", "")
    request.now_ns += 40_000_000_000
    with pytest.raises(UnauthorizedError, match="expired"):
        tokens.caller(token, b"d", "score", request)
    fresh = idp.token()
    assert tokens.caller(fresh, b"e", "score", request).name
    verifier._keys, verifier.generation = {}, verifier.generation + 1
    with pytest.raises(UnauthorizedError, match="does not list"):
        tokens.caller(fresh, b"e", "score", request)


def test_a_service_without_an_issuer_never_loads_what_verifies_tokens(key_file) -> None:
    script = (
        "import sys; from leadscore_service.settings import Settings; "
        "from leadscore_service.worker import Worker;Worker(Settings.from_environment(), first=False); "
        "assert not {'jwt', 'cryptography'} & set(sys.modules)"
    )
    environ = {**os.environ, "LEADSCORE_API_KEYS": str(key_file)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_who_was_refused_leaves_a_line_with_name_address_and_request_and_no_secret(
    guarded, key_file, lead, capsys
) -> None:
    secret, _ = create_key(key_file, "crm", ["score"])
    service = guarded(LEADSCORE_TRUSTED_PROXIES="10.0.0.0/8")
    forwarded = {"x-forwarded-for": "127.0.0.1, 198.51.100.7", "x-request-id": "r-1"}
    with service.called_from("10.0.0.9"):
        service.post("/outcomes", {"lead_id": "x", "converted": True}, {"x-api-key": secret, **forwarded})
        service.post("/score-lead", lead, {"x-api-key": "lsk_guessed", **forwarded})
    printed = capsys.readouterr().out
    lines = [line for line in map(json.loads, printed.splitlines()) if line["event"] == "caller refused"]
    assert [(line["caller"], line["address"], line["status"], line["request_id"]) for line in lines] == [
        ("crm", "198.51.100.7", 403, "r-1"),
        ("unknown", "198.51.100.7", 401, "r-1"),
    ]
    assert secret not in printed
    assert "lsk_guessed" not in printed


def test_a_flood_of_refusals_is_ten_lines_a_second_and_a_count(caplog) -> None:
    log = RefusalLog()
    request = Request({"method": "POST", "path": "/", "query_string": b"", "headers": []}, None)
    for _ in range(500):
        log.refused(request, UnauthorizedError("no"))
    assert len(caplog.records) == 10
    request.now_ns += 1_000_000_000
    log.refused(request, UnauthorizedError("no"))
    assert caplog.records[-1].fields["left_out"] == 490


def test_several_forwarding_headers_are_one_list(key_file) -> None:
    headers = [
        (b"x-forwarded-for", b"203.0.113.1"),
        (b"accept", b"*/*"),
        (b"x-forwarded-for", b"198.51.100.1"),
    ]
    scope = {
        "method": "POST",
        "path": "/",
        "query_string": b"",
        "headers": headers,
        "client": ("10.0.0.1", 1),
    }
    request = Request(scope, None)
    assert (request.peer, request.headers[FORWARDED_FOR]) == ("10.0.0.1", b"203.0.113.1,198.51.100.1")
    scope["headers"] = [(b"connection", b"x-forwarded-for"), (b"x-forwarded-for", b"198.51.100.1")]
    assert Request(scope, None).headers[FORWARDED_FOR] == b"198.51.100.1"
