"""Where our connection hooks into uvicorn: an upgrade that moves one of these places must say so here."""

from __future__ import annotations

import asyncio
import inspect

import httptools
import pytest
import uvicorn
from uvicorn.config import HTTP_PROTOCOLS
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

import lead_scoring.service  # noqa: F401 - it installs the connection
from lead_scoring.connection import Connection, Limits, limits
from lead_scoring.heavy import BodyRoom, BusyError
from lead_scoring.http import Receive, Scope, Send

MOVED = (
    "uvicorn has changed: bentos/lead_scoring/connection.py overrides parts of its HttpToolsProtocol and must be looked "
    "through again ({}), or connections have no bounds."
)


@pytest.fixture(autouse=True)
def no_application(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections hand requests to the application of their server, whatever a test before this one has started."""
    monkeypatch.setattr(Connection, "application", None)
    monkeypatch.setattr(Connection, "refused", None)


def test_uvicorn_makes_its_connections_of_our_class() -> None:
    config = uvicorn.Config("lead_scoring.app:Application", log_config=None)
    config.load()
    assert config.http_protocol_class is Connection, MOVED.format("uvicorn.config.HTTP_PROTOCOLS['auto']")
    assert HTTP_PROTOCOLS["httptools"].endswith(":HttpToolsProtocol")


@pytest.mark.parametrize(
    "name",
    [
        *("connection_made", "connection_lost", "data_received", "on_message_begin", "on_header"),
        *("on_headers_complete", "on_body", "on_message_complete", "on_response_complete", "pause_writing"),
        *("resume_writing", "_start_asgi_task", "_should_upgrade", "_unset_keepalive_if_required"),
    ],
)
def test_what_we_override_and_call_is_still_uvicorns(name: str) -> None:
    assert callable(getattr(HttpToolsProtocol, name, None)), MOVED.format(name)


def test_what_we_read_and_write_is_still_there() -> None:
    protocol, cycle = inspect.getsource(HttpToolsProtocol), inspect.getsource(RequestResponseCycle)
    for name in (
        "cycle",
        "pipeline",
        "flow",
        "parser",
        "timeout_keep_alive_task",
        "expect_100_continue",
        "connections",
    ):
        assert f"self.{name}" in protocol, MOVED.format(name)
    for name in (
        "more_body",
        "response_complete",
        "response_started",
        "disconnected",
        "message_event",
        "body",
    ):
        assert f"self.{name}" in cycle, MOVED.format(name)
    assert list(inspect.signature(RequestResponseCycle).parameters) == [
        *("scope", "transport", "flow", "logger", "access_logger", "access_log", "default_headers"),
        *("message_event", "expect_100_continue", "keep_alive", "on_response"),
    ], MOVED.format("RequestResponseCycle")


def test_the_parser_says_where_an_upgrade_begins() -> None:
    class Sink:
        def on_header(self, name: bytes, value: bytes) -> None: ...

    head = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\n"
    with pytest.raises(httptools.HttpParserUpgrade) as caught:
        httptools.HttpRequestParser(Sink()).feed_data(head + b"{}")
    assert caught.value.args == (len(head),), MOVED.format("httptools.HttpParserUpgrade")


def test_an_idle_connection_is_kept_for_its_time_and_then_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lead_scoring.connection.KEEP_ALIVE_S", 0.2)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async def talk() -> None:
        config = uvicorn.Config(app, log_config=None, timeout_keep_alive=0)
        config.load()
        state = uvicorn.Server(config).server_state
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Connection(config, state, {}, loop), "127.0.0.1", 0)
        (place,) = server.sockets
        (unused, early), (reader, writer) = [
            await asyncio.open_connection(*place.getsockname()) for _ in range(2)
        ]
        opened = loop.time()
        for _ in range(3):
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK")
        async with asyncio.timeout(20):
            assert await unused.read() == b""
            assert await reader.read() == b""
        assert loop.time() - opened >= 0.2
        for one in (writer, early):
            one.close()
        server.close()

    asyncio.run(talk())


def test_each_request_of_a_caller_who_left_is_told_so_and_not_the_latest_alone() -> None:
    begun, told = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, send
        begun.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        told.set()

    async def talk() -> None:
        config = uvicorn.Config(app, log_config=None)
        config.load()
        state = uvicorn.Server(config).server_state
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Connection(config, state, {}, loop), "127.0.0.1", 0)
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
        async with asyncio.timeout(20):
            await begun.wait()
            # Nothing is read while a request waits its turn: that the caller left is seen by what writes.
            for connection in list(state.connections):
                connection.transport.abort()
            await told.wait()
        writer.close()
        server.close()

    asyncio.run(talk())


def test_connections_are_bounded_by_the_setting_and_by_the_files_of_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lead_scoring.connection.resource.getrlimit", lambda _: (1024, 1024))
    for setting, bound in (("500", 500), ("5000", 1024 - 128)):
        limits.cache_clear()
        monkeypatch.setenv("LEADSCORE_MAX_CONNECTIONS", setting)
        assert limits() == Limits(bound, 15.0)
    limits.cache_clear()


def test_large_bodies_share_a_room_and_small_ones_need_none() -> None:
    room = BodyRoom(200_000)
    assert room.take(60_000, 60_000) == 0
    first = room.take(100_000, 50_000)
    assert first == 100_000
    assert room.take(150_000, 50_000) == 50_000
    with pytest.raises(BusyError):
        room.take(70_000, 70_000)
    assert room.take(1_000, 1_000) == 0
    room.give(first)
    assert room.take(70_000, 70_000) == 70_000
