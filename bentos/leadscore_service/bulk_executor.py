"""Work that would hold up single leads: one thread, and a bound on how many requests wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from leadscore.errors import UnavailableError

T = TypeVar("T")

# Each may hold a body of `max_body_bytes`; whoever comes later had better come back than wait in memory.
MAX_WAITING: Final = 16


# Bytes of a body that are not counted: single leads are never refused for the sake of large bodies.
_FREE: Final = 64 * 1024


class BusyError(UnavailableError):
    """Too many large requests are waiting already."""

    code = "busy"


class BodyRoom:
    """Bytes of the bodies that are on their way.

    Whoever sends slowly holds memory, and no place among those who wait.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0

    def take(self, size: int, more: int) -> int:
        """Bytes held by a body of `size` after `more` came.

        BusyError if all bodies together grow too large.
        """
        if size <= _FREE:
            return 0
        grown = size if size - more <= _FREE else more
        if self._held + grown > self._limit:
            raise BusyError(
                "Too many large bodies are being received.",
                hint="Repeat the request after `Retry-After` seconds; send fewer of them at once.",
            )
        self._held += grown
        return grown

    def give(self, held: int) -> None:
        """The body is there, or will never be."""
        self._held -= held


class BulkExecutor:
    """Runs jobs one after the other on a thread of its own; everything but the jobs is the event loop's."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="heavy")
        self._requests = 0

    def __enter__(self) -> None:
        """Admit a request for as long as it needs the thread; BusyError if too many are there."""
        if self._requests >= MAX_WAITING:
            raise BusyError(
                f"{MAX_WAITING} large requests are waiting already.",
                hint="Repeat the request after `Retry-After` seconds; send fewer of them at once.",
            )
        self._requests += 1

    def __exit__(self, *_: object) -> None:
        self._requests -= 1

    async def run(self, job: Callable[..., T], *arguments: object) -> T:
        """The result of `job(*arguments)`."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, job, *arguments)

    def close(self) -> None:
        """Finish the job that runs."""
        self._pool.shutdown()
