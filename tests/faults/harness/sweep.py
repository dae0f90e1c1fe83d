"""Replay a story once per fault: every call × every way it can go wrong, every watch event × every way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from rich.table import Table
from tests.faults.harness.calls import Call, Point
from tests.faults.harness.clock import library
from tests.faults.harness.controlplane import ControlPlane
from tests.faults.harness.faults import EVENT_KINDS, Answer, ClockStep, Event, Fault, Kill, LostReply, Stale
from tests.faults.harness.proxy import Entry
from tests.faults.harness.story import Outcome, Story, replay

# Calls that repeat for ever (a lease renewed, a list read anew) are the same after a few.
OCCURRENCES = 3
EVENTS = 12
CLOCK_STEPS = (3600, -3600)


# What goes wrong in one replay: one fault, or several that belong together.
Trouble = tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class Swept:
    """A story's sweep: the undisturbed replay and those with faults."""

    story: str
    undisturbed: Outcome
    outcomes: tuple[Outcome, ...]

    @property
    def broken(self) -> list[Outcome]:
        """Replays in which a promise was broken."""
        return [outcome for outcome in (self.undisturbed, *self.outcomes) if outcome.problems]


def points(log: Iterable[Entry], occurrences: int = OCCURRENCES) -> list[tuple[Point, Call]]:
    """Where faults go: the first calls of every signature, in the order in which they came."""
    return [(e.point, e.call) for e in log if e.point.occurrence <= occurrences and e.call.verb != "other"]


def faults_of(log: Iterable[Entry], events: Mapping[str, int], *, clock: bool = False) -> list[Trouble]:
    """Everything that goes wrong in a story's sweep, from its undisturbed replay. Pure.

    Args:
        log: The calls.
        events: Watch events per resource.
        clock: Whether the operator's clock can be moved here.
    """
    found: list[Trouble] = []
    every = points(log)
    lists = dict.fromkeys(point.signature for point, call in every if call.verb == "list")
    for point, call in every:
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
            # Travel back in time (Sieve, OSDI'22): what comes after reads from a server that has not seen the write.
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
        case Stale():
            name = "stale answer"
        case Event():
            name = f"event: {first.what}"
        case ClockStep():
            name = "clock steps"
    return f"{name}, then stale" if len(trouble) > 1 else name


def sweep(
    plane: ControlPlane,
    story: Story,
    *,
    choose: Callable[[list[Trouble]], Sequence[Trouble]] = lambda troubles: troubles,
    workers: int = 1,
    done: Callable[[Outcome], None] = lambda _: None,
) -> Swept:
    """Replay a story undisturbed, then once per fault.

    Args:
        plane: The API server.
        story: The story.
        choose: Which of the troubles; all, if not given.
        workers: Replays at once.
        done: Told of each replay.
    """
    undisturbed = replay(plane, story)
    if undisturbed.problems:
        return Swept(story.name, undisturbed, ())
    clock = library() is not None or story.program().reads_a_clock_file
    every = faults_of(undisturbed.calls, undisturbed.events, clock=clock)

    def one(trouble: Trouble) -> Outcome:
        outcome = replay(plane, story, trouble, expected=undisturbed.state)
        done(outcome)
        return outcome

    with ThreadPoolExecutor(workers) as pool:
        return Swept(story.name, undisturbed, tuple(pool.map(one, choose(every))))


def table(sweeps: Sequence[Swept]) -> Table:
    """Story × kind of fault: replays, how many reached their fault, how many broke a promise."""
    shown = Table("story", "fault", "replays", "reached", "broken", title="Fault sweep")
    for swept in sweeps:
        kinds = dict.fromkeys(kind(o.faults) for o in swept.outcomes)
        for name in kinds:
            of_kind = [o for o in swept.outcomes if kind(o.faults) == name]
            shown.add_row(
                swept.story, name, str(len(of_kind)), str(sum(o.reached for o in of_kind)),
                str(sum(bool(o.problems) for o in of_kind)),
            )  # fmt: skip
        total = swept.outcomes
        shown.add_row(
            swept.story, "all", str(len(total)), str(sum(o.reached for o in total)), str(len(swept.broken)), style="bold"
        )  # fmt: skip
    return shown
