"""A reply in one write to the socket.

ASGI sends the head and the body of a response as two messages, and uvicorn makes two system calls of them; for a reply of
a few hundred bytes the second one costs more than the score. Where the server is uvicorn's httptools protocol, in the state
that nearly every request has, the whole reply is handed to its transport at once; in any other case the caller falls back
to the two messages of the ASGI specification. A reply after which the connection ends is sent here only where the
connection is ours (`connection`), which knows how to end it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from lead_scoring.connection import Connection

if TYPE_CHECKING:
    from lead_scoring.http import Reply, Send

_CLOSE = (b"connection", b"close")


def send_whole(send: Send, reply: Reply, request_id: str, *, close: bool = False) -> bool:
    """Send the reply if this connection takes it in one piece; False: nothing was sent, use the ASGI messages.

    The connection ends after it if `close` or the reply says so, if the caller asked for it, or if the request has not
    arrived as a whole: what is left of it may never end.
    """
    cycle = cast("RequestResponseCycle | None", getattr(send, "__self__", None))
    if (
        type(cycle) is not RequestResponseCycle
        or cycle.response_started
        or cycle.disconnected
        or cycle.flow.write_paused
        or cycle.scope["method"] == "HEAD"
    ):
        return False
    if cycle.transport.is_closing():
        # Nobody is there any more, and the protocol will be told next.
        cycle.disconnected = True
        return False
    said = _CLOSE in reply.extra
    last = close or said or cycle.more_body or not cycle.keep_alive
    connection = getattr(cycle.on_response, "__self__", None) if last else None
    if last and not isinstance(connection, Connection):
        return False
    parts = [STATUS_LINE[reply.status]]
    for name, value in cycle.default_headers:
        parts += (name, b": ", value, b"\r\n")
    name, value = reply.content_type
    parts += (name, b": ", value, b"\r\ncontent-length: %d\r\nx-request-id: " % len(reply.body))
    parts += (request_id.encode("latin-1"), b"\r\n")
    for name, value in reply.extra:
        parts += (name, b": ", value, b"\r\n")
    if last and not said:
        parts.append(b"connection: close\r\n")
    parts += (b"\r\n", reply.body)
    cycle.waiting_for_100_continue = False
    cycle.response_started = True
    cycle.transport.write(b"".join(parts))
    # What uvicorn's own `send` does after the last byte, in its order.
    cycle.response_complete = True
    cycle.message_event.set()
    if isinstance(connection, Connection):
        connection.finish(cycle)
    else:
        cycle.on_response()
    return True
