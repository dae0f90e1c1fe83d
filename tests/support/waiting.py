"""Waiting for what another process does: a condition, looked at often, with a bound."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


def wait_until(
    condition: Callable[[], bool],
    *,
    seconds: float = 30.0,
    what: str = "the condition",
    every: float = 0.02,
) -> None:
    """Return as soon as `condition()` holds, which is asked `every` so many seconds.

    AssertionError after `seconds`.
    """
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not hold within {seconds} s"
        pause.wait(every)
