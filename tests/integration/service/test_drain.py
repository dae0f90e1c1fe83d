"""SIGTERM under load: who has written a request to a connection that was open gets a reply, to the very end.

The clients never repeat a request, and look, as every HTTP client does, whether the
server has closed a kept-alive connection before they write to it. A connection that is
refused is no lost request: nothing was sent.
"""

from __future__ import annotations

import asyncio
import os
import random
import select
import signal
import socket
from collections import Counter

import pytest
from tests.support.waiting import wait_until

# Where the rounds of a measurement are set: LEADSCORE_DRAIN_ROUNDS=30 pytest
# tests/integration/service/test_drain.py
ROUNDS = int(os.environ.get("LEADSCORE_DRAIN_ROUNDS", "1"))
STEADY, LATE = 6, 40


class Clients:
    """Clients in one event loop.

    Between their look at a connection and their write to it nothing else runs.
    """

    def __init__(self, port: int, body: bytes, drain_s: float) -> None:
        self.outcomes: Counter[str] = Counter()
        self._address = ("127.0.0.1", port)
        self._drain_s = drain_s
        head = (
            "POST /score-lead HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}"
        )
        self._request = head.encode() + b"\r\n\r\n" + body
        self._told = asyncio.Event()
        self._began = 0.0

    async def run(self, tell, chance: random.Random) -> Counter[str]:
        """All of them, until nobody listens; `tell` stops the service once everybody has had a reply."""
        # Some use their idle connection while the service drains, most about when it closes what is idle.
        delays = [
            chance.uniform(0, self._drain_s) if n < 10 else chance.gauss(self._drain_s + 0.2, 0.2)
            for n in range(LATE)
        ]
        ready = [asyncio.Event() for _ in delays]
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            for delay, each in zip(delays, ready, strict=True):
                group.create_task(self._late(each, max(delay, 0.0)))
            for _ in range(STEADY):
                group.create_task(self._steady())
            for each in ready:
                await each.wait()
            self._began = asyncio.get_running_loop().time()
            tell()
            self._told.set()
        return self.outcomes

    async def _steady(self) -> None:
        """One request after the other, on as few connections as the server allows, until nobody listens."""
        while (connection := await self._connect()) is not None:
            with connection:
                while await self._ask(connection):
                    pass

    async def _late(self, ready: asyncio.Event, delay: float) -> None:
        """A kept-alive connection that is used once more, some time after SIGTERM."""
        connection = await self._connect()
        assert connection is not None
        with connection:
            assert await self._ask(connection)
            ready.set()
            await self._told.wait()
            # Nothing to wait for: the load's own schedule.
            await asyncio.sleep(delay)
            await self._ask(connection)

    async def _connect(self) -> socket.socket | None:
        connection = socket.socket()
        connection.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(connection, self._address)
        except ConnectionError:
            connection.close()
            return None
        return connection

    async def _ask(self, connection: socket.socket) -> bool:
        """One request and its reply; whether the connection may be used again."""
        loop = asyncio.get_running_loop()
        if select.select([connection], [], [], 0)[0]:
            return False
        try:
            assert connection.send(self._request) == len(self._request)
            written = loop.time() - self._began
            received = b""
            while b"\r\n\r\n" not in received:
                received += await self._more(connection)
            head, _, content = received.partition(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            while len(content) < length:
                content += await self._more(connection)
        except OSError as error:
            self.outcomes[f"lost, written {written:.3f} s after SIGTERM: {error!r}"] += 1
            return False
        self.outcomes["answered" if head.startswith(b"HTTP/1.1 200") else head[:16].decode()] += 1
        return b"connection: close" not in head.lower()

    @staticmethod
    async def _more(connection: socket.socket) -> bytes:
        part = await asyncio.get_running_loop().sock_recv(connection, 65536)
        if not part:
            raise ConnectionResetError("closed without a reply")
        return part


@pytest.mark.parametrize(
    ("workers", "serving", "drain_s"),
    # A worker that is still loading hears a signal late, when Python gets to it: the drain must be longer
    # than that.
    [(1, 1, 0.4), (2, 2, 0.4), (2, 1, 2.0)],
    ids=["one worker", "two workers", "a second worker that still loads"],
)
def test_no_request_is_lost_while_the_service_stops(
    serve, lead_body, workers: int, serving: int, drain_s: float
) -> None:
    total: Counter[str] = Counter()
    for number in range(ROUNDS):
        served = serve(workers=workers, LEADSCORE_DRAIN_S=str(drain_s))
        wait_until(
            lambda served=served: served.log.read_text().count('"event":"ready"') >= serving,
            what="the workers",
        )

        async def stopped(served=served, number=number) -> Counter[str]:
            tell = lambda: served.process.send_signal(signal.SIGTERM)  # noqa: E731
            return await Clients(served.port, lead_body, drain_s).run(tell, random.Random(number))

        total += asyncio.run(stopped())
        assert served.process.wait(30) == 0
    assert total["answered"] > 2 * LATE * ROUNDS
    assert set(total) == {"answered"}, total
