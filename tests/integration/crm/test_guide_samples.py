"""The samples of the guide, as somebody copies them: a receiver in Python, a message by curl."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
from tests.integration.crm.conftest import LOCAL, WHO
from tests.support.scored_leads import no_models, score_leads

from leadscore.crm.choose import choose_scores
from leadscore.crm.endpoints import SecretKey, add_endpoint
from leadscore.crm.receiver import ReceivedScores, ReceiverServer
from leadscore.crm.signing import read_secret, write_secret
from leadscore.crm.webhook import EndpointGuard, WebhookSender
from leadscore.crm.webhook_http import webhook_connections
from leadscore.events.records import now_us
from leadscore.events.store import EventStore
from leadscore.outbox.worker import deliver_due

GUIDES = Path(__file__).parents[3] / "docs" / "guides"
SECRET = write_secret(bytes(range(32)))


def _module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("webhook_receiver", GUIDES / "webhook_receiver.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


sample = _module()


@dataclass
class Running:
    url: str
    records: Any


@pytest.fixture
def receiver() -> Iterator[Running]:
    """The guide's receiver; its CRM knows two leads."""
    records = sample.Records({"known", "other"})
    server = sample.serve(0, SECRET, records)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield Running(f"http://127.0.0.1:{server.server_port}/", records)
    server.shutdown()
    server.server_close()
    thread.join()


def curl(url: str, lead: str, secret: str = SECRET) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(GUIDES / "webhook_send.sh"), url, lead],
        env={**os.environ, "LEADSCORE_WEBHOOK_SECRET": secret},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_curl_sends_what_the_receiver_takes(receiver: Running) -> None:
    assert curl(receiver.url, "known").stdout == "written"
    assert receiver.records.scores["known"]["score"] == 50.0
    assert curl(receiver.url, "nobody").stdout == "no such record"
    assert "nobody" not in receiver.records.scores
    forged = curl(receiver.url, "known", write_secret(bytes(32)))
    assert forged.returncode != 0
    assert "signature" in forged.stdout


def test_curl_sends_what_our_own_receiver_shows() -> None:
    received = ReceivedScores(read_secret(SECRET))
    server = ReceiverServer("127.0.0.1", 0, received)
    url = f"http://127.0.0.1:{server.port}/"
    try:
        assert curl(url, "<b>lead</b>").stdout == "written into the record"
        assert curl(url, "lead", write_secret(bytes(32))).returncode != 0
        page = httpx.get(url).text
        with suppress(httpx.TransportError):
            assert httpx.post(url, content=b"x" * 300_000).status_code == 413
    finally:
        server.close()
    assert "&lt;b&gt;lead&lt;/b&gt;" in page
    assert "1 leads have a score. Messages: 1 written, 0 older, 0 again, 1 refused." in page


def test_the_receiver_takes_what_we_send_and_applies_only_what_is_newer(
    receiver: Running, store: EventStore, key: SecretKey
) -> None:
    endpoint, secret = add_endpoint(store, key, "guide", receiver.url, WHO, 1)
    server_secret = receiver.records
    assert server_secret.scores == {}
    score_leads(store, [("known", 0.25, 10), ("nobody", 0.5, 10)])
    choose_scores(store, endpoint.subscriber, no_models, now_us)
    # The receiver has another secret: it refuses, and the messages wait.
    sender = WebhookSender(endpoint, key, webhook_connections(LOCAL), now_us)
    assert deliver_due(store, endpoint.channel, sender, guard=EndpointGuard(endpoint)).delivered == 0
    body = {"lead_id": "known", "sequence": "2", "score": 1.0}
    assert receiver.records.apply(body) == "written"
    assert receiver.records.apply({**body, "sequence": "1"}) == "not newer"
    assert receiver.records.apply(body) == "not newer"
    assert secret.startswith("whsec_")
