"""Load from outside, open loop.

Requests leave on a schedule, nothing is ever sent twice, everything is counted.

A reply that is late delays no later request, and latency counts from the due time (no coordinated omission).
A connection that breaks is one failed request: repeating it is what this client must not do, since it would
hide the very thing that scenarios are about.

An idle connection that the other side has closed, or may close at any moment, is not a failed request but a
connection that nobody may use (RFC 9112, 9.3.1 and 9.5): it is put away before a request is written to it, as
every HTTP client does. Traefik closes what was idle for 180 s, and a pool that takes the latest connection
first lets the others idle until a burst needs them all at once.
"""

from __future__ import annotations

import asyncio
import json
import random
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from types import TracebackType
from typing import Self, cast

from tests.e2e.scenario.tally import Sent, Tally

_TIMEOUT = 15.0
_POOL = 64
# Well below the 180 s after which Traefik closes an idle connection (its entry points' default, v3.6).
_LONGEST_IDLE = 60.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where requests go and with what key."""

    host: str
    port: int
    api_key: str = ""
    authority: str = ""

    def head(self, path: str, length: int, request_id: str = "") -> bytes:
        """The request's first lines; with an id, by which the ingress and the pods can be asked about it."""
        key = f"Authorization: Bearer {self.api_key}\r\n" if self.api_key else ""
        key += f"X-Request-Id: {request_id}\r\n" if request_id else ""
        host = self.authority or f"{self.host}:{self.port}"
        return (
            f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n{key}"
            f"Content-Length: {length}\r\n\r\n"
        ).encode()


@dataclass(frozen=True, slots=True)
class Body:
    """One request to send."""

    path: str
    content: bytes


@dataclass(slots=True)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    requests: int = 0
    idle_since: float = field(default_factory=time.monotonic)

    @property
    def usable(self) -> bool:
        """Whether a request may be written: the other side has not closed it and will not for a while."""
        return not self.reader.at_eof() and time.monotonic() - self.idle_since < _LONGEST_IDLE

    def describe(self) -> str:
        """Its past at the moment when a request takes it, for the account of a request that got no reply."""
        port = (self.writer.get_extra_info("sockname") or ("", 0))[1]
        idle = time.monotonic() - self.idle_since
        return f"from port {port}, {self.requests} requests before, idle for {idle:.2f} s"


class Load:
    """A constant rate from a thread of its own, from `start` until `stop`.

    Args:
        endpoint: Where to.
        bodies: Endless requests.
        rate: Requests per second; may be changed under way.
        on_failure: Told of each failed request at once, in the load's own thread: must not wait.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        bodies: Iterator[Body],
        rate: float,
        on_failure: Callable[[Sent], None] = lambda _: None,
    ) -> None:
        self._endpoint = endpoint
        self._on_failure = on_failure
        self._ids = (f"load-{secrets.token_hex(4)}-{number}" for number in count(1))
        self._bodies = bodies
        self.rate = rate
        self._sent: list[Sent] = []
        self._idle: list[_Connection] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="load", daemon=True)
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> Tally:
        """Send no more, wait for what is under way, and return everything."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(_TIMEOUT + 10)
            assert not self._thread.is_alive(), "the load client did not end"
        if self._error is not None:
            raise self._error
        return self.tally

    @property
    def tally(self) -> Tally:
        """What has been answered so far."""
        return Tally.of(list(self._sent))

    async def _run(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                due = time.monotonic() + 0.05
                while not self._stop.is_set():
                    await asyncio.sleep(max(due - time.monotonic(), 0))
                    group.create_task(self._one(next(self._bodies), due))
                    due += 1 / self.rate
        # The thread's end would go unnoticed: a defect of the client must not look like an idle service.
        except BaseException as error:  # noqa: BLE001
            self._error = error
        finally:
            for connection in self._idle:
                connection.writer.close()

    async def once(self, body: Body) -> Sent:
        """One request by itself, now."""
        await self._one(body, time.monotonic())
        for connection in self._idle:
            connection.writer.close()
        return self._sent[-1]

    async def _one(self, body: Body, due: float) -> None:
        status, problem, version, known = 0, "", "", ()
        request_id, used = next(self._ids), ["no connection"]
        began = datetime.now(UTC)
        try:
            async with asyncio.timeout(_TIMEOUT):
                status, content = await self._exchange(body, request_id, used)
            if 200 <= status < 300:
                version, known = acknowledged(content)
            else:
                problem = content[:160].decode(errors="replace")
        except TimeoutError:
            problem = f"no reply in {_TIMEOUT:.0f} s"
        except (OSError, EOFError, ValueError) as error:
            # Status 0 even if the head had come: a reply cut off is no reply.
            status, problem = 0, repr(error)[:160]
        about = f"{request_id} at {began:%H:%M:%S.%f} {used[0]}"
        sent = Sent(body.path, due, time.monotonic(), status, problem, version, known, about)
        self._sent.append(sent)
        if sent.failed:
            self._on_failure(sent)

    async def _exchange(self, body: Body, request_id: str, used: list[str]) -> tuple[int, bytes]:
        connection = self._pooled() or await self._connect()
        used[0] = connection.describe()
        try:
            head = self._endpoint.head(body.path, len(body.content), request_id)
            connection.writer.write(head + body.content)
            head = await connection.reader.readuntil(b"\r\n\r\n")
            content = await connection.reader.readexactly(content_length(head))
        except BaseException:
            connection.writer.close()
            raise
        if b"connection: close" in head.lower() or len(self._idle) >= _POOL:
            connection.writer.close()
        else:
            connection.requests += 1
            connection.idle_since = time.monotonic()
            self._idle.append(connection)
        return int(head.split(None, 2)[1]), content

    def _pooled(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
            connection.writer.close()
        return None

    async def _connect(self) -> _Connection:
        return _Connection(*await asyncio.open_connection(self._endpoint.host, self._endpoint.port))


def content_length(head: bytes) -> int:
    """Length of a reply's body; ValueError without a Content-Length, which every reply of ours has."""
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise ValueError(f"a reply has no Content-Length: {head[:80]!r}")


def acknowledged(content: bytes) -> tuple[str, tuple[str, ...]]:
    """Model version and prediction ids of a reply to one lead or to several; ValueError if it is neither."""
    try:
        reply = cast("dict[str, str]", json.loads(content))
        scored = cast("list[dict[str, str]]", reply.get("results", [reply]))
        return reply["model_version"], tuple(one["prediction_id"] for one in scored)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a reply of the service: {content[:80]!r}") from error


def bodies_of(
    next_lead: Callable[[], object], *, bulk_share: float = 0.0, bulk_rows: int = 150, seed: int = 7
) -> Iterator[Body]:
    """Endless requests: one lead each, and by chance (a share of them) one with `bulk_rows` leads.

    By chance, because a fixed rhythm would fall into step with the rhythm of a weighted round robin, and
    one version would get all the bulk requests.
    """
    chance = random.Random(seed)
    while True:
        if chance.random() < bulk_share:
            leads = [next_lead() for _ in range(bulk_rows)]
            yield Body("/score-leads", json.dumps({"leads": leads}).encode())
        else:
            yield Body("/score-lead", json.dumps(next_lead()).encode())
