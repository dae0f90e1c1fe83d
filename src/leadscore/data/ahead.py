"""Work on the pieces of a stream in several threads, in order and with little in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def map_ahead(work: Callable[[_Item], _Result], items: Iterable[_Item], threads: int) -> Generator[_Result]:
    """Yield `work(item)` of each item, in order.

    One piece per thread is in work and one waits, so that no thread idles and memory stays flat.
    """
    pending: deque[Future[_Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for item in items:
            pending.append(pool.submit(work, item))
            if len(pending) > 2 * threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
