"""What a proxy knows of one server: every call that came, and which fault each of them meets."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.faults.harness.calls import Call, Numbering, Point
from tests.faults.harness.faults import Answer, Cut, Event, Fault, Stale


@dataclass(slots=True)
class Entry:
    """One call as it happened.

    Attributes:
        client: Operator process that made it.
        point: Its number.
        call: What it asked.
        status: The server's answer; None if the server was not asked, or has not answered.
        delivered: Whether the client got that answer.
        at: When it came, `time.monotonic`.
    """

    client: str
    point: Point
    call: Call
    status: int | None = None
    delivered: bool = False
    at: float = field(default_factory=time.monotonic)

    @property
    def committed(self) -> bool:
        """Whether it changed something."""
        return self.call.writes and self.status is not None and self.status < 300


class Ledger:
    """Calls in the order in which they came, and the faults that wait for them."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.log: list[Entry] = []
        self.hit: set[Fault] = set()
        self.faults: tuple[Fault, ...] = ()
        self._now = now
        self._numbering = Numbering()
        self._away: tuple[float, Cut] | None = None

    def arm(self, faults: Sequence[Fault]) -> None:
        """From now on these faults happen, each once; what was away is back."""
        self.faults = tuple(faults)
        self._away = None

    def leave(self, seconds: float) -> None:
        """Be away from now on, for so long or until `arm` is called."""
        self._away = self._now() + seconds, Cut(Point("any call", 1), seconds)

    def enter(self, client: str, call: Call) -> Entry:
        """Note a call."""
        entry = Entry(client, self._numbering.next(call.signature), call)
        self.log.append(entry)
        return entry

    def fault_at(self, point: Point) -> Fault | None:
        """What happens to the call of this number."""
        if self._away is not None and self._now() < self._away[0]:
            return self._away[1]
        for fault in self.faults:
            if isinstance(fault, Event) or fault.at.signature != point.signature:
                continue
            length = fault.times if isinstance(fault, Answer | Stale) else 1
            if fault.at.occurrence <= point.occurrence < fault.at.occurrence + length:
                if not isinstance(fault, Stale):  # that one needs an old answer to give
                    self.hit.add(fault)
                if isinstance(fault, Cut) and fault.seconds:
                    self._away = self._now() + fault.seconds, fault
                return fault
        return None
