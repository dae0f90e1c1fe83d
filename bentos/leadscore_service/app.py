"""The ASGI application: every path of the service, in front of BentoML's own.

BentoML constructs it as a middleware (`add_asgi_middleware`). Once the server has started it takes
the place of the whole middleware stack: what BentoML and Starlette put around each request (tracing,
a timer that is never cancelled, a task, error pages) costs more than a score (docs/decisions), and
nothing of it is used here. No request falls through to BentoML's endpoints, which include its
schema, its docs and whatever a later release adds.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from leadscore.errors import (
    BodyTooLargeError,
    LeadScoreError,
    NotFoundError,
    UnauthorizedError,
    UnsupportedMediaTypeError,
)
from leadscore.identity.caller import ANONYMOUS, Caller
from leadscore_service.auth import ExpiredKeyError, MissingKeyError
from leadscore_service.drain import drain_on_sigterm
from leadscore_service.errors import (
    BodyTimeoutError,
    ClientGoneError,
    InternalError,
    MethodNotAllowedError,
    MissingScopeError,
    error_reply,
)
from leadscore_service.http import (
    FORWARDED_FOR,
    REQUEST_ID,
    AsgiApp,
    Message,
    Receive,
    Reply,
    Request,
    Scope,
    Send,
    reply_messages,
)
from leadscore_service.ids import PredictionIds
from leadscore_service.logs import RequestLog
from leadscore_service.metrics_layout import Single
from leadscore_service.routes import OTHER, POST, ROUTES, Route
from leadscore_service.server_adapter import Connection, answer_in_place_of, send_whole
from leadscore_service.settings import Settings
from leadscore_service.worker import Worker

if TYPE_CHECKING:
    from opentelemetry.trace import Span

_log = logging.getLogger(__name__)

_REQUEST_ID: Final = re.compile(rb"[!-~]{1,128}")
# Refused before or while the body was read: the rest of it may never end.
_UNREAD: Final = (
    BodyTooLargeError,
    BodyTimeoutError,
    UnauthorizedError,
    MissingScopeError,
    UnsupportedMediaTypeError,
)
# Which counter a refused caller adds to; any other refusal is of an unknown key.
_REFUSED: Final[dict[type[LeadScoreError], Single]] = {
    MissingScopeError: "auth_scope",
    MissingKeyError: "auth_missing",
    ExpiredKeyError: "auth_expired",
}


class Application:
    """Answers everything itself; passes only the server's start and stop on to `inner`.

    Attributes:
        worker: None until the server has started.

    Args:
        inner: The application that BentoML made.
        first: This is the worker that watches the shipper.
        settings: Read when the server starts.
    """

    def __init__(
        self,
        inner: AsgiApp,
        *,
        first: bool = True,
        settings: Callable[[], Settings] = Settings.from_environment,
    ) -> None:
        self._inner = inner
        self._first = first
        self._settings = settings
        self._ids = PredictionIds()
        self.worker: Worker | None = None
        self._request_log = RequestLog(sample=0.0, slow_ms=1e9)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI entry point."""
        if scope["type"] != "http":
            await self._not_http(scope, receive, send)
            return
        started = time.perf_counter_ns()
        request = Request(scope, receive)
        request.request_id = self._request_id(request)
        worker = self.worker
        if worker is None:
            # The server skipped the lifespan protocol: nothing is loaded.
            reply = error_reply(_not_started(), request.request_id)
            for message in reply_messages(reply, request.request_id, close=True):
                await send(message)
            return
        route = ROUTES.get(request.path)
        span = self._span(worker, request, route)
        try:
            reply = await _admit(worker, request, route).answer(worker, request)
        except LeadScoreError as error:
            reply = self._refuse(worker, request, error)
        except Exception as error:  # noqa: BLE001 - the process boundary: a defect must not end the connection unsaid
            reply = self._defect(request, error)
        draining = worker.lifecycle.phase == "draining"
        if reply.status != 499 and not send_whole(send, reply, request.request_id, close=draining):
            for message in reply_messages(reply, request.request_id, close=draining):
                await send(message)
        elapsed = time.perf_counter_ns() - started
        self._note(worker, request, reply, OTHER if route is None else route.endpoint, elapsed)
        if span is not None and worker.engine is not None and worker.engine.telemetry is not None:
            worker.engine.telemetry.end(span, request, reply)

    def _request_id(self, request: Request) -> str:
        """Return the caller's request id if it is valid, otherwise a fresh one."""
        given = request.headers[REQUEST_ID]
        if given is not None and _REQUEST_ID.fullmatch(given):
            return given.decode("ascii")
        return self._ids.next(request.now_ns)

    def _note(self, worker: Worker, request: Request, reply: Reply, endpoint: int, elapsed: int) -> None:
        if worker.engine is not None:
            worker.engine.counters.request(endpoint, reply.status, elapsed)
        self._request_log.answered(request, reply, elapsed)

    def _count_refusal(self, status: int) -> None:
        """Count a request that ended before it was complete, like those of unknown paths."""
        if self.worker is not None and self.worker.engine is not None:
            self.worker.engine.counters.request(OTHER, status, 0)

    @staticmethod
    def _defect(request: Request, error: Exception) -> Reply:
        _log.error(
            "internal error",
            exc_info=error,
            extra={"fields": {"request_id": request.request_id, "path": request.path[:200]}},
        )
        hint = "Repeat the request; if it fails again, report the request id."
        what = f"Internal error ({type(error).__name__})."
        return error_reply(InternalError(what, hint=hint), request.request_id)

    @staticmethod
    def _refuse(worker: Worker, request: Request, error: LeadScoreError) -> Reply:
        if isinstance(error, UnauthorizedError | MissingScopeError):
            if worker.engine is not None:
                worker.engine.counters.add(_REFUSED.get(type(error), "auth_unknown"))
            worker.refusals.refused(request, error)
        if isinstance(error, ClientGoneError):
            return Reply(error.status, b"")
        return error_reply(error, request.request_id, close=isinstance(error, _UNREAD))

    @staticmethod
    def _span(worker: Worker, request: Request, route: Route | None) -> Span | None:
        engine = worker.engine
        if engine is None or engine.telemetry is None or route is None or route.methods is not POST:
            return None
        return engine.telemetry.start(request)

    async def _not_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1003})

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Start before the inner application starts, stop before it stops."""

        async def receive_and_act() -> Message:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self._start()
            elif message["type"] == "lifespan.shutdown" and self.worker is not None:
                await self.worker.stop()
            return message

        async def send_and_act(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                answer_in_place_of(scope, self)
            await send(message)

        await self._inner(scope, receive_and_act, send_and_act)

    async def _start(self) -> None:
        settings = self._settings()
        self.worker = Worker(settings, first=self._first)
        Connection.refused = self._count_refusal
        self._request_log = RequestLog(sample=settings.log_sample, slow_ms=settings.slow_ms)
        drain_on_sigterm(self.worker.lifecycle, settings)
        if self.worker.lifecycle.phase != "draining":
            await self.worker.start()
        if self.worker.lifecycle.phase == "draining":
            # Told to stop before it took a connection: its listener is closed, and the server must not open
            # it.
            await self.worker.stop()
            os._exit(0)


def _admit(worker: Worker, request: Request, route: Route | None) -> Route:
    """The route, for a request that may take it; `request.caller` and `request.address` are known afterwards.

    Raises:
        NotFoundError: There is none.
        MethodNotAllowedError: Not by this method.
        NotReadyError: It needs a model, and none is loaded.
        UnauthorizedError: No key, an unknown or an expired one.
        MissingScopeError: The key may not do this.
        UnavailableError: It is a token, and the issuer's keys are not there.
    """
    if route is None:
        raise NotFoundError("There is nothing at this path.", hint="GET / lists what there is.")
    if request.method not in route.methods:
        raise MethodNotAllowedError(request.method, request.path, ", ".join(route.methods))
    scope = route.scope
    if scope is not None:
        worker.loaded()
        request.address = worker.settings.trusted_proxies.client(request.peer, request.headers[FORWARDED_FOR])
        if worker.keys is None:
            request.caller = Caller(ANONYMOUS, "", request.address)
        elif scope != "metrics" or worker.settings.protect_metrics:
            request.caller = worker.keys.caller(request, scope, request.now_ns)
    return route


def _not_started() -> NotFoundError:
    return NotFoundError(
        "The service was started without ASGI lifespan.", hint="Start it with `leadscore serve`."
    )
