"""Faults of the database find what they are there to find.

A right controller passes, and each known mistake is caught.
"""

from __future__ import annotations

import pytest
from tests.faults.harness.calls import Point
from tests.faults.harness.controlplane import ControlPlane
from tests.faults.harness.faults import Cut, Fault, Kill, LostReply
from tests.faults.harness.scenario import replay
from tests.faults.harness.sweep import Trouble, kind, sweep
from tests.faults.toys.claim_scenario import ClaimScenario

pytestmark = [pytest.mark.xdist_group("faults"), pytest.mark.usefixtures("database")]
COMMIT = Point("commit evidence/claim.store", 1)
END = {"june": 1, "july": 1}
MISTAKES: dict[str, tuple[Fault, str]] = {
    "random-key": (LostReply(COMMIT, "reset"), "2 claims of one request"),
    "mark-then-claim": (Cut(COMMIT), "ended as"),
    "error-is-done": (Cut(COMMIT), "ended as"),
    "waits-for-ever": (LostReply(COMMIT, "hang"), "did not end"),
}


def at_commits(troubles: list[Trouble]) -> list[Trouble]:
    return [t for t in troubles if getattr(t[0], "at", None) == COMMIT]


def test_who_claims_under_a_key_of_the_request_passes_every_fault_of_a_commit(plane: ControlPlane) -> None:
    swept = sweep(plane, ClaimScenario(), choose=at_commits, workers=3)
    assert swept.undisturbed.state == END
    assert [outcome.problems for outcome in swept.broken] == []
    assert {kind(outcome.faults) for outcome in swept.outcomes} >= {
        "store: reply lost (reset)", "store: reply lost (hang)", "store: cut", "store: kill before",
        "store: kill after",
    }  # fmt: skip
    assert all(outcome.reached for outcome in swept.outcomes)


@pytest.mark.parametrize("mode", MISTAKES)
def test_a_known_mistake_passes_undisturbed_and_is_caught_by_its_fault(
    plane: ControlPlane, mode: str
) -> None:
    fault, finding = MISTAKES[mode]
    scenario = ClaimScenario(mode, seconds=8 if mode == "waits-for-ever" else 40)
    undisturbed = replay(plane, scenario)
    assert undisturbed.problems == ()
    assert undisturbed.state == END
    outcome = replay(plane, scenario, [fault], expected=END)
    assert any(finding in problem for problem in outcome.problems), outcome.problems


def test_a_claim_is_lost_by_who_marks_first_and_is_killed(plane: ControlPlane) -> None:
    outcome = replay(plane, ClaimScenario("mark-then-claim"), [Kill(COMMIT, "before")], expected=END)
    assert "another end" in outcome.ways
