"""A number as people may be shown it: with how many it counts, of when it is, and what it does not know."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One number, or why there is none.

    Attributes:
        value: In the unit of whoever asks; None: unknown, which is never the same as 0 or as good.
        n: How many predictions, leads or requests it counts.
        as_of: Until when the records behind it were read (UTC); None if none ever were.
        low: Lower end of its interval; None if it has none.
        high: Upper end.
        completeness: Share of the predictions, old enough to have an outcome, that have one; None where
            labels play no part or nothing is old enough.
        unknown: Why there is no value, in a sentence; empty if there is one.
    """

    value: float | None
    n: int
    as_of: datetime | None = None
    low: float | None = None
    high: float | None = None
    completeness: float | None = None
    unknown: str = ""

    def __post_init__(self) -> None:
        if (self.value is None) != bool(self.unknown):
            raise ValueError("a measure has a value, or says why it has none")

    @classmethod
    def missing(cls, why: str, *, n: int = 0, as_of: datetime | None = None) -> Self:
        """Return the measure of what is not known."""
        return cls(value=None, n=n, as_of=as_of, unknown=why)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurePoint:
    """A measure of a span of time: one point of a line.

    Attributes:
        start: First moment (UTC).
        end: First moment after it.
        measure: What holds between them.
    """

    start: datetime
    end: datetime
    measure: Measure


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureSeries:
    """A line of a chart: the same measure over time, gaps included as unknown points.

    Attributes:
        name: What distinguishes it, such as a model version.
        points: In order of time.
    """

    name: str
    points: tuple[MeasurePoint, ...]
