"""A proxy in front of a server that speaks HTTP, which counts every call and can misbehave.

One listener per operator process.

Requests come in without TLS and go out with it if the server has it, the operator's own
token passed on, so its rights are the real ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import aiohttp
from aiohttp import web
from tests.faults.harness.events import End, Freeze, Send, Stream, Wait
from tests.faults.harness.faults import Answer, ClockStep, Cut, Event, Fault, Kill, LostReply, Stale
from tests.faults.harness.ledger import Entry, Ledger
from tests.faults.harness.loop import LoopThread
from tests.faults.harness.servers import Upstream
from yarl import URL

_HOP = {
    "connection",
    "keep-alive",
    "transfer-encoding",
    "content-length",
    "host",
    "te",
    "upgrade",
    "accept-encoding",
}


class Proxy:
    """The proxy, on a thread of its own."""

    def __init__(
        self,
        upstream: Upstream,
        clients: Sequence[str],
        *,
        kill: Callable[[str], None] = lambda _: None,
        step_clock: Callable[[int], None] = lambda _: None,
    ) -> None:
        """`kill` ends a client's process and returns when it is gone.

        `step_clock` moves the operator's clock.
        """
        self._upstream = upstream
        self._kill = kill
        self._step_clock = step_clock
        self.ledger = Ledger()
        self.log, self.hit = self.ledger.log, self.ledger.hit
        self.events_seen: dict[str, int] = {}
        self._first_answers: dict[tuple[str, ...], tuple[int, bytes, str]] = {}
        self._runners: list[web.AppRunner] = []
        self._asking: set[asyncio.Future[tuple[int, bytes, str]]] = set()
        self.addresses: dict[str, str] = {}
        self._thread = LoopThread("fault-proxy")
        self._thread.do(self._start(clients))

    def arm(self, faults: Sequence[Fault]) -> None:
        """From now on these faults happen; each once."""
        self.ledger.arm(faults)

    def busy(self) -> bool:
        """Whether the server has been asked something that it has not answered yet."""
        return bool(self._asking)

    def close(self) -> None:
        """Close every connection and end the thread."""
        self._thread.do(self._stop())
        self._thread.close()

    # --- The shell ----------------------------------------------------------------------------------------

    async def _start(self, clients: Sequence[str]) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._upstream.tls() or True, limit=0),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
        )
        for client in clients:
            app = web.Application(client_max_size=16 * 2**20)
            app.router.add_route("*", "/{path:.*}", self._handler(client))
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self._runners.append(runner)
            self.addresses[client] = f"http://127.0.0.1:{runner.addresses[0][1]}"

    async def _stop(self) -> None:
        for runner in self._runners:
            await runner.cleanup()
        await asyncio.gather(*self._asking, return_exceptions=True)
        await self._session.close()
        for _ in range(5):  # what was closed is let go of in the loop's next turns
            await asyncio.sleep(0)

    def _handler(self, client: str) -> Callable[[web.Request], Coroutine[Any, Any, web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            body = await request.read()
            entry = self.ledger.enter(
                client, self._upstream.understand(request.method, request.path, request.query)
            )
            return await self._serve(request, body, entry)

        return handle

    # --- One call -----------------------------------------------------------------------------------------

    async def _serve(self, request: web.Request, body: bytes, entry: Entry) -> web.StreamResponse:
        fault = self.ledger.fault_at(entry.point)
        if isinstance(fault, ClockStep):
            self._step_clock(fault.seconds)
        instead = await self._instead(request, entry, fault)
        if instead is not None:
            return instead
        if entry.call.verb == "watch":
            async with self._forward(request, body) as reply:
                entry.status = status = reply.status
                if status == 200:
                    return await self._watch(request, reply, entry)
                content, media = await _content(reply)
        else:
            # A client that is killed meanwhile does not take back what the server has done: it is done, and
            # logged.
            asking = asyncio.ensure_future(self._ask(request, body, entry))
            self._asking.add(asking)
            asking.add_done_callback(self._asking.discard)
            status, content, media = await asyncio.shield(asking)
        if entry.call.verb in {"get", "list"}:
            self._first_answers.setdefault(self._question(request), (status, content, media))
        if isinstance(fault, Kill):
            return await self._end(request, entry)
        if isinstance(fault, LostReply):
            if fault.how == "hang":
                await asyncio.Event().wait()  # until the client gives up, which cancels this
            return _cut(request)
        entry.delivered = True
        return web.Response(status=status, body=content, headers={"Content-Type": media})

    async def _ask(self, request: web.Request, body: bytes, entry: Entry) -> tuple[int, bytes, str]:
        async with self._forward(request, body) as reply:
            entry.status = reply.status
            return reply.status, *await _content(reply)

    async def _instead(
        self, request: web.Request, entry: Entry, fault: Fault | None
    ) -> web.StreamResponse | None:
        """What happens without the server being asked, if the fault is of that kind."""
        if isinstance(fault, Cut):
            return _cut(request)
        if isinstance(fault, Kill) and fault.when == "before":
            return await self._end(request, entry)
        if isinstance(fault, Answer):
            headers = {"Retry-After": "1"} if fault.status == 429 else {}
            status = int(fault.status)
            body = self._upstream.refusal(status, entry.call.verb)
            return web.json_response(body, status=status, headers=headers)
        question = self._question(request)
        if isinstance(fault, Stale) and question in self._first_answers:
            self.hit.add(fault)
            status, content, media = self._first_answers[question]
            entry.status, entry.delivered = status, True
            return web.Response(status=status, body=content, headers={"Content-Type": media})
        return None

    def _question(self, request: web.Request) -> tuple[str, ...]:
        return self._upstream.question(request.path, request.query)

    def _forward(
        self, request: web.Request, body: bytes
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        url = URL(f"{self._upstream.address}{request.raw_path}", encoded=True)
        return self._session.request(request.method, url, headers=headers, data=body or None)

    async def _end(self, request: web.Request, entry: Entry) -> web.StreamResponse:
        await self._thread.loop.run_in_executor(None, self._kill, entry.client)
        return _cut(request)

    async def _watch(
        self, request: web.Request, reply: aiohttp.ClientResponse, entry: Entry
    ) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "application/json"})
        answer.enable_chunked_encoding()
        await answer.prepare(request)
        entry.delivered = True
        resource = entry.call.signature.removeprefix("watch ")
        faults = [
            f
            for f in self.ledger.faults
            if isinstance(f, Event) and f.resource == resource and f not in self.hit
        ]
        stream = Stream(faults, lambda: self._count_event(resource))
        try:
            return await self._pass_on(stream, reply, answer)
        except ConnectionResetError:  # the client was killed, or has had enough
            return answer

    async def _pass_on(
        self, stream: Stream, reply: aiohttp.ClientResponse, answer: web.StreamResponse
    ) -> web.StreamResponse:
        async for line in reply.content:
            for step in stream.feed(line):
                self.hit.update(stream.hit)
                match step:
                    case Send(content):
                        await answer.write(content)
                    case Wait(seconds):
                        await asyncio.sleep(seconds)
                    case Freeze():
                        await asyncio.Event().wait()  # until the client gives up
                    case End():
                        await answer.write_eof()
                        return answer
        await answer.write_eof()
        return answer

    def _count_event(self, resource: str) -> int:
        self.events_seen[resource] = self.events_seen.get(resource, 0) + 1
        return self.events_seen[resource]


async def _content(reply: aiohttp.ClientResponse) -> tuple[bytes, str]:
    return await reply.read(), reply.headers.get("Content-Type", "application/json")


def _cut(request: web.Request) -> web.Response:
    """Close the connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
