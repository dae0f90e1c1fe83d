"""Which predictions a number is about, and in which steps of time a chart shows them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Self

from leadscore.errors import BadInputError
from leadscore.monitoring.rollups.tables import HOUR_US

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_WEEK: Final = timedelta(weeks=1)
# The first Monday: weeks begin there. Days and hours divide it.
_MONDAY_US: Final = 4 * 24 * HOUR_US
# From which length on a range is shown in longer steps; at most some 160 points, whatever the range.
_STEPS: Final = ((timedelta(days=4), _HOUR), (timedelta(days=150), _DAY), (timedelta(weeks=150), _WEEK))
_COARSE_STEPS: Final = ((timedelta(days=40), _DAY), (timedelta(weeks=40), _WEEK))
_LONGEST_STEP: Final = 13 * _WEEK
# Age at which the outcome of a lead should be known, if nobody says otherwise (as `events.windows` has it).
MATURITY: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class HourRange:
    """A span of whole hours (UTC): roll-ups know no shorter time.

    Attributes:
        start: First moment.
        end: First moment after it.
    """

    start: datetime
    end: datetime

    @classmethod
    def of(cls, start: datetime, end: datetime) -> Self:
        """Return the whole hours that hold the given span.

        Raises:
            BadInputError: A time has no zone, or the span ends before it begins.
        """
        if start.tzinfo is None or end.tzinfo is None:
            raise BadInputError("A range of time needs a zone.", hint="Write 2026-11-29T12:00:00Z, say.")
        if end <= start:
            raise BadInputError(
                f"The range ends ({end:%Y-%m-%d %H:%M}) before it begins ({start:%Y-%m-%d %H:%M}).",
                hint="Choose an end that is later than the beginning.",
            )
        first, last = moment_us(start) // HOUR_US, -(-moment_us(end) // HOUR_US)
        return cls(_moment(first * HOUR_US), _moment(last * HOUR_US))

    @classmethod
    def last(cls, length: timedelta, now: datetime) -> Self:
        """Return the span of that length that ends with the hour of `now`."""
        end = _moment(-(-moment_us(now) // HOUR_US) * HOUR_US)
        return cls.of(end - length, end)

    @property
    def length(self) -> timedelta:
        """How long it is."""
        return self.end - self.start

    @property
    def step(self) -> timedelta:
        """The step of a chart of this range."""
        return next((step for longest, step in _STEPS if self.length <= longest), _LONGEST_STEP)

    @property
    def coarse_step(self) -> timedelta:
        """The step of a chart whose points need many leads each: at most some 40 of them."""
        return next((step for longest, step in _COARSE_STEPS if self.length <= longest), _LONGEST_STEP)

    def before(self) -> HourRange:
        """Return the span of the same length that ends where this one begins."""
        return replace(self, start=self.start - self.length, end=self.start)

    def until(self, moment: datetime) -> HourRange | None:
        """Return what of it lies before a moment, in whole hours; None if nothing does."""
        cut = _moment(moment_us(moment) // HOUR_US * HOUR_US)
        if cut <= self.start:
            return None
        return replace(self, end=min(self.end, cut))

    def steps(self, step: timedelta | None = None) -> Iterator[tuple[datetime, datetime]]:
        """Iterate over the steps of a chart; the first and the last may be cut by the range."""
        step = self.step if step is None else step
        at = step_start(moment_us(self.start), step)
        while at < moment_us(self.end):
            following = at + step // _MICROSECOND
            yield max(_moment(at), self.start), min(_moment(following), self.end)
            at = following


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which predictions.

    Attributes:
        model: Registered name of the model.
        time: When they were scored.
        versions: Only these versions; empty: all.
        roles: Only in these roles; empty: all.
        sources: Only from these sources; empty: all.
        maturity: Age at which the outcome of a lead should be known.
    """

    model: str
    time: HourRange
    versions: tuple[str, ...] = ()
    roles: tuple[str, ...] = ("champion",)
    sources: tuple[str, ...] = ()
    maturity: timedelta = MATURITY

    def mature(self, as_of: datetime) -> Selection | None:
        """Return what of it is old enough to have outcomes; None if nothing is."""
        time = self.time.until(as_of - self.maturity)
        return None if time is None else replace(self, time=time)

    def after(self, moment: datetime) -> Selection | None:
        """Return what of it lies at or after the beginning of an hour; None if nothing does."""
        if moment >= self.time.end:
            return None
        return replace(self, time=HourRange(max(moment, self.time.start), self.time.end))

    def before(self) -> Selection:
        """Return the same of the span before."""
        return replace(self, time=self.time.before())


def moment_us(moment: datetime) -> int:
    """Microseconds since the epoch."""
    return (moment - _EPOCH) // _MICROSECOND


def step_start(hour: int, step: timedelta) -> int:
    """First moment (µs) of the step that an hour is in; weeks begin on Monday."""
    length = step // _MICROSECOND
    return hour - (hour - _MONDAY_US) % length


def _moment(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)
