"""A store with scored leads, a receiver of webhooks as a process, and a clock."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.support.stores import backend, postgres, url

from leadscore.crm.endpoints import SecretKey, WebhookEndpoint, add_endpoint, read_key
from leadscore.crm.webhook_http import IpNetwork, allowed_networks, post_webhook, webhook_connections
from leadscore.events.store import EventStore
from leadscore.identity.caller import Caller
from leadscore.outbox.attempts import SendResult
from leadscore.outbox.http import Lookup, look_up_addresses
from leadscore.settings import Home

__all__ = ["backend", "postgres", "url"]

LOCAL = allowed_networks({"LEADSCORE_WEBHOOK_NETWORKS": "127.0.0.0/8"})
WHO = Caller("key", "ada")


def posted(
    url: str,
    *,
    allowed: Sequence[IpNetwork] = LOCAL,
    look_up: Lookup = look_up_addresses,
    seconds: float = 10.0,
) -> SendResult:
    """What came of a webhook with an empty document."""
    with webhook_connections(allowed, look_up=look_up) as connections:
        return post_webhook(connections, url, b"{}", {}, seconds=seconds)


@pytest.fixture
def store(url: str) -> Iterator[EventStore]:
    with EventStore(url) as opened:
        yield opened


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.from_environment({"LEADSCORE_HOME": str(tmp_path / "home")})


@pytest.fixture
def key(home: Home) -> SecretKey:
    return read_key(home, {}, make=True)


@dataclass
class Inbox:
    """What a receiver was sent, and what it answers."""

    url: str = ""
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    usual: int = 200
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    before_answer: threading.Event | None = None


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    box = Inbox()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            body = self.rfile.read(length)
            if len(body) < length:
                # Whoever sent it was killed in the middle: that is no message.
                self.close_connection = True
                return
            box.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
            status, extra = box.answers.pop(0) if box.answers else (box.usual, {})
            if box.before_answer is not None:
                box.before_answer.wait(30)
            self.send_response(status)
            for name, value in extra.items():
                self.send_header(name, value)
            said = b'{"error": "says the body of whatever status"}'
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    box.url = f"http://127.0.0.1:{server.server_port}/hooks"
    yield box
    if box.before_answer is not None:
        box.before_answer.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def endpoint(store: EventStore, key: SecretKey, inbox: Inbox) -> WebhookEndpoint:
    return add_endpoint(store, key, "crm-one", inbox.url, WHO, 1)[0]
