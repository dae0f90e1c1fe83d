"""Detect a watch that has frozen without an error (kopf #614, #698, #955, #957).

An idle stream and a frozen one look alike, so the watch is compared with the lists of the periodic resync: an
object whose listed version the watch has not delivered for a while means that the watch is frozen. That gives
no false alarms in a quiet cluster and needs no bookmarks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

Key = tuple[str, str]  # plural, name

FROZEN_SECONDS: Final = 90.0
STUCK_SECONDS: Final = 180.0


@dataclass(slots=True)
class Health:
    """State for probes and metrics. Times are of the monotonic clock."""

    now: Callable[[], float] = time.monotonic
    _seen: dict[Key, str] = field(default_factory=dict[Key, str])
    _late: dict[Key, float] = field(default_factory=dict[Key, float])
    _working: dict[Key, float] = field(default_factory=dict[Key, float])
    _resynced: float | None = None
    last_event: float | None = None
    counts: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    _began: float = field(init=False)

    def __post_init__(self) -> None:
        self._began = self.now()

    def event(self, key: Key, version: str, *, deleted: bool) -> None:
        """The watch has delivered this version of an object."""
        self.last_event = self.now()
        self._late.pop(key, None)
        if deleted:
            self._seen.pop(key, None)
        else:
            self._seen[key] = version

    def listed(self, plural: str, objects: Iterable[tuple[str, str]]) -> None:
        """A list has these names and versions.

        Those that the watch has not delivered are late from now on.
        """
        present = {(plural, name): version for name, version in objects}
        for key, version in present.items():
            if self._seen.get(key) != version:
                self._late.setdefault(key, self.now())
            else:
                self._late.pop(key, None)
        for key in [k for k in self._late if k[0] == plural and k not in present]:
            del self._late[key]

    def resynced(self) -> None:
        """A whole resync has succeeded."""
        self._resynced = self.now()

    def started(self, key: Key) -> None:
        """A worker works on this key."""
        self._working[key] = self.now()

    def ended(self, key: Key, outcome: str) -> None:
        """It does no more."""
        self._working.pop(key, None)
        self.counts[key[0], outcome] = self.counts.get((key[0], outcome), 0) + 1

    def liveness_error(self) -> str:
        """Why this process should be restarted; empty if it should not."""
        late = [key for key, since in self._late.items() if self.now() - since > FROZEN_SECONDS]
        if late:
            return f"The watch of {late[0][0]} is frozen: {late[0][1]} has changed unseen."
        stuck = [key for key, since in self._working.items() if self.now() - since > STUCK_SECONDS]
        return f"The work on {stuck[0][0]} {stuck[0][1]} does not end." if stuck else ""

    def ready(self, bound: float) -> bool:
        """Whether the cluster was read as a whole within `bound` seconds."""
        return self._resynced is not None and self.now() - self._resynced <= bound

    def event_age(self) -> float:
        """Seconds since the watch told anything; since the start if it never did."""
        return self.now() - (self._began if self.last_event is None else self.last_event)

    def resync_age(self) -> float:
        """Seconds since the last whole resync; since the start if there was none."""
        return self.now() - (self._began if self._resynced is None else self._resynced)
