"""Where we hook into uvicorn and BentoML: an upgrade that moves one of these places must say so here."""

from __future__ import annotations

import asyncio
import inspect
import signal
import subprocess
from collections.abc import MutableMapping
from typing import Any

import _bentoml_impl.worker.service as bentoml_worker
import bentoml
import click
import httptools
import pytest
import uvicorn
from bentoml._internal.context import server_context
from starlette.applications import Starlette
from uvicorn.config import HTTP_PROTOCOLS
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from leadscore_service import server_adapter
from leadscore_service.bulk_executor import BodyRoom, BusyError
from leadscore_service.http import Receive, Reply, Scope, Send
from leadscore_service.http_rules import Limits, limits
from leadscore_service.server_adapter import (
    Activity,
    Connection,
    activity,
    is_first_worker,
    send_whole,
    server_of,
)
from leadscore_service.service import LeadScoring
from leadscore_service.settings import Settings
from leadscore_service.supervisor import Supervisor, listen

MOVED = (
    "uvicorn or BentoML has changed: bentos/leadscore_service/server_adapter.py relies on {} and must be "
    "looked through again, or connections have no bounds and a stop loses requests."
)
WHOLE = Reply(200, b'{"score": 1}', extra=((b"retry-after", b"2"),))


@pytest.fixture(autouse=True)
def no_application(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections hand requests to their server's application, whatever a test before has started."""
    monkeypatch.setattr(Connection, "application", None)
    monkeypatch.setattr(Connection, "refused", None)


def test_uvicorn_makes_its_connections_of_our_class() -> None:
    config = uvicorn.Config("leadscore_service.app:Application", log_config=None)
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
    monkeypatch.setattr("leadscore_service.http_rules.KEEP_ALIVE_S", 0.2)

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
    monkeypatch.setattr("leadscore_service.http_rules.resource.getrlimit", lambda _: (1024, 1024))
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

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"socket": None}.get(name, default)


def exchange(request: bytes, made: type[HttpToolsProtocol] = Connection) -> tuple[list[bytes], list[bool]]:
    """What a connection writes for a request, and what `send_whole` said."""
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
        protocol = made(config, server.server_state, {}, asyncio.get_running_loop())
        transport = Recorder()
        protocol.connection_made(transport)
        protocol.data_received(request)
        while server.server_state.tasks:
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


def test_a_reply_that_ends_the_connection_says_so_in_the_same_write() -> None:
    writes, said = exchange(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    assert said == [True]
    assert len(writes) == 1
    assert b"\r\nconnection: close\r\n" in writes[0]


def test_head_is_left_to_the_server_which_knows_that_it_has_no_body() -> None:
    writes, said = exchange(b"HEAD / HTTP/1.1\r\nhost: x\r\n\r\n")
    assert said == [False]
    assert writes[0].startswith(b"HTTP/1.1 200 OK")


def test_a_connection_that_is_not_ours_gets_the_two_messages_of_asgi() -> None:
    assert exchange(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", HttpToolsProtocol)[1] == [False]

    async def send(message: MutableMapping[str, Any]) -> None:
        raise AssertionError(message)

    assert not send_whole(send, WHOLE, "request-1")


def test_bentoml_still_numbers_its_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    assert hasattr(server_context, "worker_index"), MOVED.format("server_context.worker_index")
    for number, first in ((None, True), (1, True), (2, False)):
        monkeypatch.setattr(server_context, "worker_index", number)
        assert is_first_worker() is first, MOVED.format("server_context.worker_index counting from 1")


def test_bentoml_s_worker_still_takes_what_the_supervisor_gives_it(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str]
) -> None:
    commands: list[tuple[str, ...]] = []
    monkeypatch.setattr(subprocess, "Popen", lambda command, **_: commands.append(command))
    listener = listen("127.0.0.1", 0)
    Supervisor(listener, 1, Settings.from_environment(environ))._start(1, first=True)
    listener.close()
    (command,) = commands
    try:
        context = bentoml_worker.main.make_context("worker", list(command[3:]))
    except click.ClickException as error:
        pytest.fail(MOVED.format(f"its worker's arguments: {error.format_message()}"))
    assert context.params["worker_id"] == 1, MOVED.format("--worker-id")


def test_bentoml_s_application_still_has_a_middleware_stack_that_is_made_late(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Connection, "application", None)
    application = LeadScoring.to_asgi()
    assert isinstance(application, Starlette), MOVED.format("Service.to_asgi() being Starlette's")
    assert hasattr(application, "middleware_stack"), MOVED.format("Starlette.middleware_stack")

    async def ours(scope: Scope, receive: Receive, send: Send) -> None:
        raise NotImplementedError

    application.middleware_stack = application.build_middleware_stack()
    server_adapter.answer_in_place_of({"app": application}, ours)
    assert application.middleware_stack is ours
    assert Connection.application is ours
    assert callable(bentoml.Service.add_asgi_middleware), MOVED.format("Service.add_asgi_middleware")


def test_uvicorn_s_server_still_shows_what_a_stop_in_steps_needs() -> None:
    server = uvicorn.Server(uvicorn.Config("leadscore_service.app:Application", log_config=None))
    server.config.load()
    before = signal.getsignal(signal.SIGTERM)
    with server.capture_signals():
        assert server_of(signal.getsignal(signal.SIGTERM)) is server, MOVED.format("Server.handle_exit")
    assert signal.getsignal(signal.SIGTERM) == before
    assert server_of(signal.SIG_DFL) is None
    assert activity(server) == Activity(0, 0, busy=False), MOVED.format("Server.server_state")
    assert (server.started, server.should_exit) == (False, False), MOVED.format("Server.started, should_exit")
    source = inspect.getsource(uvicorn.Server)
    for name in (
        "self.servers",
        "config.http_protocol_class(",
        "server_state=",
        "app_state=self.lifespan.state",
        "_loop=",
    ):
        assert name in source, MOVED.format(f"Server.startup: {name}")
