"""Requests and replies as plain values, over raw ASGI messages.

See https://asgi.readthedocs.io/en/latest/specs/www.html.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from leadscore.identity.caller import Caller

# The ASGI specification types scopes and messages as dictionaries of anything.
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Header = tuple[bytes, bytes]

JSON: Final[Header] = (b"content-type", b"application/json")

CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING, ACCEPT = range(4)
AUTHORIZATION, API_KEY, IDEMPOTENCY_KEY, REQUEST_ID, TRACEPARENT, TRACESTATE, FORWARDED_FOR = range(4, 11)
_SLOTS: Final[dict[bytes, int]] = {
    b"content-type": CONTENT_TYPE,
    b"content-length": CONTENT_LENGTH,
    b"content-encoding": CONTENT_ENCODING,
    b"accept": ACCEPT,
    b"authorization": AUTHORIZATION,
    b"x-api-key": API_KEY,
    b"idempotency-key": IDEMPOTENCY_KEY,
    b"x-request-id": REQUEST_ID,
    b"traceparent": TRACEPARENT,
    b"tracestate": TRACESTATE,
    b"x-forwarded-for": FORWARDED_FOR,
}
# Lengths of usual replies, encoded once.
_LENGTHS: Final[tuple[Header, ...]] = tuple((b"content-length", b"%d" % n) for n in range(8192))


class Request:
    """One request: where it goes, when it came, the headers that we read, its body as it arrives.

    `peer` is the address of the connection's other end. `request_id`, `address` (the client's), `caller`,
    `lead_id` and `prediction_id` are filled in on the way, for records, logs and traces.
    """

    __slots__ = (
        *("address", "caller", "headers", "lead_id", "method", "now_ns", "path", "peer"),
        *("prediction_id", "query", "receive", "request_id"),
    )

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: bytes = scope["query_string"]
        self.receive = receive
        self.now_ns = time.time_ns()
        self.request_id = self.address = self.lead_id = self.prediction_id = ""
        self.caller: Caller | None = None
        client: tuple[str, int] | None = scope.get("client")
        self.peer = "" if client is None else client[0]
        headers: list[bytes | None] = [None] * 11
        slot_of = _SLOTS.get
        for name, value in scope["headers"]:
            slot = slot_of(name)
            if slot is None:
                continue
            if slot == FORWARDED_FOR and (before := headers[slot]) is not None:
                # Each proxy may write a line of its own: together they are one list (RFC 9110, 5.3).
                headers[slot] = b"%b,%b" % (before, value)
            else:
                headers[slot] = value
        self.headers = headers

    def text(self, slot: int) -> str:
        """A header as text; empty if it is absent."""
        value = self.headers[slot]
        return "" if value is None else value.decode("latin-1")

    def latency_us(self) -> int:
        """Microseconds since it came; 0 if the clock was put back since."""
        return max(0, (time.time_ns() - self.now_ns) // 1_000)


class Reply:
    """One reply: a status, a whole body, and what is not constant in its headers."""

    __slots__ = ("body", "content_type", "extra", "status")

    def __init__(
        self, status: int, body: bytes, content_type: Header = JSON, extra: tuple[Header, ...] = ()
    ) -> None:
        self.status = status
        self.body = body
        self.content_type = content_type
        self.extra = extra


def reply_messages(reply: Reply, request_id: str, *, close: bool) -> tuple[Message, Message]:
    """The two messages of a reply, with its length and request id.

    `close` ends a kept-alive connection afterwards.
    """
    body = reply.body
    size = len(body)
    length = _LENGTHS[size] if size < 8192 else (b"content-length", b"%d" % size)
    headers = [reply.content_type, length, (b"x-request-id", request_id.encode("latin-1")), *reply.extra]
    if close:
        headers.append((b"connection", b"close"))
    start = {"type": "http.response.start", "status": reply.status, "headers": headers}
    return start, {"type": "http.response.body", "body": body}
