"""A PostgreSQL connection that does not wait for ever.

libpq's own bounds (keepalives, `tcp_user_timeout`) find a host that is gone, not a server or a proxy that has
taken the question and says nothing more; `statement_timeout` needs a server that still works.
"""

from __future__ import annotations

from collections.abc import Generator
from time import monotonic
from typing import Any, TypeVar

import psycopg

T = TypeVar("T")


class ImpatientConnection(psycopg.Connection[Any]):
    """Gives a silent server up: the connection is closed, and what became of the statement is not known.

    Attributes:
        answer_seconds: How long it may be silent.
    """

    answer_seconds: float = float("inf")

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **options: Any) -> T:
        """What psycopg calls for every answer.

        Raises:
            psycopg.OperationalError: There was none.
        """
        silence = _Silence(self.answer_seconds)
        try:
            return super().wait(silence.bound(gen), *args, **options)
        finally:
            if silence.too_long:
                self.close()


class _Silence:
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.too_long = False

    def bound(self, gen: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
        """The same questions of psycopg's to its loop.

        The loop answers 0 now and then while nothing happens.
        """
        since = monotonic()
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if ready:
                    since = monotonic()
                elif monotonic() - since > self._seconds:
                    self.too_long = True
                    raise psycopg.OperationalError(f"the server said nothing for {self._seconds:g} s")
                wanted = gen.send(ready)
        except StopIteration as end:
            return end.value
