"""Rules for a request's head and its connection.

Bounds of size, time and number, and RFC 9112. Plain functions of what the parser found; `server_adapter`
calls them and closes connections.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from leadscore.errors import LeadScoreError
from leadscore_service.errors import (
    HeadersTimeoutError,
    HeadersTooLargeError,
    HttpVersionError,
    RequestMalformedError,
    TooManyConnectionsError,
    TransferCodingError,
)
from leadscore_service.http import Header
from leadscore_service.settings import Settings

MAX_HEAD: Final = 64 * 1024
# Longer than proxies keep an idle connection (Traefik 90 s, nginx and load balancers 60-75 s): the proxy must
# close first, or a request may be on its way (bentoml/BentoML#4682).
KEEP_ALIVE_S: Final = 120
# Files that are no connections: spool, counters, log, libraries.
_OTHER_FILES: Final = 128
_OF_HOST: Final = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._~!$&'()*+,;=:[]%-"
_OF_UPGRADE: Final = frozenset((b"upgrade", b"http2-settings"))


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one worker: connections at once, and seconds that the headers of a request may take."""

    connections: int
    head_s: float


@lru_cache(maxsize=1)
def limits() -> Limits:
    """As set by the environment; fewer connections where the process may not open so many files."""
    settings = Settings.from_environment()
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    room = settings.max_connections if files < 0 else max(1, files - _OTHER_FILES)
    return Limits(min(settings.max_connections, room), settings.headers_timeout_s)


def head_problem(version: str, hosts: int, codings: Sequence[bytes]) -> LeadScoreError | None:
    """Why a request is refused for its head; None if it is not.

    Args:
        version: Of HTTP, as the request line says.
        hosts: How many Host headers there are.
        codings: Values of its Transfer-Encoding headers, in lower case.
    """
    if version == "1.1":
        if hosts != 1:
            return RequestMalformedError(
                "The request does not have one Host header.", hint="Send one (RFC 9112, 3.2)."
            )
    elif version != "1.0":
        return HttpVersionError("The request is not HTTP/1.1.", hint="Send HTTP/1.1.")
    elif hosts > 1 or codings:
        return RequestMalformedError(
            "A request of HTTP/1.0 has two Host headers or a transfer coding.", hint="Send HTTP/1.1."
        )
    if codings and tuple(codings) != (b"chunked",):
        return TransferCodingError(
            "The body has a transfer coding other than chunked.", hint="Send it chunked."
        )
    return None


def host_problem(value: bytes) -> LeadScoreError | None:
    """Why a Host header's value is refused; None if it is not."""
    if value.translate(None, _OF_HOST):
        return RequestMalformedError("The Host header names no host.", hint="Send HOST:PORT.")
    return None


def too_large() -> HeadersTooLargeError:
    """Return the refusal of a head of more than `MAX_HEAD` bytes."""
    return HeadersTooLargeError(
        f"The request line and the headers are larger than {MAX_HEAD} bytes.",
        hint="Send fewer, or shorter ones.",
    )


def too_late(seconds: float) -> HeadersTimeoutError:
    """Return the refusal of a head that is not complete in time."""
    return HeadersTimeoutError(
        f"The headers were not complete after {seconds:g} s.", hint="Send them at once."
    )


def no_room() -> TooManyConnectionsError:
    """Return the refusal of a connection when all are in use."""
    return TooManyConnectionsError(
        "Every connection is in use.", hint="Repeat the request after `Retry-After` seconds."
    )


def not_http() -> RequestMalformedError:
    """Return the refusal of bytes that the parser does not understand."""
    return RequestMalformedError(
        "The request is no HTTP/1.1.", hint="Send it with an HTTP library (RFC 9112)."
    )


def head_bytes(url: bytes, headers: Sequence[Header]) -> int:
    """How large a head is, about."""
    return len(url) + sum(len(name) + len(value) + 4 for name, value in headers)


def without_upgrade(method: bytes, url: bytes, version: str, headers: Sequence[Header]) -> bytes:
    """The head of a request as if it had not asked for an upgrade: its body follows (RFC 9110, 7.8)."""
    lines = [b"%b %b HTTP/%b" % (method, url, version.encode())]
    lines += [name + b": " + value for name, value in _plain(headers)]
    return b"\r\n".join((*lines, b"\r\n"))


def _plain(headers: Sequence[Header]) -> Iterator[Header]:
    for name, value in headers:
        if name == b"connection":
            kept = [t for t in (token.strip() for token in value.split(b",")) if t.lower() not in _OF_UPGRADE]
            if kept:
                yield name, b", ".join(kept)
        elif name not in _OF_UPGRADE:
            yield name, value
