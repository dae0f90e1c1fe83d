"""The monitor's HTTP: metrics, probes, and what others send to it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Final, cast
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import msgspec
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from leadscore.errors import UnavailableError

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

_log = logging.getLogger(__name__)

MetricsSource = Callable[[], Iterable[Metric]]
"""Makes the metrics of one scrape; must not wait for the store."""
Receiver = Callable[[bytes, Mapping[str, str]], tuple[int, str]]
"""Takes a body and the headers, with names in lower case; returns a status and a sentence."""

_MOST_BYTES: Final = 1_000_000
_SECONDS: Final = 10.0


class MonitorHealth(msgspec.Struct, frozen=True, kw_only=True):
    """What a probe is told.

    Attributes:
        status: `ok`; `behind`: at work, but a chore fails; `standby`: another monitor works; `unknown`: the
            store has not been heard of; `stopped`: a thread has ended.
        reason: Why it is not `ok`, in a sentence.
        leading: Whether this process does the work.
    """

    status: str
    reason: str = ""
    leading: bool = False


@dataclass(frozen=True, slots=True)
class MonitorEndpoint:
    """What the monitor answers.

    Attributes:
        health: Asked for each probe; must not wait for the store.
        sources: Of metrics.
        posts: Who takes what is sent to a path.
    """

    health: Callable[[], MonitorHealth]
    sources: Sequence[MetricsSource]
    posts: Mapping[str, Receiver]

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """The WSGI application."""
        status, kind, body = self._answer(environ)
        phrase = HTTPStatus(status).phrase
        start_response(f"{status} {phrase}", [("Content-Type", kind), ("Content-Length", str(len(body)))])
        return [body]

    def _answer(self, environ: WSGIEnvironment) -> tuple[int, str, bytes]:
        method, path = str(environ["REQUEST_METHOD"]), str(environ["PATH_INFO"])
        if path in self.posts:
            return self._receive(environ, method, self.posts[path])
        if method not in ("GET", "HEAD"):
            return 405, "text/plain", b"Only GET.\n"
        if path == "/metrics":
            return 200, CONTENT_TYPE_PLAIN_0_0_4, self._metrics()
        if path in _PROBES:
            health = self.health()
            fails = health.status in _PROBES[path]
            return 503 if fails else 200, "application/json", msgspec.json.encode(health)
        return 404, "text/plain", b"Not found.\n"

    def _receive(self, environ: WSGIEnvironment, method: str, receiver: Receiver) -> tuple[int, str, bytes]:
        if method != "POST":
            return 405, "text/plain", b"Only POST.\n"
        try:
            length = int(str(environ.get("CONTENT_LENGTH") or ""))
        except ValueError:
            return 411, "text/plain", b"A Content-Length is needed.\n"
        if not 0 <= length <= _MOST_BYTES:
            return 413, "text/plain", b"At most 1,000,000 bytes.\n"
        body = cast("bytes", environ["wsgi.input"].read(length))
        if len(body) != length:
            return 400, "text/plain", b"The body is shorter than its Content-Length.\n"
        try:
            status, said = receiver(body, _headers(environ))
        except Exception:  # noqa: BLE001 - whoever sent it must learn that it was not taken, and send it again
            _log.exception("a receiver failed")
            status, said = 500, "It was not taken; the monitor's log says why."
        return status, "text/plain; charset=utf-8", f"{said}\n".encode()

    def _metrics(self) -> bytes:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Collected(self.sources))
        return generate_latest(registry)


def _headers(environ: WSGIEnvironment) -> dict[str, str]:
    return {
        name.removeprefix("HTTP_").replace("_", "-").lower(): str(value)
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }


# Statuses that fail a probe. A store that is away is no reason to start the process again.
_PROBES: Final[Mapping[str, frozenset[str]]] = {
    "/livez": frozenset(("stopped",)),
    "/readyz": frozenset(("stopped",)),
    "/healthz": frozenset(("stopped", "unknown", "behind")),
}


class _Collected(Collector):
    def __init__(self, sources: Sequence[MetricsSource]) -> None:
        self._sources = sources

    def collect(self) -> Iterable[Metric]:
        for source in self._sources:
            yield from source()


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    timeout = _SECONDS

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name in the standard library)
        """Say nothing: probes and scrapes come every few seconds."""


class EndpointServer:
    """Answers in threads of its own until closed.

    Args:
        host: Address to listen on.
        port: Port; 0: any.
        endpoint: What to answer.

    Raises:
        UnavailableError: The address is taken, or not ours.
    """

    def __init__(self, host: str, port: int, endpoint: MonitorEndpoint) -> None:
        try:
            self._server = make_server(host, port, endpoint, _Server, _Handler)
        except OSError as error:
            raise UnavailableError(
                f"Cannot listen on {host}:{port}: {error.strerror or error}.",
                hint="Is it running already? Try another port.",
            ) from error
        self.port: int = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, name="endpoint", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Answer nobody any more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
