"""Work that goes on for as long as the process lives: each chore by itself, none ends because it failed."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from leadscore.errors import LeadScoreError, UnavailableError
from leadscore.monitoring.lease import LeaseLostError, StoreLease

_log = logging.getLogger(__name__)

# The longest pause after rounds that failed.
_LONGEST_PAUSE: Final = 60.0
_FIRST_PAUSE: Final = 1.0
_STANDBY: Final = 0.5


@dataclass(frozen=True, slots=True)
class Chore:
    """One thing to do again and again, by the monitor that holds the lease.

    Attributes:
        name: What logs and metrics call it.
        run: One round. What it raises is counted and logged; it is tried again after a second, then two, four
            and so on, up to a minute.
        every: Seconds between the end of a round and the next one.
    """

    name: str
    run: Callable[[], object]
    every: float


@dataclass(slots=True)
class ChoreState:
    """How a chore does.

    Attributes:
        name: Of the chore.
        rounds: That ended well.
        failures: That failed.
        failing: Rounds that failed since the last good one.
        error: Of the last round, if it failed.
        good_at: End of the last good round (time.time); None before the first.
    """

    name: str
    rounds: int = 0
    failures: int = 0
    failing: int = 0
    error: str = ""
    good_at: float | None = None


@dataclass(slots=True)
class _Loop:
    chore: Chore
    state: ChoreState
    thread: threading.Thread | None = None


@dataclass(slots=True)
class ChoreKeeper:
    """Runs chores in a thread each while the lease is held, until told to stop.

    Attributes:
        lease: Renewed here.
        chores: What to do.
        stopping: Set from outside to end.
    """

    lease: StoreLease
    chores: Sequence[Chore]
    stopping: threading.Event = field(default_factory=threading.Event)
    _loops: list[_Loop] = field(default_factory=list[_Loop])
    _lease_state: ChoreState = field(default_factory=lambda: ChoreState("lease"))

    @property
    def states(self) -> tuple[ChoreState, ...]:
        """How each does; the lease's renewal is the first."""
        return (self._lease_state, *(loop.state for loop in self._loops))

    @property
    def silence(self) -> str:
        """Why nothing is known of the store; empty if it took a renewal within the lease's time."""
        state = self._lease_state
        if state.failing:
            return state.error
        if state.good_at is None:
            return "The event store has not been asked yet."
        # One that is asked and says nothing has not failed yet.
        if time.time() - state.good_at > self.lease.seconds:
            return f"The event store has not answered for more than {self.lease.seconds:g} s."
        return ""

    @property
    def alive(self) -> bool:
        """Whether every thread is there: none may end before the process does."""
        return all(loop.thread is None or loop.thread.is_alive() for loop in self._loops)

    def start(self) -> None:
        """Begin."""
        self._loops = [_Loop(chore, ChoreState(chore.name)) for chore in self.chores]
        for loop in self._loops:
            loop.thread = threading.Thread(target=self._repeat, args=(loop,), name=loop.chore.name)
            loop.thread.start()

    def keep_lease(self) -> None:
        """Renew the lease until told to stop, then let the chores finish their round and give it up."""
        renewal = Chore("lease", self.lease.renew, self.lease.renew_every)
        while not self.stopping.is_set():
            pause = _round(renewal, self._lease_state)
            # A lease is worth asking for at the usual pace, however long the store has been away.
            self.stopping.wait(min(pause, 2 * renewal.every))
        for loop in self._loops:
            while loop.thread is not None and loop.thread.is_alive():
                loop.thread.join(renewal.every)
                if self.lease.leading:
                    _round(renewal, self._lease_state)
        try:
            self.lease.give_up()
        except UnavailableError as error:
            _log.info("the lease was not given up", extra={"fields": {"error": error.message}})

    def _repeat(self, loop: _Loop) -> None:
        while not self.stopping.is_set():
            pause = _round(loop.chore, loop.state) if self.lease.leading else _STANDBY
            self.stopping.wait(pause)


def _round(chore: Chore, state: ChoreState) -> float:
    """One round; returns how long to pause after it, in seconds."""
    try:
        chore.run()
    except LeaseLostError:
        # No fault of the chore: whoever leads now does it.
        return _STANDBY
    except Exception as error:  # noqa: BLE001 - the end of a chore would go unnoticed, and it is needed
        state.failures += 1
        state.failing += 1
        said = f"{type(error).__name__}: {error}"
        if said != state.error:
            # Once, not every round: what does not change is not news. What we raise ourselves says enough.
            trace = None if isinstance(error, LeadScoreError) else error
            fields = {"chore": chore.name, "error": said}
            _log.error("a chore failed", exc_info=trace, extra={"fields": fields})
        state.error = said
        # Sooner than usual at first: what was away for a moment is not to be missed for a whole interval.
        return min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** (state.failing - 1))
    if state.failing:
        _log.info("a chore works again", extra={"fields": {"chore": chore.name, "after": state.failing}})
    state.rounds += 1
    state.failing, state.error, state.good_at = 0, "", time.time()
    return chore.every
