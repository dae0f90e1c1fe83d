"""Private parts of BentoML and uvicorn that this service uses.

BentoML starts the worker and makes an application; uvicorn runs it and parses HTTP. Neither has a public name
for what is needed here: the worker's number, the place of the middleware stack, connections with bounds
(uvicorn bounds neither headers nor their time, answers what it does not understand in plain text, loses the
body of a request for an upgrade, and reads on behind a last reply), a reply in one write, and a stop that
loses no request. The tests of this module say in a sentence what has moved.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, cast

import httptools
from uvicorn import Server
from uvicorn import config as uvicorn_config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from leadscore.errors import LeadScoreError
from leadscore_service import http_rules as rules
from leadscore_service.closing import Closing
from leadscore_service.errors import MethodNotAllowedError, error_reply
from leadscore_service.http import AsgiApp, Header, Receive, Reply, Scope, Send, reply_messages
from leadscore_service.ids import PredictionIds

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

_WATCHED: Final = frozenset((b"host", b"expect", b"transfer-encoding"))
_CLOSE: Final[Header] = (b"connection", b"close")


def run_worker() -> None:
    """Become one worker of BentoML's, by the arguments of the process (`supervisor`)."""
    from _bentoml_impl.worker.service import main  # noqa: PLC0415 - only the process that is a worker needs it

    main()


def is_first_worker() -> bool:
    """Whether this is the only worker of the service, or the first of several."""
    from bentoml._internal.context import server_context  # noqa: PLC0415 - nobody but BentoML's worker asks

    return server_context.worker_index in (None, 0, 1)


def install() -> None:
    """Let uvicorn make its connections of our class, unless it is told to use another protocol by name."""
    uvicorn_config.HTTP_PROTOCOLS["auto"] = f"{__name__}:{Connection.__name__}"


def answer_in_place_of(scope: Scope, application: AsgiApp) -> None:
    """Let `application` answer instead of the middleware stack that BentoML and Starlette built around it.

    Args:
        scope: Of the lifespan: names the outermost application.
        application: Gets every request from now on.
    """
    outer = scope.get("app")
    if getattr(outer, "middleware_stack", None) is not None:
        outer.middleware_stack = application  # type: ignore[union-attr]
        # Our connections need not even go through the outermost application.
        Connection.application = application


