"""One connection: uvicorn's HTTP protocol, bounded in bytes, time and number, and strict where RFC 9112 is.

uvicorn and its parser bound neither headers nor the time that they take, answer what they do not understand in plain text,
lose the body of a request that asks for an upgrade, and read on what follows a last reply. `install` puts this class in
uvicorn's place in every worker, whoever starts it.
"""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Final, NoReturn, cast

import httptools
from uvicorn import config as uvicorn_config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from lead_scoring.errors import (
    HeadersTimeoutError,
    HeadersTooLargeError,
    HttpVersionError,
    MethodNotAllowedError,
    RequestMalformedError,
    TooManyConnectionsError,
    TransferCodingError,
    error_reply,
)
from lead_scoring.http import AsgiApp, Header, Receive, Scope, Send, reply_messages
from lead_scoring.ids import PredictionIds
from lead_scoring.settings import Settings
from leadscore.errors import LeadScoreError

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

MAX_HEAD: Final = 64 * 1024
# Longer than proxies keep an idle connection (Traefik 90 s, nginx and load balancers 60-75 s): whoever closes first
# must not be us, or a request may be on its way (bentoml/BentoML#4682).
KEEP_ALIVE_S: Final = 120
# After a reply that the rest of the request does not change: so long, and so much, is read and thrown away, because a
# connection closed at once would take the reply with it (RFC 9112, 9.6).
_LINGER_S: Final = 2.0
_LINGER_BYTES: Final = 1 << 20
# A reply of which nothing is taken for so long is given up.
_STALLED_S: Final = 30.0
# Files that are no connections: spool, counters, log, libraries.
_OTHER_FILES: Final = 128
_OF_HOST: Final = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._~!$&'()*+,;=:[]%-"
_WATCHED: Final = frozenset((b"host", b"expect", b"transfer-encoding"))
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


