"""Run bulk work on one thread, apart from single leads, with a bound on waiting requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from leadscore.errors import UnavailableError

T = TypeVar("T")

# Each may hold a body of `max_body_bytes`; later requests are refused rather than kept in memory.
MAX_WAITING: Final = 16


# Bytes of a body that are not counted, so that large bodies never cause refusals of single leads.
_FREE: Final = 64 * 1024


class BusyError(UnavailableError):
    """Too many large requests are waiting already."""

    code = "busy"


class BodyRoom:
    """Bytes of the bodies that are being received. A slow sender takes memory but no place in the queue."""

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
        """Release the bytes of a body that is complete or abandoned."""
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