class Connection(HttpToolsProtocol):
    """One connection of a worker.

    Attributes:
        application: Answers in place of what uvicorn and BentoML put around it, which nothing here needs.
        refused: Told the status of each request that was refused before the application could see it.
    """

    application: ClassVar[AsgiApp | None] = None
    refused: ClassVar[Callable[[int], None] | None] = None
    _ids: ClassVar[PredictionIds] = PredictionIds()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, or refuse it when there are too many in use."""
        self._limits = rules.limits()
        if Connection.application is not None:
            self.app = cast("ASGI3Application", Connection.application)
        self._since = self.loop.time()
        self._in_head = False
        self._upgrade = False
        self._closing = Closing(transport, self.loop)
        self._large = self._claimed = False
        self._unclaimed = self._hosts = 0
        self._codings: tuple[bytes, ...] = ()
        self._problem: LeadScoreError | None = None
        self._answered: RequestResponseCycle | None = None
        self._head_timer: asyncio.TimerHandle | None = None
        self.timeout_keep_alive = max(self.timeout_keep_alive, rules.KEEP_ALIVE_S)
        super().connection_made(transport)
        # A proxy may open one in advance: until the first byte it counts as idle.
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self._look_whether_idle)
        if len(self.connections) > self._limits.connections:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._closing.done()
        self._unset_keepalive_if_required()
        self._unset_head_timer()
        super().connection_lost(exc)
        # uvicorn tells the latest request only; the one that is answered may be an earlier one.
        answered = self._answered
        if answered is not None and not answered.response_complete:
            answered.disconnected = True
            answered.message_event.set()

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """Go on with a complete request of a client that closed its own side; else close."""
        cycle = self._last
        if self._closing.begun or cycle is None or cycle.response_complete or cycle.more_body:
            return None
        cycle.keep_alive = False
        return True

    def _make_room(self) -> None:
        """Close the one that has done nothing for the longest time; refuse this one if all are in use."""
        idle = [
            (*rank, number, other)
            for number, other in enumerate(self.connections)
            if isinstance(other, Connection) and other is not self and (rank := other.idle()) is not None
        ]
        if not idle:
            self._refuse(rules.no_room())
            return
        oldest = min(idle)[-1]
        self.connections.discard(oldest)
        oldest.transport.abort()

    def idle(self) -> tuple[bool, float] | None:
        """Sorts connections without a request: those that never had one first, then by how long; or None."""
        cycle = self._last
        return (cycle is not None, self._since) if cycle is None or cycle.response_complete else None

    @property
    def _last(self) -> RequestResponseCycle | None:
        """The latest request whose head was complete; uvicorn's annotation forgets that there may be none."""
        return cast("RequestResponseCycle | None", self.cycle)

    # --- What comes ----------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Parse what came; refuse what cannot be understood or never ends."""
        if self._closing.begun:
            self._closing.discard(len(data))
            return
        self._claimed = False
        # The head's exact size is added up only if it can be too large.
        self._large = self._unclaimed + len(data) > rules.MAX_HEAD
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if not self._feed_without_upgrade(memoryview(data)[upgrade.args[0] :]):
                return
        except httptools.HttpParserError:
            self._refuse_unparsed()
            return
        if self._claimed:
            self._unclaimed = 0
        else:
            self._unclaimed += len(data)
            if self._unclaimed > rules.MAX_HEAD:
                self._refuse(rules.too_large())
                return
        if self._in_head and self._head_timer is None:
            self._head_timer = self.loop.call_later(self._limits.head_s, self._head_is_late)

    def _feed_without_upgrade(self, rest: memoryview) -> bool:
        """Parse the request again as if it had not asked for an upgrade: its body follows (RFC 9110, 7.8)."""
        while True:
            version = self.parser.get_http_version()
            head = rules.without_upgrade(self.parser.get_method(), self.url, version, self.headers)
            self._upgrade = False
            self.parser = httptools.HttpRequestParser(self)
            try:
                self.parser.feed_data(head)
                self.parser.feed_data(rest)
            except httptools.HttpParserUpgrade as upgrade:
                rest = rest[upgrade.args[0] :]
            except httptools.HttpParserError:
                self._refuse_unparsed()
                return False
            else:
                return True

    def _head_is_late(self) -> None:
        self._refuse(rules.too_late(self._limits.head_s))

    # --- What the parser finds -----------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A request line begins."""
        super().on_message_begin()
        self._in_head = True
        self._hosts = 0
        self._codings = ()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; a trailer is nobody's header (RFC 9110, 6.5.1)."""
        if not self._in_head:
            return
        name = name.lower()
        self.headers.append((name, value))
        if name not in _WATCHED:
            return
        if name == b"host":
            self._hosts += 1
            self._check(rules.host_problem(value))
        elif name == b"expect":
            self.expect_100_continue = value.lower() == b"100-continue"
        else:
            self._codings += (value.strip().lower(),)

    def on_headers_complete(self) -> None:
        """Refuse what RFC 9112 forbids; hand the rest to the application."""
        self._claimed = True
        if self._head_timer is not None:
            self._unset_head_timer()
        if self._large and rules.head_bytes(self.url, self.headers) > rules.MAX_HEAD:
            self._check(rules.too_large())
        version = self.parser.get_http_version()
        if version != "1.1" or self._hosts != 1 or self._codings:
            self._check(rules.head_problem(version, self._hosts, self._codings))
        if self.parser.should_upgrade():
            method = self.parser.get_method().decode("ascii")
            if method == "CONNECT":
                self._check(MethodNotAllowedError(method, "This service", "GET, HEAD, POST"))
            self._upgrade = True
            return
        super().on_headers_complete()
        self._in_head = False

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._claimed = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is there as a whole; one that asks for an upgrade is parsed again."""
        if not self._upgrade:
            super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answered = cycle
        super()._start_asgi_task(cycle, app)

    def _should_upgrade(self) -> bool:
        return False

    def _check(self, problem: LeadScoreError | None) -> None:
        """End the parsing if there is a problem; it is answered where the parser was fed."""
        if problem is not None:
            self._problem = problem
            raise problem

    # --- How it ends ---------------------------------------------------------------------------------

    def on_response_complete(self) -> None:
        """Go on with the next request, unless there cannot be one."""
        self.server_state.total_requests += 1
        cycle = self._answered
        if cycle is not None and cycle.response_complete and (cycle.more_body or not cycle.keep_alive):
            self._end(unread=cycle.more_body)
            return
        self._since = self.loop.time()
        self.flow.resume_reading()
        if self.pipeline and not self.transport.is_closing():
            self._start_asgi_task(*self.pipeline.pop())

    def _look_whether_idle(self) -> None:
        """Close a connection unused for so long; one timer for its life costs less than one per request."""
        cycle = self._last
        if cycle is not None and not cycle.response_complete:
            self._since = self.loop.time()
        left = self._since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self.timeout_keep_alive_task = self.loop.call_later(left, self._look_whether_idle)
        else:
            self._end(unread=False)

    def pause_writing(self) -> None:
        """The other side takes less than we write: give it up when it takes nothing."""
        super().pause_writing()
        self._closing.watch_writing()

    def resume_writing(self) -> None:
        """The other side takes what we write."""
        self._closing.is_taken()
        super().resume_writing()

    def _refuse_unparsed(self) -> None:
        problem, self._problem = self._problem, None
        self._refuse(problem or rules.not_http())

    def _refuse(self, error: LeadScoreError) -> None:
        """Answer in the one shape of errors and close; after the replies that are due before this one."""
        if self._closing.begun or self.transport.is_closing():
            return
        self._closing.begun = True
        if Connection.refused is not None:
            Connection.refused(error.status)
        cycle = self._last
        if cycle is None or cycle.response_complete:
            self.transport.write(self._refusal(error))
            self._end(unread=True)
        elif self._in_head:
            self._refuse_in_turn(error)
        elif self.pipeline and self.pipeline[0][0] is cycle:
            # An incomplete request behind others.
            self.pipeline.popleft()
            self._refuse_in_turn(error)
        else:
            if not cycle.response_started:
                self.transport.write(self._refusal(error))
            # Its application is told of a disconnect, and sends no "100 Continue".
            cycle.disconnected = True
            cycle.waiting_for_100_continue = False
            cycle.message_event.set()
            self._end(unread=True)

    def _refuse_in_turn(self, error: LeadScoreError) -> None:
        """Queue the refusal behind the requests that came before it."""

        async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
            del scope, receive
            for message in reply_messages(error_reply(error, request_id), request_id, close=True):
                await send(message)

        request_id = self._ids.next(time.time_ns())
        self.cycle = RequestResponseCycle(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=False,
            on_response=self.on_response_complete,
        )
        self.scope["method"] = "GET"
        self.flow.pause_reading()
        self.pipeline.appendleft((self.cycle, cast("ASGI3Application", refuse)))

    def _refusal(self, error: LeadScoreError) -> bytes:
        request_id = self._ids.next(time.time_ns())
        return _reply_bytes(
            error_reply(error, request_id), request_id, self.server_state.default_headers, last=True
        )

    def _end(self, *, unread: bool) -> None:
        self.pipeline.clear()
        self._unset_keepalive_if_required()
        self._unset_head_timer()
        self._closing.begin(self.flow.resume_reading if unread else None)

    def _unset_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


# --- A reply in one write ----------------------------------------------------------------------------


def send_whole(send: Send, reply: Reply, request_id: str, *, close: bool = False) -> bool:
    """Send head and body in one write if this connection can; False: use the two messages of ASGI.

    uvicorn makes two system calls of the two messages, and for a reply of a few hundred bytes the second one
    costs more than the score (docs/decisions/0009). The connection ends afterwards if `close` or the reply
    says so, if the caller asked for it, or if a part of the request, which may never end, has not arrived.
    """
    cycle = cast("RequestResponseCycle | None", getattr(send, "__self__", None))
    if (
        type(cycle) is not RequestResponseCycle
        or type(getattr(cycle.on_response, "__self__", None)) is not Connection
        or cycle.response_started
        or cycle.disconnected
        or cycle.flow.write_paused
        or cycle.scope["method"] == "HEAD"
    ):
        return False
    if cycle.transport.is_closing():
        # The client is gone; the protocol is told next.
        cycle.disconnected = True
        return False
    if close or cycle.more_body or _CLOSE in reply.extra:
        cycle.keep_alive = False
    cycle.waiting_for_100_continue = False
    cycle.response_started = True
    cycle.transport.write(_reply_bytes(reply, request_id, cycle.default_headers, last=not cycle.keep_alive))
    # What uvicorn's own `send` does after the last byte, in its order.
    cycle.response_complete = True
    cycle.message_event.set()
    cycle.on_response()
    return True


def _reply_bytes(reply: Reply, request_id: str, default_headers: list[Header], *, last: bool) -> bytes:
    parts = [STATUS_LINE[reply.status]]
    for name, value in default_headers:
        parts += (name, b": ", value, b"\r\n")
    name, value = reply.content_type
    parts += (name, b": ", value, b"\r\ncontent-length: %d\r\nx-request-id: " % len(reply.body))
    parts += (request_id.encode("latin-1"), b"\r\n")
    for name, value in reply.extra:
        parts += (name, b": ", value, b"\r\n")
    if last and _CLOSE not in reply.extra:
        parts.append(b"connection: close\r\n")
    parts += (b"\r\n", reply.body)
    return b"".join(parts)


# --- A stop that loses no request --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Activity:
    """What a server does: its connections, requests answered, and whether one is being answered or read."""

    connections: int
    answered: int
    busy: bool


def server_of(handler: object) -> Server | None:
    """The uvicorn server whose method a signal's handler is; None: another server runs us."""
    server = getattr(handler, "__self__", None)
    return server if isinstance(server, Server) else None


