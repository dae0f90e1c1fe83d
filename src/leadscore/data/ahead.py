"""Work on the pieces of a stream in several threads, in order and with little in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import pyarrow as pa

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def with_first_rows(batches: Iterable[pa.RecordBatch]) -> Generator[tuple[int, pa.RecordBatch]]:
    """Each batch of a table with the number of its first row, from 1: for messages that name rows."""
    row = 1
    for batch in batches:
        yield row, batch
        row += batch.num_rows


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
