"""API keys: who gets in, who does not, and keys that change while the service runs."""

from __future__ import annotations

import errno
import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lead_scoring.auth import KeyRing
from lead_scoring.metrics_layout import SINGLE_INDEX
from leadscore.identity.apikeys import ApiKey, create_key, read_keys, revoke_key


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

    monkeypatch.setattr("lead_scoring.auth.read_keys", noting)
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
