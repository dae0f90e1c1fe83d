"""Replay a scenario once per fault: every call × every way it can go wrong, every watch event × every way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

from tests.faults.harness.calls import WRITES, Call, Point
from tests.faults.harness.clock import library
from tests.faults.harness.controlplane import ControlPlane
from tests.faults.harness.faults import (
    EVENT_KINDS,
    Answer,
    ClockStep,
    Cut,
    Event,
    Fault,
    Kill,
    LostReply,
    Stale,
)
from tests.faults.harness.ledger import Entry
from tests.faults.harness.scenario import Outcome, Scenario, replay
from tests.faults.harness.stores import changes, faults_at, is_point, is_store, server_of

# Calls that repeat for ever (a lease renewed, a list read anew) are the same after a few.
OCCURRENCES = 3
EVENTS = 12
CLOCK_STEPS = (3600, -3600)


# Of each kind, at a write and at a read (see `rank`). To the world a kill after a read is a kill before it.
_RANKS = {
    "kill before": (0, 1),
    "kill after": (0, 3),
    "reply lost (reset)": (0, 2),
    "reply lost (hang)": (2, 3),
    "stale answer": (1, 1),
    "clock steps": (2, 4),
}

# What goes wrong in one replay: one fault, or several that belong together.
Trouble = tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class Swept:
    """A scenario's sweep: the undisturbed replay and those with faults (without their many calls)."""

    scenario: str
    undisturbed: Outcome
    outcomes: tuple[Outcome, ...]

    @property
    def broken(self) -> list[Outcome]:
        """Replays in which a promise was broken."""
        return [outcome for outcome in (self.undisturbed, *self.outcomes) if outcome.problems]


def points(log: Iterable[Entry], occurrences: int = OCCURRENCES) -> list[tuple[Point, Call]]:
    """Where faults go: the first calls of every signature, in the order in which they came."""
    return [
        (e.point, e.call)
        for e in log
        if e.call.verb != "other"
        and (is_point(e.point, e.call) if is_store(e.call) else e.point.occurrence <= occurrences)
    ]


def faults_of(log: Iterable[Entry], events: Mapping[str, int], *, clock: bool = False) -> list[Trouble]:
    """Everything that goes wrong in a scenario's sweep, from its undisturbed replay. Pure.

    Args:
        log: The calls.
        events: Watch events per resource.
        clock: Whether the operator's clock can be moved here.
    """
    found: list[Trouble] = []
    every = points(log)
    lists = dict.fromkeys(point.signature for point, call in every if call.verb == "list")
    for point, call in every:
        if is_store(call):
            found += [(fault,) for fault in faults_at(point, call)]
            continue
        single: list[Fault] = [Kill(point, "before"), Answer(point, 429), Answer(point, 500, times=2)]
        if call.verb == "watch":
            single.append(Answer(point, 410))
        else:
            single += [Kill(point, "after"), LostReply(point, "reset"), LostReply(point, "hang")]
        if call.verb in {"get", "list"} and point.occurrence > 1:  # the first answer cannot be an old one
            single.append(Stale(point))
        if clock:
            single += [ClockStep(point, seconds) for seconds in CLOCK_STEPS]
        found += [(fault,) for fault in single]
        if call.writes:
            found.append((Answer(point, 409),))
            # Travel back in time (Sieve, OSDI'22): what comes after reads from a server that has not seen the
            # write.
            past = tuple(Stale(Point(signature, 2), times=3) for signature in lists)
            found += [(Kill(point, "after"), *past), (LostReply(point, "reset"), *past)] if past else []
    for resource, count in sorted(events.items()):
        for number in range(1, min(count, EVENTS) + 1):
            found += [(Event(resource, number, what),) for what in EVENT_KINDS]
    return found


def kind(trouble: Trouble) -> str:
    """The row of the table that it belongs to."""
    first = trouble[0]
    match first:
        case Kill():
            name = f"kill {first.when}"
        case LostReply():
            name = f"reply lost ({first.how})"
        case Answer():
            name = f"answer {first.status}"
        case Cut():
            name = "away" if first.seconds else "cut"
        case Stale():
            name = "stale answer"
        case Event():
            name = f"event: {first.what}"
        case ClockStep():
            name = "clock steps"
    if not isinstance(first, Event) and (server := server_of(first.at.signature)):
        return f"{server}: {name}"
    return f"{name}, then stale" if len(trouble) > 1 else name


def describe(trouble: Trouble) -> str:
    """A trouble in words."""
    return " + ".join(str(fault) for fault in trouble) or "undisturbed"


def rank(trouble: Trouble) -> int:
    """How soon in a sweep that may be cut: first what loses or doubles things most easily."""
    first = trouble[0]
    if isinstance(first, Event):
        return 1
    at_write, at_read = _RANKS.get(kind(trouble).rpartition(": ")[2].removesuffix(", then stale"), (1, 2))
    signature = first.at.signature
    writes = signature.partition(" ")[0] in WRITES or changes(signature)
    return at_write if writes else at_read


@dataclass(frozen=True, slots=True)
class Scouted:
    """A scenario run undisturbed, and all that can go wrong in it (nothing, if it went wrong by itself)."""

    scenario: Scenario
    undisturbed: Outcome
    troubles: tuple[Trouble, ...]


def scout(plane: ControlPlane, scenario: Scenario, *, patience: float = 1.0) -> Scouted:
    """Tell a scenario undisturbed and see where faults can be put."""
    undisturbed = replay(plane, scenario, patience=patience)
    if undisturbed.problems:
        return Scouted(scenario, undisturbed, ())
    clock = library() is not None or scenario.program().reads_a_clock_file
    return Scouted(
        scenario, undisturbed, tuple(faults_of(undisturbed.calls, undisturbed.events, clock=clock))
    )


def sweep(
    plane: ControlPlane,
    scenario: Scenario,
    *,
    choose: Callable[[list[Trouble]], Sequence[Trouble]] = lambda troubles: troubles,
    workers: int = 1,
) -> Swept:
    """Replay a scenario undisturbed, then once per fault.

    Args:
        plane: The API server.
        scenario: The scenario.
        choose: Which of the troubles; all, if not given.
        workers: Replays at once.
    """
    scouted = scout(plane, scenario)
    with ThreadPoolExecutor(workers) as pool:
        outcomes = pool.map(partial(disturbed, plane, scouted), choose([*scouted.troubles]))
        return Swept(scenario.name, scouted.undisturbed, tuple(outcomes))


def disturbed(plane: ControlPlane, scouted: Scouted, trouble: Trouble, *, patience: float = 1.0) -> Outcome:
    """One replay under a trouble, without its calls: a sweep has many."""
    expected = scouted.undisturbed.state
    return replace(replay(plane, scouted.scenario, trouble, expected=expected, patience=patience), calls=())
