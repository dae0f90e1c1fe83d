"""What becomes of a watch's lines when its events are dropped, doubled, delayed ….

Pure, the proxy does the sending.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tests.faults.harness.faults import Event, status_body

DELAY_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Send:
    """Pass these bytes on."""

    line: bytes


@dataclass(frozen=True, slots=True)
class Wait:
    """Let time pass; what comes meanwhile waits too."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Freeze:
    """Send nothing any more and keep the connection."""


@dataclass(frozen=True, slots=True)
class End:
    """Close the stream properly."""


Step = Send | Wait | Freeze | End


class Stream:
    """One watch stream under its faults."""

    def __init__(self, faults: Iterable[Event], count: Callable[[], int]) -> None:
        """`count` gives the number of the next event of the resource, over all its streams."""
        self._faults = {fault.number: fault for fault in faults}
        self._count = count
        self._held: bytes | None = None
        self.hit: list[Event] = []

    def feed(self, line: bytes) -> list[Step]:
        """What to do with a line of the server."""
        if json.loads(line).get("type") in {"BOOKMARK", "ERROR"}:
            return [Send(line)]
        fault = self._faults.get(self._count())
        if fault is not None:
            self.hit.append(fault)
            return self._faulty(fault.what, line)
        if self._held is not None:
            late, self._held = self._held, None
            return [Send(line), Send(late)]
        return [Send(line)]

    def _faulty(self, what: str, line: bytes) -> list[Step]:
        if what == "reorder":
            self._held = line
        error = json.dumps({"type": "ERROR", "object": status_body(410)}).encode() + b"\n"
        steps: dict[str, list[Step]] = {
            "drop": [],
            "reorder": [],
            "duplicate": [Send(line), Send(line)],
            "delay": [Wait(DELAY_SECONDS), Send(line)],
            "freeze": [Freeze()],
            "close": [End()],
            "gone": [Send(error), End()],
        }
        return steps[what]
