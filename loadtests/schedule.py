"""One run of a shape: hands out due times, notes which were answered, and knows when the run is over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from loadtests.shapes import Shape
from loadtests.slo import Sample

# A reply that takes longer than this counts as never given.
PATIENCE_SECONDS = 30.0
# A ramp whose arrivals wait this long for a free connection has found what it was looking for.
SATURATED_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request that is due `due` seconds after the run's start."""

    number: int
    due: float


@dataclass(frozen=True, slots=True)
class Record:
    """What a run leaves behind: its samples, how long it took (s), and whether it ended at saturation."""

    samples: tuple[Sample, ...]
    seconds: float
    saturated: bool


@dataclass(slots=True)
class Run:
    """The state of one run; times are seconds on one monotonic clock that the caller reads."""

    shape: Shape
    started: float
    stops_when_saturated: bool = False
    samples: list[Sample] = field(default_factory=list)
    taken: dict[int, tuple[str, float]] = field(default_factory=dict)
    exhausted: bool = False
    saturated: bool = False
    _last_reply: float = 0.0
    _arrivals: Iterator[float] = field(init=False)
    _count: int = 0

    def __post_init__(self) -> None:
        self._arrivals = self.shape.arrivals()

    def take(self, now: float) -> Arrival | None:
        """The next arrival, for a connection that is free at `now`; None when there is none left."""
        due = None if self.exhausted else next(self._arrivals, None)
        if due is None:
            self.exhausted = True
            return None
        if self.stops_when_saturated and now - self.started - due > SATURATED_SECONDS:
            self.exhausted = self.saturated = True
            return None
        arrival = Arrival(self._count, due)
        self._count += 1
        self.taken[arrival.number] = ("unsent", due)
        return arrival

    def sent(self, arrival: Arrival, endpoint: str) -> None:
        """The request has gone out to `endpoint`."""
        self.taken[arrival.number] = (endpoint, arrival.due)

    def answered(self, arrival: Arrival, sample: Sample, now: float) -> None:
        """The reply, or the failure, has come."""
        del self.taken[arrival.number]
        self.samples.append(sample)
        self._last_reply = now

    def finished(self, now: float) -> bool:
        """Every arrival is answered, or patience with the rest has run out."""
        if self.exhausted and not self.taken:
            return True
        return now - self.started > self.shape.seconds + PATIENCE_SECONDS

    def close(self, now: float) -> Record:
        """Everything recorded: what is due by `now` and still waits for its reply has failed."""
        elapsed = now - self.started
        unanswered = [
            Sample(endpoint, due, (elapsed - due) * 1000, 0.0, answered=False)
            for endpoint, due in self.taken.values()
            if due <= elapsed
        ]
        cut_short = self.saturated or not self.exhausted
        return Record(
            samples=(*self.samples, *unanswered),
            seconds=elapsed if cut_short else max(self.shape.seconds, self._last_reply - self.started),
            saturated=self.saturated,
        )
