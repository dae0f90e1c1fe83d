"""The harness finds what it is there to find: a right controller passes, and each known mistake is caught."""

from __future__ import annotations

import pytest
from tests.faults.harness.calls import Point
from tests.faults.harness.clock import library
from tests.faults.harness.controlplane import ControlPlane
from tests.faults.harness.faults import Answer, ClockStep, Event, Fault, Kill, LostReply, Stale
from tests.faults.harness.scenario import replay
from tests.faults.harness.sweep import Trouble, sweep
from tests.faults.toys.scenario import ToyScenario

pytestmark = pytest.mark.xdist_group("faults")
CREATE = Point("create jobs.batch", 1)
STALE_JOBS = Stale(Point("list jobs.batch", 2), times=3)
END = {"june": (1, True), "july": (1, True)}
# One trouble that shows each mistake; `make faults` finds them all by itself.
MISTAKES: dict[str, tuple[Trouble, str]] = {
    "random-names": ((Kill(CREATE, "after"),), "3 Jobs were made"),
    "exists-then-create": ((LostReply(CREATE, "reset"), STALE_JOBS), "3 Jobs were made"),
    "mark-then-act": ((Kill(CREATE, "before"),), "ended as"),
    "conflict-is-fatal": ((Kill(CREATE, "after"),), "ended as"),
    "failed-read-is-empty": ((Answer(Point("list configmaps", 2), 500),), "were deleted"),
    "tidies-by-a-list": ((Stale(Point("list configmaps", 2), times=100),), "were deleted"),
}


def sample(troubles: list[Trouble]) -> list[Trouble]:
    """A dozen from all over the sweep: every kind of fault where the first write is, and some elsewhere."""
    writes = [t for t in troubles if not isinstance(t[0], Event) and t[0].at == CREATE]
    return [*writes, *troubles[:: max(len(troubles) // 4, 1)]]


def test_a_right_controller_passes_a_sample_of_its_sweep(plane: ControlPlane) -> None:
    swept = sweep(plane, ToyScenario(), choose=sample, workers=3)
    assert swept.undisturbed.state == END
    assert [outcome.problems for outcome in swept.broken] == []
    assert len(swept.outcomes) >= 10
    assert sum(outcome.reached for outcome in swept.outcomes) >= len(swept.outcomes) - 1


@pytest.mark.parametrize("mode", MISTAKES)
def test_a_known_mistake_passes_undisturbed_and_is_caught_by_its_fault(
    plane: ControlPlane, mode: str
) -> None:
    trouble, finding = MISTAKES[mode]
    undisturbed = replay(plane, ToyScenario(mode))
    assert undisturbed.problems == ()
    outcome = replay(plane, ToyScenario(mode), trouble, expected=undisturbed.state)
    assert any(finding in problem for problem in outcome.problems), outcome.problems


def test_who_lives_by_events_alone_loses_a_trigger_with_one(plane: ControlPlane) -> None:
    outcome = replay(plane, ToyScenario("events-only", seconds=8), [Event("configmaps", 2, "drop")])
    assert "did not end" in outcome.problems[0]


def test_two_at_once_make_one_job_each_and_by_chance_names_two(plane: ControlPlane) -> None:
    assert replay(plane, ToyScenario(operators=("a", "b")), expected=END).problems == ()
    # Both look before either acts: the reply to one is lost, and what it reads is old.
    double = replay(
        plane, ToyScenario("random-names", operators=("a", "b")), [Answer(Point("patch configmaps", 1), 500)]
    )
    assert any("Jobs were made" in problem for problem in double.problems)


def test_a_right_that_is_missing_is_a_finding(plane: ControlPlane) -> None:
    class Poor(ToyScenario):
        rules = ToyScenario.rules[:1]

    outcome = replay(plane, Poor(seconds=8))
    assert "not allowed: create jobs.batch" in outcome.problems
    assert "not allowed: list jobs.batch" in outcome.problems


def test_a_fault_that_is_not_reached_is_told(plane: ControlPlane) -> None:
    never: Fault = Kill(Point("delete jobs.batch", 7), "before")
    assert not replay(plane, ToyScenario(), [never]).reached


@pytest.mark.skipif(library() is None, reason="libfaketime is not installed: tools/setup/system.sh")
def test_a_clock_that_jumps_changes_nothing_for_who_does_not_ask_it(plane: ControlPlane) -> None:
    outcome = replay(plane, ToyScenario(), [ClockStep(CREATE, 3600)], expected=END)
    assert outcome.reached
    assert outcome.problems == ()
