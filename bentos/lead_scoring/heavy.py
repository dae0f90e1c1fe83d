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


class BusyError(UnavailableError):
    """Too many large requests are waiting already."""

    code = "busy"


class HeavyWork:
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
