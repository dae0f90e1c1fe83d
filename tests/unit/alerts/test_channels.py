"""What receivers answer, and what senders make of settings that are none."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from leadscore.alerts.channels import MailSender, PagerDutySender, SlackSender, reply_complaint
from leadscore.alerts.trial import try_channels
from leadscore.outbox.attempts import LONGEST_SECONDS, SendResult
from leadscore.outbox.worker import Sender


@contextmanager
def answering(status: int, body: bytes = b"", **headers: str) -> Iterator[str]:
    """A receiver that answers every request alike; its address."""

    class _Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            for name, text in headers.items():
                self.send_header(name.replace("_", "-"), text)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 (its name there)
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/secret"
        finally:
            server.shutdown()
            thread.join()


def send(sender: Sender) -> SendResult:
    return try_channels({"one": sender}, 1)["one"]


def slack(address: str) -> SendResult:
    return send(SlackSender(lambda: address))


@pytest.mark.parametrize(
    "body", [b"ok", b"", b"1", b'{"ok": true}', b'{"success": true}', b'{"errors": []}', b'"ok"', b"{"]
)
def test_a_good_status_is_believed(body: bytes) -> None:
    assert reply_complaint("application/json", body) == ""


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/html; charset=utf-8", b"Sign in"),
        ("", b"<!DOCTYPE html><title>Sign in</title>"),
        ("application/json", b'{"ok": false, "error": "invalid_auth"}'),
        ("text/plain", b' {"success": false}'),
        ("application/json", b'{"errors": ["no such room"]}'),
        ("text/plain", b"Webhook message delivery failed with error: endpoint returned HTTP error 429"),
    ],
)
def test_a_good_status_with_an_error_in_its_body_is_no_delivery(kind: str, body: bytes) -> None:
    with answering(200, body, Content_Type=kind) as address:
        found = slack(address)
    assert (found.outcome, found.status) == ("failed", 200)
    assert "secret" not in found.detail
    assert "invalid_auth" not in found.detail


def test_a_redirect_is_not_followed_and_the_message_waits() -> None:
    with answering(302, Location="http://127.0.0.1:1/") as address:
        found = slack(address)
    assert found.outcome == "failed"
    assert "give the new address" in found.detail


@pytest.mark.parametrize("pause", ["99999999999", "86400", "Fri, 15 Jan 2100 08:01:00 GMT"])
def test_nobody_keeps_alerts_quiet_for_longer_than_the_longest_pause(pause: str) -> None:
    with answering(429, Retry_After=pause) as address:
        found = slack(address)
    assert (found.outcome, found.retry_after) == ("failed", LONGEST_SECONDS)


def test_pagerdutys_400_may_be_of_the_key_and_waits() -> None:
    with answering(400, b'{"status": "invalid event"}') as address:
        assert send(PagerDutySender(lambda: address, lambda: "short")).outcome == "failed"


@pytest.mark.parametrize(
    ("url", "sender", "to"),
    [
        ("smtp://127.0.0.1:1", "a\nb@example.com", "ada@example.com"),
        ("smtp://127.0.0.1:1", "", "@@, <"),
        ("smtp://127.0.0.1:99999", "", "ada@example.com"),
        ("smtp://[::1", "", "ada@example.com"),
        ("127.0.0.1", "", "ada@example.com"),
    ],
)
def test_settings_of_mail_that_are_none_are_a_failure_and_no_crash(url: str, sender: str, to: str) -> None:
    assert send(MailSender(lambda: (url, sender, to))).outcome == "failed"
