import asyncio
import threading
from contextlib import contextmanager

import pytest
from benchmarks.errors import BenchError
from benchmarks.openloop import constant_rate
from benchmarks.wrk import Target


@contextmanager
def server(status="200 OK", *, stall_first=0.0):
    """A keep-alive HTTP server on a thread of its own; its first reply may hold everything up."""
    seen: list[bytes] = []
    ready, done = threading.Event(), asyncio.Event()
    where = {}

    async def answer(reader, writer):
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
                seen.append(head + await reader.readexactly(length))
                if len(seen) == 1 and stall_first:
                    # Holds the whole event loop, as a garbage collection or a full disk would.
                    threading.Event().wait(stall_first)
                writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\n{{}}".encode())
        except asyncio.IncompleteReadError:
            writer.close()

    async def main():
        listener = await asyncio.start_server(answer, "127.0.0.1", 0)
        where["port"] = listener.sockets[0].getsockname()[1]
        where["loop"] = asyncio.get_running_loop()
        ready.set()
        async with listener:
            await done.wait()
        # Let the connections notice that the client is gone, so that they close before the loop does.
        await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()}, return_exceptions=True)

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    ready.wait()
    try:
        yield where["port"], seen
    finally:
        where["loop"].call_soon_threadsafe(done.set)
        thread.join()


@pytest.fixture
def bodies(tmp_path):
    path = tmp_path / "bodies.jsonl"
    path.write_text('{"a":1}\n{"b":22}\n')
    return path


def test_every_request_of_the_schedule_is_sent_with_its_key_and_body(bodies):
    with server() as (port, seen):
        latencies = constant_rate(Target("t", port, "/score", bodies, "secret"), rate=50, seconds=0.4)

    assert len(latencies) == len(seen) == 20
    assert all(b"Authorization: Bearer secret" in request for request in seen)
    assert {request.rpartition(b"\r\n\r\n")[2] for request in seen} == {b'{"a":1}', b'{"b":22}'}


def test_a_stall_is_charged_to_every_request_that_was_due_meanwhile(bodies):
    with server(stall_first=0.3) as (port, _):
        latencies = constant_rate(Target("t", port, "/score", bodies), rate=50, seconds=0.6)

    # Fifteen requests were due during the stall, the later the less they waited; a closed loop would show
    # one.
    assert sum(latency > 40 for latency in latencies) >= 10
    assert latencies[0] >= 300
    assert latencies[5] >= 190


def test_a_bad_reply_ends_the_measurement(bodies):
    with server("503 Service Unavailable") as (port, _), pytest.raises(BenchError, match="503"):
        constant_rate(Target("t", port, "/score", bodies), rate=50, seconds=0.2)
