"""Timing of calls inside this process: contenders take turns, and the median turn counts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median

Call = Callable[[], object]


def per_call(
    contenders: Mapping[str, Call],
    *,
    batches: int,
    calls: Mapping[str, int],
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Seconds per call of each contender: the median over `batches` of the mean of `calls` calls.

    The contenders alternate batch by batch, so that a slow spell of the machine hits all of them.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for call in contenders.values():
        call()
    for _ in range(batches):
        for name, call in contenders.items():
            repeats = calls[name]
            started = clock()
            for _ in range(repeats):
                call()
            seconds[name].append((clock() - started) / repeats)
    return {name: median(values) for name, values in seconds.items()}


def cycling(call: Callable[[int], object], length: int) -> Call:
    """A call without arguments that goes through the indices 0 to length - 1, over and over."""
    position = -1

    def step() -> object:
        nonlocal position
        position = (position + 1) % length
        return call(position)

    return step