def activity(server: Server) -> Activity:
    """What the server does now; an unread request, or a part of one, in a buffer counts as being read."""
    state = server.server_state
    poll = select.poll()
    for transport in [connection.transport for connection in state.connections]:
        number = transport.get_extra_info("socket").fileno() if not transport.is_closing() else -1
        if number >= 0:
            poll.register(number, select.POLLIN)
    return Activity(len(state.connections), state.total_requests, bool(state.tasks or poll.poll(0)))


async def close_listeners(server: Server, pause_s: float) -> None:
    """Close them, and serve the connections that were complete before: the kernel would reset them.

    Args:
        server: Runs on this event loop.
        pause_s: Until the loop has closed its own descriptors.
    """
    loop = asyncio.get_running_loop()
    made = cast("Callable[..., asyncio.Protocol]", server.config.http_protocol_class)
    queues = [
        socket.socket(fileno=os.dup(each.fileno()))
        for listening in server.servers
        for each in listening.sockets
    ]
    for listening in server.servers:
        listening.close()
    # The event loop closes its own descriptors in a later round: ours must be the last.
    await asyncio.sleep(pause_s)
    for queue in queues:
        queue.setblocking(False)
        taken = list(iter(lambda queue=queue: _accept(queue), None))
        queue.close()
        for waiting in taken:
            # What uvicorn makes of a new connection, in its own way (`Server.startup`).
            protocol = made(
                config=server.config,
                server_state=server.server_state,
                app_state=server.lifespan.state,
                _loop=loop,
            )
            await loop.connect_accepted_socket(lambda protocol=protocol: protocol, waiting)
    server.servers.clear()


def _accept(queue: socket.socket) -> socket.socket | None:
    try:
        return queue.accept()[0]
    # No connection is left in the queue, or the client has gone.
    except (BlockingIOError, ConnectionAbortedError):
        return None


if __name__ == "__main__":
    run_worker()
