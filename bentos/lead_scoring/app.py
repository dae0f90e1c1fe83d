"""The ASGI application: every path of the service, in front of BentoML's own.

BentoML constructs it as a middleware (`add_asgi_middleware`). Once the server has started it takes the place of the
whole middleware stack: what BentoML and Starlette put around each request (tracing, a timer that is never
cancelled, a task, error pages) costs more than a score (docs/decisions), and nothing of it is used here. No request
falls through to BentoML's endpoints, which include its schema, its docs and whatever a later release adds.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from lead_scoring import system
from lead_scoring.auth import ExpiredKeyError, MissingKeyError
from lead_scoring.connection import Connection
from lead_scoring.drain import drain_on_sigterm
from lead_scoring.engine import Engine
from lead_scoring.errors import (
    BodyTimeoutError,
    ClientGoneError,
    InternalError,
    MethodNotAllowedError,
    MissingScopeError,
    error_reply,
)
from lead_scoring.http import (
    JSON,
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
from lead_scoring.ids import PredictionIds
from lead_scoring.logs import RequestLog
from lead_scoring.metrics_layout import ENDPOINT_INDEX
from lead_scoring.onewrite import send_whole
from lead_scoring.routes import OTHER, SCORING, SYSTEM, Scoring
from lead_scoring.settings import Settings
from lead_scoring.worker import Worker
from leadscore.errors import (
    BodyTooLargeError,
    LeadScoreError,
    NotFoundError,
    UnauthorizedError,
    UnsupportedMediaTypeError,
)
from leadscore.identity.apikeys import Scope as KeyScope

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
            # A server that skips the lifespan protocol: nothing is loaded, and nothing will be.
            reply = error_reply(_not_started(), request.request_id)
            for message in reply_messages(reply, request.request_id, close=True):
                await send(message)
            return
        span = self._span(worker, request)
        route = SCORING.get(request.path)
        try:
            if route is None:
                reply = self._system(worker, request)
            else:
                reply = await route.answer(self._admit(worker, request, route), request)
        except LeadScoreError as error:
            reply = self._refuse(worker, request, error)
        except Exception as error:  # noqa: BLE001 - the process boundary: a defect must not end the connection unsaid
            reply = self._defect(request, error)
        draining = worker.lifecycle.phase == "draining"
        if reply.status != 499 and not send_whole(send, reply, request.request_id, close=draining):
            for message in reply_messages(reply, request.request_id, close=draining):
                await send(message)
        elapsed = time.perf_counter_ns() - started
        endpoint = ENDPOINT_INDEX.get(request.path, OTHER) if route is None else route.endpoint
        self._note(worker, request, reply, endpoint, elapsed)
        if span is not None and worker.engine is not None and worker.engine.telemetry is not None:
            worker.engine.telemetry.end(span, request, reply)

    def _request_id(self, request: Request) -> str:
        """The caller's, if it is a decent one; otherwise a fresh one."""
        given = request.headers[REQUEST_ID]
        if given is not None and _REQUEST_ID.fullmatch(given):
            return given.decode("ascii")
        return self._ids.next(request.now_ns)

    def _note(self, worker: Worker, request: Request, reply: Reply, endpoint: int, elapsed: int) -> None:
        if worker.engine is not None:
            worker.engine.counters.request(endpoint, reply.status, elapsed)
        self._request_log.answered(request, reply, elapsed)

    def _count_refusal(self, status: int) -> None:
        """A request that ended before it could be one: counted like those that nobody's path takes."""
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
    def _admit(worker: Worker, request: Request, route: Scoring) -> Engine:
        """The engine, for a request that may have it."""
        if request.method != "POST":
            raise MethodNotAllowedError(request.method, request.path, "POST")
        engine = worker.engine
        if engine is None:
            raise worker.lifecycle.refusal()
        if worker.keys is not None:
            request.caller = worker.keys.caller(request, route.scope, request.now_ns)
        return engine

    def _system(self, worker: Worker, request: Request) -> Reply:
        path = request.path
        if path not in SYSTEM:
            raise NotFoundError("There is nothing at this path.", hint="GET / lists what there is.")
        if request.method not in ("GET", "HEAD"):
            raise MethodNotAllowedError(request.method, path, "GET, HEAD")
        if path == "/livez":
            return system.livez()
        if path == "/readyz":
            return system.readyz(worker.lifecycle, worker.engine)
        if path == "/":
            return system.index()
        if worker.settings.protect_metrics:
            self._authorise(worker, request, "metrics")
        engine = worker.engine
        if engine is None:
            raise worker.lifecycle.refusal()
        if path == "/openapi.json":
            return Reply(200, worker.openapi, JSON)
        return system.metrics(worker.lifecycle, engine, worker.keys)

    @staticmethod
    def _authorise(worker: Worker, request: Request, scope: KeyScope) -> None:
        if worker.keys is not None:
            request.caller = worker.keys.caller(request, scope, request.now_ns)

    @staticmethod
    def _refuse(worker: Worker, request: Request, error: LeadScoreError) -> Reply:
        if worker.engine is not None and isinstance(error, UnauthorizedError | MissingScopeError):
            counters = worker.engine.counters
            if isinstance(error, MissingScopeError):
                counters.add("auth_scope")
            elif isinstance(error, MissingKeyError):
                counters.add("auth_missing")
            elif isinstance(error, ExpiredKeyError):
                counters.add("auth_expired")
            else:
                counters.add("auth_unknown")
        if isinstance(error, ClientGoneError):
            return Reply(error.status, b"")
        return error_reply(error, request.request_id, close=isinstance(error, _UNREAD))

    @staticmethod
    def _span(worker: Worker, request: Request) -> Span | None:
        engine = worker.engine
        if engine is None or engine.telemetry is None or request.path not in SCORING:
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
                self._take_over(scope)
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
            # Told to stop before it took a connection: its listener is closed, and the server must not open it.
            await self.worker.stop()
            os._exit(0)

    def _take_over(self, scope: Scope) -> None:
        """Answer in place of the middleware stack that Starlette built around us."""
        outer = scope.get("app")
        if getattr(outer, "middleware_stack", None) is not None:
            outer.middleware_stack = self  # type: ignore[union-attr]
            # Connections of ours need not even go through the outermost ones.
            Connection.application = self


def _not_started() -> NotFoundError:
    return NotFoundError(
        "The service was started without ASGI lifespan.", hint="Start it with `leadscore serve`."
    )
