"""Load shapes as arrival schedules: *when* requests are due, decided before anything is sent.

A shape is a cumulative arrival function A(t) (how many requests are due by second t) and its inverse: request
number i is due at A⁻¹(i). The schedule never waits for a reply, so a slow service meets the same arrivals as
a fast one (open loop). `constant_throughput` of Locust's users is closed-loop: a slow reply delays the next
request, and the delay never shows in the latencies.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol


class Shape(Protocol):
    """A schedule of arrivals over `seconds`."""

    @property
    def seconds(self) -> float:
        """Length of the schedule."""
        ...

    def arrivals(self) -> Iterator[float]:
        """Due times in seconds since the start, never decreasing, all below `seconds`."""
        ...


@dataclass(frozen=True, slots=True)
class Constant:
    """The same `rate` (req/s) throughout."""

    seconds: float
    rate: float

    def arrivals(self) -> Iterator[float]:
        """Due times `i / rate`."""
        return _take(lambda i: i / self.rate, self.seconds)


@dataclass(frozen=True, slots=True)
class Ramp:
    """From `start` to `peak` req/s in a straight line: A(t) = start·t + (peak - start)·t² / (2·seconds)."""

    seconds: float
    start: float
    peak: float

    def arrivals(self) -> Iterator[float]:
        """The positive root of A(t) = i, in the form that stays exact when the slope is small."""
        slope = (self.peak - self.start) / self.seconds

        def due(i: int) -> float:
            return 2 * i / (self.start + math.sqrt(max(self.start**2 + 2 * slope * i, 0.0))) if i else 0.0

        return _take(due, self.seconds)


@dataclass(frozen=True, slots=True)
class Spike:
    """`base` req/s, and `peak` req/s during the middle sixth: a campaign mail has gone out."""

    seconds: float
    base: float
    peak: float

    @property
    def spike_start(self) -> float:
        """Second at which the spike begins."""
        return self.seconds * 5 / 12

    @property
    def spike_end(self) -> float:
        """Second at which the rate returns to `base`."""
        return self.seconds * 7 / 12

    def arrivals(self) -> Iterator[float]:
        """Inverse of the three straight pieces of A(t)."""
        before = self.base * self.spike_start
        through = before + self.peak * (self.spike_end - self.spike_start)

        def due(i: int) -> float:
            if i < before:
                return i / self.base
            if i < through:
                return self.spike_start + (i - before) / self.peak
            return self.spike_end + (i - through) / self.base

        return _take(due, self.seconds)


SHAPES = ("constant", "ramp", "spike")


def make_shape(name: str, *, seconds: float, rate: float, peak: float) -> Shape:
    """The shape of that name.

    Args:
        name: `constant`, `ramp` or `spike`.
        seconds: Length.
        rate: req/s of the constant part, or where the ramp begins.
        peak: req/s at the end of the ramp, or during the spike.

    Raises:
        ValueError: An unknown name, or a figure that is not above zero; the sentence says which.
    """
    for what, value in (("length", seconds), ("rate", rate), ("peak rate", peak)):
        if not (value > 0 and math.isfinite(value)):
            raise ValueError(f"The {what} of a load shape must be above zero, not {value}.")
    if name == "constant":
        return Constant(seconds, rate)
    if name == "ramp":
        return Ramp(seconds, rate, peak)
    if name == "spike":
        return Spike(seconds, rate, peak)
    raise ValueError(f"There is no load shape {name!r}; choose one of {', '.join(SHAPES)}.")


def _take(due: Callable[[int], float], seconds: float) -> Iterator[float]:
    i = 0
    while (moment := due(i)) < seconds:
        yield moment
        i += 1
