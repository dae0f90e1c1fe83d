"""Receivers of messages as real processes: generic, Slack- and PagerDuty-shaped, with faults on order.

Run as a program it serves; `Receiver` starts it. What it accepted, and what it was asked, is read over HTTP.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import httpx

# What a receiver does with one request. `slow`: it has accepted the message and says so too late.
FAULTS = ("ok", "429", "500", "504", "slow", "reset-before", "reset-after")
PAUSE_SECONDS = 7


class Receiver:
    """A receiver's process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": ""},
        )
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        self._client = httpx.Client(base_url=self.url, timeout=10)

    def plan(self, path: str, *faults: str) -> None:
        """What the next requests to a path meet, one after the other; then `ok`."""
        assert set(faults) <= set(FAULTS)
        self._client.put(path, content=json.dumps(faults)).raise_for_status()

    def accepted(self, path: str) -> list[dict[str, Any]]:
        """Bodies that it accepted, in order; those with a known key count once."""
        return self._client.get(path).raise_for_status().json()["accepted"]

    def requests(self, path: str) -> int:
        """How often it was asked."""
        return self._client.get(path).raise_for_status().json()["requests"]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(20)


def _slack(body: dict[str, Any]) -> tuple[int, str]:
    """As Slack documents its incoming webhooks: `ok`, or 400 with a word."""
    return (200, "ok") if body.get("text") or body.get("blocks") else (400, "no_text")


def _pagerduty(body: dict[str, Any]) -> tuple[int, str]:
    """As PagerDuty documents Events API v2: 202, or 400 with what is wrong."""
    errors: list[str] = []
    if len(str(body.get("routing_key", ""))) != 32:
        errors.append("Length of 'routing_key' is incorrect (should be 32 characters)")
    action = body.get("event_action")
    if action not in {"trigger", "acknowledge", "resolve"}:
        errors.append("'event_action' is missing or is not one of trigger, acknowledge, resolve")
    payload = body.get("payload", {})
    if action == "trigger":
        errors += [
            f"'payload.{name}' is missing or blank" for name in ("summary", "source") if not payload.get(name)
        ]
        if payload.get("severity") not in {"critical", "warning", "error", "info"}:
            errors.append("'payload.severity' is invalid (must be one of the following: 'critical', …)")
        if len(payload.get("summary", "")) > 1024:
            errors.append("'payload.summary' is too long")
    elif not body.get("dedup_key"):
        errors.append("'dedup_key' is missing or blank")
    if len(body.get("dedup_key", "")) > 255:
        errors.append("'dedup_key' is too long")
    if errors:
        return 400, json.dumps(
            {"status": "invalid event", "message": "Event object is invalid", "errors": errors}
        )
    said = {"status": "success", "message": "Event processed", "dedup_key": body.get("dedup_key", "made-up")}
    return 202, json.dumps(said)


class _State:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.plans: dict[str, list[str]] = defaultdict(list)
        self.accepted: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.keys: dict[str, set[str]] = defaultdict(set)
        self.requests: dict[str, int] = defaultdict(int)


_STATE = _State()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        with _STATE.lock:
            said = {"accepted": _STATE.accepted[self.path], "requests": _STATE.requests[self.path]}
        self._answer(200, json.dumps(said))

    def do_PUT(self) -> None:
        planned = json.loads(self._body())
        with _STATE.lock:
            _STATE.plans[self.path] = planned
        self._answer(200, "")

    def do_POST(self) -> None:
        body = json.loads(self._body())
        with _STATE.lock:
            _STATE.requests[self.path] += 1
            plan = _STATE.plans[self.path]
            fault = plan.pop(0) if plan else "ok"
        if fault == "429":
            self._answer(429, "rate_limited", {"Retry-After": str(PAUSE_SECONDS)})
            return
        if fault in {"500", "504"}:
            self._answer(int(fault), "")
            return
        if fault == "reset-before":
            self._reset()
            return
        status, said = 200, ""
        if self.path.startswith("/slack"):
            status, said = _slack(body)
        elif self.path.startswith("/pagerduty"):
            status, said = _pagerduty(body)
        if status < 300:
            self._accept(body)
        if fault == "slow":
            threading.Event().wait(0.5)
        if fault == "reset-after":
            self._reset()
            return
        self._answer(status, said)

    def _accept(self, body: dict[str, Any]) -> None:
        key = self.headers.get("Idempotency-Key")
        with _STATE.lock:
            if key is not None and key in _STATE.keys[self.path]:
                return
            _STATE.keys[self.path] |= {key} if key else set()
            _STATE.accepted[self.path].append(body)

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", "0")))

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def _answer(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        body = text.encode()
        try:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            self.close_connection = True

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 (its name there)
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that was reset on purpose is no news."""


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    server = _Server(("127.0.0.1", 0), _Handler)
    print(server.server_port, flush=True)  # noqa: T201 (how the test learns the port)
    server.serve_forever()
