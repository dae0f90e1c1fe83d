"""The client samples of docs/guides, as an integrator runs them.

Against the service, and when the network loses replies.
"""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.integration.service.conftest import Served
from tests.support.waiting import wait_until

from leadscore.identity.apikeys import create_key

GUIDES = Path(__file__).parents[3] / "docs" / "guides"
Lead = dict[str, Any]


def _module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("crm_client", GUIDES / "crm_client.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


crm_client = _module()


@pytest.fixture
def service(serve: Callable[..., Served], tmp_path: Path) -> tuple[Served, str]:
    """A service that asks for keys, and a CRM's key."""
    keys = tmp_path / "keys.yaml"
    secret, _ = create_key(keys, "crm", ["score", "outcomes"])
    return serve(LEADSCORE_AUTH="keys", LEADSCORE_API_KEYS=str(keys)), secret


def _client(url: str, key: str, **options: Any) -> Any:
    return crm_client.LeadScore(url, key, sleep=lambda _: None, **options)


class LosesReplies:
    """A proxy that hands each request on, and cuts the connection instead of the first replies."""

    def __init__(self, port: int, lost: int) -> None:
        self._target, self._lost = port, lost
        self.requests = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                caller, _ = self._listener.accept()
            except OSError:
                return
            with caller, socket.create_connection(("127.0.0.1", self._target)) as service:
                service.sendall(_message(caller))
                reply = _message(service)
                self.requests += 1
                if self.requests > self._lost:
                    caller.sendall(reply)

    def close(self) -> None:
        self._listener.close()


def _message(connection: socket.socket) -> bytes:
    """One HTTP message with a Content-Length, whole."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        int(line.partition(b":")[2])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    )
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


@pytest.fixture
def losing(service: tuple[Served, str]) -> Iterator[LosesReplies]:
    proxy = LosesReplies(service[0].port, lost=2)
    yield proxy
    proxy.close()


def test_a_lead_is_scored_and_its_outcome_comes_back(service: tuple[Served, str], lead: Lead) -> None:
    served, key = service
    client = _client(served.url, key)
    score = client.score(lead, reasons=2)
    assert score["lead_id"] == lead["lead_id"]
    assert len(score["reasons"]) == 2
    said = {"lead_id": lead["lead_id"], "converted": True, "prediction_id": score["prediction_id"]}
    occurred = {"occurred_at": "2026-05-04T10:00:00Z", "recorded_at": "2026-05-04T11:00:00Z"}
    assert client.outcomes([said | occurred]) == 1
    assert client.outcomes([said | occurred]) == 1
    wait_until(
        lambda: len(served.stored("outcomes", "outcome_id")) == 1, seconds=30, what="one outcome stored"
    )


def test_a_request_whose_reply_was_lost_is_repeated_and_stored_once(
    service: tuple[Served, str], losing: LosesReplies, lead: Lead
) -> None:
    served, key = service
    pauses: list[float] = []
    client = crm_client.LeadScore(losing.url, key, sleep=pauses.append)
    score = client.score(lead)
    assert losing.requests == 3
    assert pauses[0] == 0
    assert 0 < pauses[1] < pauses[2] * 4
    wait_until(lambda: served.stored() == [score["prediction_id"]], seconds=30, what="one prediction stored")


def test_the_same_key_is_answered_with_the_same_score(service: tuple[Served, str], lead: Lead) -> None:
    served, key = service
    client = _client(served.url, key)
    assert client.score(lead, key="saved-1") == client.score(lead, key="saved-1")
    assert client.score(lead)["prediction_id"] != client.score(lead)["prediction_id"]


def test_leads_come_back_in_their_order_over_several_requests(
    service: tuple[Served, str], lead: Lead, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, key = service
    monkeypatch.setattr(crm_client, "LEADS_PER_REQUEST", 4)
    leads = [lead | {"lead_id": f"L-{number}"} for number in range(10)]
    results = list(_client(served.url, key).score_many(leads, key="night"))
    assert [result["lead_id"] for result in results] == [one["lead_id"] for one in leads]
    again = list(_client(served.url, key).score_many(leads, key="night"))
    assert [one["prediction_id"] for one in again] == [one["prediction_id"] for one in results]


def test_what_was_refused_is_not_repeated_and_names_the_field(
    service: tuple[Served, str], lead: Lead
) -> None:
    served, key = service
    client = crm_client.LeadScore(
        served.url, key, sleep=lambda pause: pytest.fail("repeated") if pause else None
    )
    with pytest.raises(crm_client.RefusedError) as refused:
        client.score(lead | {"no_such_field": 1})
    assert (refused.value.status, refused.value.code) == (422, "lead_invalid")
    assert [field["field"] for field in refused.value.fields] == ["no_such_field"]
    assert refused.value.request_id
    with pytest.raises(crm_client.RefusedError) as stranger:
        crm_client.LeadScore(served.url, "nobody's key", sleep=lambda _: None).score(lead)
    assert stranger.value.status == 401


def test_a_service_that_is_not_there_is_said_after_the_last_attempt(lead: Lead) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(crm_client.UnreachableError, match="3 times"):
        _client(f"http://127.0.0.1:{port}", "key", attempts=3).score(lead)


def _run(command: list[str], served: Served, key: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "LEADSCORE_URL": served.url, "LEADSCORE_API_KEY": key}
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)


PYTHON = [sys.executable, str(GUIDES / "crm_client.py")]
SHELL = ["sh", str(GUIDES / "crm_client.sh")]


@pytest.mark.parametrize("program", [PYTHON, SHELL], ids=["python", "curl"])
def test_the_samples_run_from_the_command_line(
    program: list[str], service: tuple[Served, str], lead: Lead, tmp_path: Path
) -> None:
    served, key = service
    one, many, bad = tmp_path / "lead.json", tmp_path / "leads.json", tmp_path / "bad.json"
    one.write_text(json.dumps(lead))
    leads = [lead | {"lead_id": f"L-{number}"} for number in range(3)]
    many.write_text(json.dumps(leads if program is PYTHON else {"leads": leads}))
    bad.write_text(json.dumps(lead | {"no_such_field": 1}))
    keys = {name: ["--key", name] if program is PYTHON else [name] for name in ("saved-1", "night", "bad")}

    first = _run([*program, "score", str(one), *keys["saved-1"]], served, key)
    again = _run([*program, "score", str(one), *keys["saved-1"]], served, key)
    assert first.returncode == 0, first.stderr
    assert json.loads(again.stdout) == json.loads(first.stdout)
    prediction = json.loads(first.stdout)["prediction_id"]

    bulk = _run([*program, "bulk", str(many), *keys["night"]], served, key)
    assert bulk.returncode == 0, bulk.stderr
    assert [line for line in ("L-0", "L-1", "L-2") if line in bulk.stdout] == ["L-0", "L-1", "L-2"]

    said = (
        [lead["lead_id"], "won", "--prediction-id", prediction]
        if program is PYTHON
        else [json.dumps({"lead_id": lead["lead_id"], "converted": True, "prediction_id": prediction})]
    )
    assert _run([*program, "outcome", *said], served, key).returncode == 0

    refused = _run([*program, "score", str(bad), *keys["bad"]], served, key)
    assert refused.returncode == 1
    assert "no_such_field" in refused.stdout + refused.stderr
    assert key not in refused.stdout + refused.stderr
