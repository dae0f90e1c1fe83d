"""A proxy in front of PostgreSQL that counts every exchange and can misbehave.

One listener per operator process.

An answer that is lost is lost after the server has given it: of a COMMIT, that is the
lost acknowledgement. When a reply `hangs`, the server is not told that the client has
gone: its session stays, with the locks it has.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from tests.faults.harness import wire
from tests.faults.harness.calls import Call
from tests.faults.harness.faults import Answer, Cut, Fault, Kill, LostReply
from tests.faults.harness.ledger import Entry, Ledger
from tests.faults.harness.loop import LoopThread
from tests.faults.harness.servers import DatabaseServer

_ENDS = {b"Q", b"S"}


class DatabaseProxy:
    """The proxy, on a thread of its own."""

    def __init__(
        self, server: DatabaseServer, clients: Sequence[str], *, kill: Callable[[str], None] = lambda _: None
    ) -> None:
        """`kill` ends a client's process and returns when it is gone."""
        self.ledger = Ledger()
        self.addresses: dict[str, str] = {}
        self._server, self._kill = server, kill
        self._listeners: list[asyncio.Server] = []
        self._sessions: set[asyncio.Task[None]] = set()
        self._thread = LoopThread("fault-database")
        self._thread.do(self._start(clients))

    def close(self) -> None:
        """Close every connection and end the thread."""
        self._thread.do(self._stop())
        self._thread.close()

    async def _start(self, clients: Sequence[str]) -> None:
        for client in clients:
            listener = await asyncio.start_server(self._handler(client), "127.0.0.1", 0)
            self._listeners.append(listener)
            self.addresses[client] = f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"

    async def _stop(self) -> None:
        for listener in self._listeners:
            listener.close()
        for session in self._sessions:
            session.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)
        for _ in range(5):  # what was closed is let go of in the loop's next turns
            await asyncio.sleep(0)

    def _handler(
        self, client: str
    ) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._sessions.add(task)
            session = _Session(self._server, client, self.ledger, self._end, reader, writer)
            try:
                await session.run()
            except (asyncio.CancelledError, asyncio.IncompleteReadError, ConnectionError):
                pass  # one side is gone, or the replay is over
            finally:
                session.close()
                self._sessions.discard(task)

        return handle

    async def _end(self, client: str) -> None:
        await asyncio.get_running_loop().run_in_executor(None, self._kill, client)


class _Session:
    """One connection of a client, and the one that it has to the server."""

    def __init__(
        self,
        server: DatabaseServer,
        client: str,
        ledger: Ledger,
        kill: Callable[[str], Coroutine[Any, Any, None]],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._server, self._client, self._ledger, self._kill = server, client, ledger, kill
        self._from_client, self._to_client = reader, writer
        self._to_server: asyncio.StreamWriter | None = None
        self._answers: asyncio.Queue[wire.Message] = asyncio.Queue()
        self._pump: asyncio.Task[None] | None = None
        self._asking = False
        self._state = b"I"  # no transaction
        self._session = wire.Session(server.name)

    def close(self) -> None:
        """Both sides, at once."""
        if self._pump is not None:
            self._pump.cancel()
        for writer in (self._to_client, self._to_server):
            if writer is not None:
                writer.transport.abort()

    async def run(self) -> None:
        """From the first message to the last."""
        first = await self._first()
        if first is None:
            return
        going = await self._exchange(Call("connect", self._server.name, "sessions"), [(b"", first)])
        while going:
            messages: list[wire.Message] = []
            while not messages or messages[-1][0] not in _ENDS:
                messages.append(await _message(self._from_client))
                if messages[-1][0] == b"X":
                    self._send(messages)
                    return
            going = await self._exchange(self._session.understand(messages), messages)

    async def _first(self) -> bytes | None:
        """What a connection begins with; TLS is declined. None: it asks to cancel another one's statement."""
        while True:
            (length,) = struct.unpack("!I", await self._from_client.readexactly(4))
            said = await self._from_client.readexactly(length - 4)
            (code,) = struct.unpack_from("!I", said)
            if code in {wire.TLS_REQUEST, wire.GSS_REQUEST}:
                self._to_client.write(b"N")
            else:
                return None if code == wire.CANCEL_REQUEST else said

    async def _exchange(self, call: Call, messages: list[wire.Message]) -> bool:
        """Ask and answer; whether the session goes on."""
        entry = self._ledger.enter(self._client, call)
        fault = self._ledger.fault_at(entry.point)
        if isinstance(fault, Cut):
            return False
        if isinstance(fault, Kill) and fault.when == "before":
            await self._kill(self._client)
            return False
        if isinstance(fault, Answer):
            return await self._refuse(str(fault.status))
        reply = await self._ask(entry, messages)
        if await self._lost(fault):
            return False
        for message in reply:
            self._to_client.write(wire.packed(message))
        await self._to_client.drain()
        entry.delivered = True
        return bool(reply) and reply[-1][0] == b"Z"

    async def _refuse(self, state: str) -> bool:
        self._to_client.write(wire.packed(wire.refusal(state)))
        if not wire.is_fatal(state):
            failed = b"I" if self._state == b"I" else b"E"
            self._to_client.write(wire.packed((b"Z", failed)))
        await self._to_client.drain()
        if wire.is_fatal(state):
            self._to_client.close()
            await self._to_client.wait_closed()
        return not wire.is_fatal(state)

    async def _lost(self, fault: Fault | None) -> bool:
        """Whether the client does not hear of what the server has done."""
        if isinstance(fault, Kill):
            await self._kill(self._client)
            return True
        if isinstance(fault, LostReply) and fault.how == "hang":
            await asyncio.Event().wait()  # until the replay is over
        return isinstance(fault, LostReply)

    async def _ask(self, entry: Entry, messages: list[wire.Message]) -> list[wire.Message]:
        """The server's answer; it ends without `Z` if the server has ended the session."""
        if self._to_server is None:
            reader, self._to_server = await asyncio.open_connection("127.0.0.1", self._server.port)
            self._asking = True
            self._pump = asyncio.create_task(self._read(reader))
        self._asking = True
        self._send(messages)
        reply: list[wire.Message] = []
        while not reply or reply[-1][0] != b"Z":
            message = await self._answers.get()
            if not message[0]:  # the server has closed the connection
                return reply
            reply.append(message)
        self._asking = False
        self._state = reply[-1][1]
        entry.status = 500 if any(letter == b"E" for letter, _ in reply) else 200
        return reply

    def _send(self, messages: Sequence[wire.Message]) -> None:
        if self._to_server is not None:
            self._to_server.write(b"".join(wire.packed(message) for message in messages))

    async def _read(self, reader: asyncio.StreamReader) -> None:
        """Messages of the server: answers while something is asked.

        What it says by itself goes straight on.
        """
        try:
            while True:
                message = await _message(reader)
                if self._asking:
                    self._answers.put_nowait(message)
                else:
                    self._to_client.write(wire.packed(message))
        except (asyncio.IncompleteReadError, ConnectionError):
            self._answers.put_nowait((b"", b""))
            if not self._asking:
                self._to_client.close()


async def _message(reader: asyncio.StreamReader) -> wire.Message:
    head = await reader.readexactly(5)
    (length,) = struct.unpack("!I", head[1:])
    return head[:1], await reader.readexactly(length - 4)