def install() -> None:
    """Let uvicorn make its connections of this class, unless it is told to use another protocol by name."""
    uvicorn_config.HTTP_PROTOCOLS["auto"] = f"{__name__}:{Connection.__name__}"


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
        self._limits = limits()
        if Connection.application is not None:
            self.app = cast("ASGI3Application", Connection.application)
        self._since = self.loop.time()
        self._in_head = False
        self._upgrade = False
        self._ending = False
        self._large = self._claimed = False
        self._unclaimed = self._discarded = self._hosts = 0
        self._codings: tuple[bytes, ...] = ()
        self._problem: LeadScoreError | None = None
        self._answered: RequestResponseCycle | None = None
        self._head_timer: asyncio.TimerHandle | None = None
        self._end_timer: asyncio.TimerHandle | None = None
        self.timeout_keep_alive = max(self.timeout_keep_alive, KEEP_ALIVE_S)
        super().connection_made(transport)
        # A proxy may open one in advance: until the first byte it is as good as a kept one.
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self._look_whether_idle)
        if len(self.connections) > self._limits.connections:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._ending = True
        self._unset_keepalive_if_required()
        self._unset_head_timer()
        if self._end_timer is not None:
            self._end_timer.cancel()
        super().connection_lost(exc)
        # uvicorn tells the latest request only; the one that is answered may be an earlier one.
        answered = self._answered
        if answered is not None and not answered.response_complete:
            answered.disconnected = True
            answered.message_event.set()

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """Answer a request that is complete to a client that has closed its own side; else there is nobody to answer."""
        cycle = self._last
        if self._ending or cycle is None or cycle.response_complete or cycle.more_body:
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
            self._refuse(
                TooManyConnectionsError(
                    "Every connection is in use.", hint="Repeat the request after `Retry-After` seconds."
                )
            )
            return
        oldest = min(idle)[-1]
        self.connections.discard(oldest)
        oldest.transport.abort()

    def idle(self) -> tuple[bool, float] | None:
        """Sorts connections without a request in hand: first those that never had one, then by how long; else None."""
        cycle = self._last
        if cycle is None:
            return False, self._since
        return (True, self._since) if cycle.response_complete else None

    @property
    def _last(self) -> RequestResponseCycle | None:
        """The latest request whose head was complete; uvicorn's annotation forgets that there may be none."""
        return cast("RequestResponseCycle | None", self.cycle)

    # --- What comes ----------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Parse what came; refuse what cannot be understood or never ends."""
        if self._ending:
            self._discard(len(data))
            return
        self._claimed = False
        # The head's exact size is added up only if it can be too large.
        self._large = self._unclaimed + len(data) > MAX_HEAD
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
            if self._unclaimed > MAX_HEAD:
                self._refuse(_too_large())
                return
        if self._in_head and self._head_timer is None:
            self._head_timer = self.loop.call_later(self._limits.head_s, self._head_is_late)

    def _feed_without_upgrade(self, rest: memoryview) -> bool:
        """Parse the request again as if it had not asked for an upgrade: its body follows (RFC 9110, 7.8)."""
        while True:
            lines = [
                b"%b %b HTTP/%b"
                % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
            ]
            lines += [name + b": " + value for name, value in _plain(self.headers)]
            self._upgrade = False
            self.parser = httptools.HttpRequestParser(self)
            try:
                self.parser.feed_data(b"\r\n".join((*lines, b"\r\n")))
                self.parser.feed_data(rest)
            except httptools.HttpParserUpgrade as upgrade:
                rest = rest[upgrade.args[0] :]
            except httptools.HttpParserError:
                self._refuse_unparsed()
                return False
            else:
                return True

    def _head_is_late(self) -> None:
        self._refuse(
            HeadersTimeoutError(
                f"The headers were not complete after {self._limits.head_s:g} s.", hint="Send them at once."
            )
        )

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded > _LINGER_BYTES:
            self.transport.abort()

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
            if value.translate(None, _OF_HOST):
                self._fail(RequestMalformedError("The Host header names no host.", hint="Send HOST:PORT."))
        elif name == b"expect":
            self.expect_100_continue = value.lower() == b"100-continue"
        else:
            self._codings += (value.strip().lower(),)

    def on_headers_complete(self) -> None:
        """Refuse what RFC 9112 forbids; hand the rest to the application."""
        self._claimed = True
        if self._head_timer is not None:
            self._unset_head_timer()
        if self._large and _size_of(self.url, self.headers) > MAX_HEAD:
            self._fail(_too_large())
        version = self.parser.get_http_version()
        if version != "1.1":
            self._check_old(version)
        elif self._hosts != 1:
            self._fail(
                RequestMalformedError(
                    "The request does not have one Host header.", hint="Send one (RFC 9112, 3.2)."
                )
            )
        if self._codings and self._codings != (b"chunked",):
            self._fail(
                TransferCodingError(
                    "The body has a transfer coding other than chunked.", hint="Send it chunked."
                )
            )
        if self.parser.should_upgrade():
            method = self.parser.get_method().decode("ascii")
            if method == "CONNECT":
                self._fail(MethodNotAllowedError(method, "This service", "GET, HEAD, POST"))
            self._upgrade = True
            return
        super().on_headers_complete()
        self._in_head = False

    def _check_old(self, version: str) -> None:
        if version != "1.0":
            self._fail(HttpVersionError("The request is not HTTP/1.1.", hint="Send HTTP/1.1."))
        if self._hosts > 1 or self._codings:
            self._fail(
                RequestMalformedError(
                    "A request of HTTP/1.0 has two Host headers or a transfer coding.", hint="Send HTTP/1.1."
                )
            )

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._claimed = True
        cycle = self.cycle
        if cycle.response_complete:
            return
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        """The request is there as a whole; one that asks for an upgrade is parsed again."""
        if self._upgrade or self.cycle.response_complete:
            return
        self.cycle.more_body = False
        self.cycle.message_event.set()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answered = cycle
        super()._start_asgi_task(cycle, app)

    def _should_upgrade(self) -> bool:
        return False

    def _fail(self, error: LeadScoreError) -> NoReturn:
        self._problem = error
        raise error

    # --- How it ends ---------------------------------------------------------------------------------

    def finish(self, cycle: RequestResponseCycle) -> None:
        """End the connection after this reply, which is written: what else was sent on it is not answered."""
        self.server_state.total_requests += 1
        self._end(unread=cycle.more_body)

    def on_response_complete(self) -> None:
        """Go on with the next request, unless there cannot be one."""
        self.server_state.total_requests += 1
        cycle = self.cycle
        if cycle.response_complete and (cycle.more_body or not cycle.keep_alive):
            self._end(unread=cycle.more_body)
            return
        self._since = self.loop.time()
        self.flow.resume_reading()
        if self.pipeline and not self.transport.is_closing():
            self._start_asgi_task(*self.pipeline.pop())

    def _look_whether_idle(self) -> None:
        """Close a connection that nobody used for so long; one timer for its life costs less than one per request."""
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
        self._watch_writing()

    def resume_writing(self) -> None:
        """The other side takes what we write."""
        if not self._ending and self._end_timer is not None:
            self._end_timer.cancel()
            self._end_timer = None
        super().resume_writing()

    def _refuse_unparsed(self) -> None:
        problem, self._problem = self._problem, None
        self._refuse(
            problem
            or RequestMalformedError(
                "The request is no HTTP/1.1.", hint="Send it with an HTTP library (RFC 9112)."
            )
        )

    def _refuse(self, error: LeadScoreError) -> None:
        """Answer in the one shape of errors and close; after the replies that are due before this one."""
        if self._ending or self.transport.is_closing():
            return
        self._ending = True
        if Connection.refused is not None:
            Connection.refused(error.status)
        cycle = self._last
        if cycle is None or cycle.response_complete:
            self.transport.write(self._refusal(error))
            self._end(unread=True)
        elif self._in_head:
            self._refuse_in_turn(error)
        elif self.pipeline and self.pipeline[0][0] is cycle:
            # It will never be complete, and its turn has not come.
            self.pipeline.popleft()
            self._refuse_in_turn(error)
        else:
            if not cycle.response_started:
                self.transport.write(self._refusal(error))
            # Its application, which may not have begun, is told that nobody is there: no "100 Continue" either.
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
        reply = error_reply(error, request_id)
        start, body = reply_messages(reply, request_id, close=True)
        headers = (*self.server_state.default_headers, *start["headers"])
        lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        return STATUS_LINE[reply.status] + lines + b"\r\n" + body["body"]

    def _end(self, *, unread: bool) -> None:
        """Close, once what is written has gone; with part of a request unread, let the reply arrive first."""
        self._ending = True
        self.pipeline.clear()
        self._unset_keepalive_if_required()
        self._unset_head_timer()
        if unread and not self.transport.is_closing() and self.transport.can_write_eof():
            self.flow.resume_reading()
            self.transport.write_eof()
            self._end_timer = self.loop.call_later(_LINGER_S, self._close)
        else:
            self._close()

    def _close(self) -> None:
        self.transport.close()
        self._watch_writing()

    def _watch_writing(self, before: int | None = None) -> None:
        """Give the other side up when it took nothing of what is written since the last look."""
        left = self.transport.get_write_buffer_size()
        if not left:
            return
        if before is not None and left >= before:
            self.transport.abort()
            return
        self._end_timer = self.loop.call_later(_STALLED_S, self._watch_writing, left)

    def _unset_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def _too_large() -> HeadersTooLargeError:
    return HeadersTooLargeError(
        f"The request line and the headers are larger than {MAX_HEAD} bytes.",
        hint="Send fewer, or shorter ones.",
    )


def _size_of(url: bytes, headers: list[Header]) -> int:
    return len(url) + sum(len(name) + len(value) + 4 for name, value in headers)


def _plain(headers: list[Header]) -> Iterator[Header]:
    """The headers without what asks for an upgrade."""
    for name, value in headers:
        if name == b"connection":
            kept = [t for t in (token.strip() for token in value.split(b",")) if t.lower() not in _OF_UPGRADE]
            if kept:
                yield name, b", ".join(kept)
        elif name not in _OF_UPGRADE:
            yield name, value
