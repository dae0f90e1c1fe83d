"""A constant rate from outside, open loop: requests leave on a schedule and their latency counts from it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from loadtests.shapes import Constant

from benchmarks.errors import BenchError
from benchmarks.processes import client_core, this_thread_on
from benchmarks.wrk import Target

_CONNECTIONS = 16
_TIMEOUT = 30.0
# A timer may wake a millisecond late, which would be blamed on the service: sleep to just before, then spin.
_SPIN = 0.003


@dataclass(slots=True)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


def constant_rate(target: Target, *, rate: float, seconds: float) -> list[float]:
    """Latencies in ms, in due order, of `rate` requests per second for `seconds`.

    Raises:
        BenchError: A reply was not 200 or did not come.
    """
    with target.bodies.open("rb") as lines:
        bodies = [line.strip() for line in lines]
    with this_thread_on(client_core()):
        return asyncio.run(_run(target, bodies, list(Constant(seconds, rate).arrivals())))


async def _run(target: Target, bodies: Sequence[bytes], due: Sequence[float]) -> list[float]:
    free: asyncio.Queue[_Connection] = asyncio.Queue()
    connections = [
        _Connection(*await asyncio.open_connection("127.0.0.1", target.port)) for _ in range(_CONNECTIONS)
    ]
    for connection in connections:
        free.put_nowait(connection)
    started = time.perf_counter() + 0.2
    try:
        async with asyncio.TaskGroup() as group:
            tasks = []
            for number, moment in enumerate(due):
                await _until(started + moment)
                request = _request(target, bodies[number % len(bodies)])
                tasks.append(group.create_task(_send(free, request, started + moment)))
    except* (OSError, TimeoutError, asyncio.IncompleteReadError, BenchError) as failures:
        raise BenchError(
            f"{target.name} failed at {len(due)} paced requests: {failures.exceptions[0]!r}."
        ) from failures
    finally:
        for connection in connections:
            connection.writer.close()
    return [task.result() for task in tasks]


async def _until(moment: float) -> None:
    await asyncio.sleep(max(moment - time.perf_counter() - _SPIN, 0))
    while time.perf_counter() < moment:
        await asyncio.sleep(0)


async def _send(free: asyncio.Queue[_Connection], request: bytes, due: float) -> float:
    connection = await free.get()
    connection.writer.write(request)
    async with asyncio.timeout(_TIMEOUT):
        head = await connection.reader.readuntil(b"\r\n\r\n")
        await connection.reader.readexactly(_content_length(head))
    latency = (time.perf_counter() - due) * 1000
    if not head.startswith(b"HTTP/1.1 200"):
        raise BenchError(f"status line {head[:40]!r}")
    free.put_nowait(connection)
    return latency


def _request(target: Target, body: bytes) -> bytes:
    key = f"Authorization: Bearer {target.api_key}\r\n" if target.api_key else ""
    head = (
        f"POST {target.path} HTTP/1.1\r\nHost: 127.0.0.1:{target.port}\r\n"
        f"Content-Type: application/json\r\n{key}Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise BenchError("a reply has no Content-Length")
