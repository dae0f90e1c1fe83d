"""A CRM as a server in this process: what every vendor's has in common. No live org is called in any test.

Records, limits, tokens and faults on order; the vendors' own shapes are in `crm_salesforce`, `crm_hubspot`
and `crm_dynamics`. Time is the test's, so that an hour of pacing takes no hour.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

# What the next writes meet. `late`: written, and no answer comes; `early`: the connection breaks first.
FAULTS = ("ok", "429", "500", "503", "401", "409", "html", "late", "early", "redirect")
PAUSE_SECONDS = 7


class SimulatedClock:
    """Time that passes only when somebody waits; starts at the present."""

    def __init__(self) -> None:
        self._us = time.time_ns() // 1_000

    def now(self) -> int:
        """Microseconds since the epoch."""
        return self._us

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self._us += round(seconds * 1e6)


@dataclass
class Reply:
    """What a fake answers."""

    status: int
    document: object = None
    headers: dict[str, str] = field(default_factory=dict[str, str])
    text: str | None = None

    @property
    def body(self) -> bytes:
        if self.text is not None:
            return self.text.encode()
        return b"" if self.document is None else json.dumps(self.document).encode()


@dataclass
class Asked:
    """A request that came."""

    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def form(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.body.decode()).items()}


class FakeCrm:
    """Records and rules; a subclass knows the vendor's shapes.

    Args:
        clock: The test's time.
        limit: Requests within `window` seconds; more get 429.
        window: Seconds.
        address: Where it listens.
        tls: Certificate and key; None: plain HTTP.
    """

    def __init__(
        self,
        clock: SimulatedClock,
        *,
        limit: int = 1_000_000,
        window: float = 10.0,
        address: str = "127.0.0.1",
        tls: tuple[Path, Path] | None = None,
    ) -> None:
        self.clock = clock
        self.records: dict[str, dict[str, Any]] = {}
        self.deleted: set[str] = set()
        self.refused: set[str] = set()
        self.missing_fields: set[str] = set()
        self.read_only_fields: set[str] = set()
        self.deals: list[dict[str, Any]] = []
        self.page = 100
        self.writes: list[list[str]] = []
        self.counts: Counter[str] = Counter()
        self.secret = "right"
        self.tokens: set[str] = set()
        self.no_tokens = False
        self.faults: deque[str] = deque()
        self.limit, self.window = limit, window
        self.moments: deque[int] = deque()
        self.lock = threading.RLock()
        crm = self

        class Handler(_Handler):
            fake = crm

        self._server = _Server((address, 0), Handler)
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        scheme = "http" if tls is None else "https"
        self.url = f"{scheme}://{address}:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    # --- for tests
    def plan(self, *faults: str) -> None:
        """What the next writes meet, one after the other."""
        assert set(faults) <= set(FAULTS)
        self.faults.extend(faults)

    def write_credentials(self, folder: Path, secret: str = "right") -> Path:
        """A folder as a mounted Secret is."""
        folder.mkdir(exist_ok=True)
        values = {
            "client_id": "leadscore",
            "client_secret": secret,
            "token_url": f"{self.url}{self.token_path}",
        }
        for name, value in values.items():
            (folder / name).write_text(f"{value}\n")
        return folder

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    # --- for vendors
    token_path = "/token"
    write_path = ""

    def answer(self, asked: Asked) -> Reply:
        """The vendor's answer to a request with a good token."""
        raise NotImplementedError

    def too_many(self) -> Reply:
        """The vendor's answer to one request too many."""
        raise NotImplementedError

    def unauthorized(self) -> Reply:
        """The vendor's answer to a token it does not know."""
        raise NotImplementedError

    def rate_headers(self) -> dict[str, str]:
        """What the vendor says of its limits with each answer."""
        return {}

    def handle(self, asked: Asked) -> Reply | str:  # noqa: PLR0911 (a fault each)
        """An answer, or the fault that ends the connection."""
        with self.lock:
            self.counts["requests"] += 1
            if asked.path == self.token_path:
                return self._grant(asked)
            if asked.headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens:
                self.counts["401"] += 1
                return self.unauthorized()
            if not self._within_limits():
                self.counts["429"] += 1
                return self.too_many()
            is_write = self.is_write(asked)
            fault = self.faults.popleft() if is_write and self.faults else "ok"
            self.counts["writes"] += is_write
            if fault == "early":
                return "reset"
            if fault == "401":
                self.tokens.clear()
                return self.unauthorized()
            if fault == "429":
                self.counts["429"] += 1
                return self.too_many()
            if fault in {"500", "503"}:
                return Reply(int(fault), text="<h1>Service unavailable</h1>")
            if fault == "html":
                return Reply(200, text="<html>Signed out</html>")
            if fault == "redirect":
                return Reply(302, headers={"Location": "https://login.example/"})
            reply = self.conflict() if fault == "409" else self.answer(asked)
            reply.headers |= self.rate_headers()
            return "reset" if fault == "late" else reply

    def conflict(self) -> Reply:
        """The vendor's answer where a whole batch is refused without a name."""
        raise NotImplementedError

    def is_write(self, asked: Asked) -> bool:
        """Whether a request writes scores."""
        return asked.path.endswith(self.write_path)

    def put(self, key: str, values: Mapping[str, Any]) -> None:
        """Write a record's fields."""
        assert key in self.records, "an update never makes a record"
        self.counts["nulls"] += sum(value is None or value == "" for value in values.values())
        self.records[key] |= values

    def left(self) -> int:
        """Requests left of the window."""
        return max(0, self.limit - len(self.moments))

    def _within_limits(self) -> bool:
        now = self.clock.now()
        while self.moments and self.moments[0] <= now - self.window * 1e6:
            self.moments.popleft()
        if len(self.moments) >= self.limit:
            return False
        self.moments.append(now)
        return True

    def _grant(self, asked: Asked) -> Reply:
        self.counts["tokens"] += 1
        form = asked.form
        if self.no_tokens or form.get("client_secret") != self.secret:
            return Reply(400, {"error": "invalid_client", "error_description": "invalid client credentials"})
        token = f"token-{self.counts['tokens']}"
        self.tokens.add(token)
        return Reply(200, {"access_token": token, "token_type": "Bearer", "expires_in": 3600})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake: FakeCrm

    def _any(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        reply = self.fake.handle(Asked(self.command, parts.path, query, dict(self.headers), body))
        if isinstance(reply, str):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
            return
        data = reply.body
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _any  # noqa: N815 (the standard library's names)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 (its name there)
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that was reset on purpose is no news."""


MakeCrm = Callable[..., FakeCrm]
