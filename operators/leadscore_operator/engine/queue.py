"""A work queue of keys: each key is worked on by one worker at a time, and never lost between two events.

The rules are those of client-go's workqueue: adding a key that waits does nothing; adding one that is being
worked on makes it wait once more; failures come back with a growing delay.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)

_FIRST: Final = 0.2
_LAST: Final = 60.0


class WorkQueue(Generic[K]):
    """Keys to reconcile."""

    def __init__(self) -> None:
        self._waiting: dict[K, None] = {}
        self._working: set[K] = set()
        self._again: set[K] = set()
        self._failures: dict[K, int] = {}
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting) + len(self._working)

    def add(self, key: K) -> None:
        """Work on this key soon."""
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        if key in self._working:
            self._again.add(key)
        else:
            self._waiting.setdefault(key)
            self._wake.set()

    def add_after(self, key: K, seconds: float) -> None:
        """Work on this key in so many seconds, or earlier if it is added meanwhile.

        The sooner of two times counts.
        """
        loop = asyncio.get_running_loop()
        known = self._timers.get(key)
        if known is not None:
            if known.when() <= loop.time() + seconds:
                return
            known.cancel()
        self._timers[key] = loop.call_later(max(seconds, 0.0), self.add, key)

    async def take(self) -> K:
        """The next key; it must be given back with `done` or `failed`."""
        while not self._waiting:
            self._wake.clear()
            await self._wake.wait()
        key = next(iter(self._waiting))
        del self._waiting[key]
        self._working.add(key)
        return key

    def done(self, key: K) -> None:
        """This key's work succeeded."""
        self._failures.pop(key, None)
        self._release(key)

    def failed(self, key: K, at_least: float = 0.0) -> float:
        """This key's work failed: it comes back after a growing delay, which is returned (seconds)."""
        count = self._failures.get(key, 0)
        self._failures[key] = count + 1
        delay = max(at_least, min(_FIRST * 2**count, _LAST)) * random.uniform(0.8, 1.2)  # noqa: S311
        self._release(key)
        if key not in self._waiting:
            self.add_after(key, delay)
        return delay

    def _release(self, key: K) -> None:
        self._working.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)
