"""Replies leave in one write on the server in the lock, and as two ASGI messages everywhere else."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from lead_scoring.http import Reply
from lead_scoring.onewrite import send_whole

WHOLE = Reply(200, b'{"score": 1}', extra=((b"retry-after", b"2"),))


class Recorder(asyncio.Transport):
    """A transport that keeps what each write was given."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"socket": None}.get(name, default)


def exchange(request: bytes) -> tuple[list[bytes], list[bool]]:
    """What uvicorn's own protocol writes for a request, and what `send_whole` said."""
    said: list[bool] = []

    async def app(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        del scope, receive
        said.append(send_whole(send, WHOLE, "request-1"))
        if not said[-1]:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})

    async def run() -> list[bytes]:
        config = uvicorn.Config(app, log_config=None)
        config.load()
        server = uvicorn.Server(config)
        protocol = HttpToolsProtocol(config, server.server_state, {}, asyncio.get_running_loop())
        transport = Recorder()
        protocol.connection_made(transport)
        protocol.data_received(request)
        await asyncio.gather(*server.server_state.tasks)
        return transport.writes

    return asyncio.run(run()), said


def test_a_reply_is_one_write_with_head_and_body() -> None:
    writes, said = exchange(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    assert said == [True]
    assert len(writes) == 1
    head, _, body = writes[0].partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 200 OK"
    assert body == WHOLE.body
    assert {b"content-length: 12", b"x-request-id: request-1", b"retry-after: 2"} <= set(lines)


def test_two_requests_on_one_connection_get_two_replies() -> None:
    writes, said = exchange(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n" * 2)
    assert said == [True, True]
    assert [write.count(b"HTTP/1.1 200 OK") for write in writes] == [1, 1]


@pytest.mark.parametrize(
    "request_head",
    [b"HEAD / HTTP/1.1\r\nhost: x\r\n\r\n", b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"],
)
def test_what_needs_the_servers_care_goes_through_the_server(request_head: bytes) -> None:
    writes, said = exchange(request_head)
    assert said == [False]
    assert writes[0].startswith(b"HTTP/1.1 200 OK")


def test_another_server_gets_the_two_messages_of_asgi() -> None:
    async def send(message: MutableMapping[str, Any]) -> None:
        raise AssertionError(message)

    assert not send_whole(send, WHOLE, "request-1")
