"""A sample of the operator's fault sweep.

`make faults` runs all of it, and all of the release scenarios, which need MLflow.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from tests.faults.harness.calls import Point
from tests.faults.harness.controlplane import ControlPlane
from tests.faults.harness.faults import Answer, Event, Fault, Kill, LostReply, Stale
from tests.faults.harness.scenario import Scenario, World, telling
from tests.faults.harness.sweep import Scouted, disturbed, scout
from tests.faults.operating import stage
from tests.faults.operating.release_scenarios import ReleaseScenario
from tests.faults.operating.scenarios import (
    AttemptsScenario,
    DriftScenario,
    PipelineBugScenario,
    QueueScenario,
)
from tests.support.waiting import wait_until

pytestmark = pytest.mark.xdist_group("faults")
SAMPLE: list[tuple[Scenario, list[Fault]]] = [
    (DriftScenario(), [Kill(Point("create retrainruns.leadscore.dev", 1), "after")]),
    (DriftScenario(), [LostReply(Point("create jobs.batch", 1), "reset")]),
    (DriftScenario(), [Event("jobs.batch", 2, "drop")]),
    (AttemptsScenario(), [Answer(Point("update retrainruns/status.leadscore.dev", 2), 409)]),
    (QueueScenario(), [Kill(Point("create jobs.batch", 1), "before")]),
    (QueueScenario(), [Stale(Point("get jobs.batch", 1), times=1000)]),
    (PipelineBugScenario(), []),
    (ReleaseScenario("shadowed"), [Kill(Point("create deployments.apps", 1), "after")]),
    (ReleaseScenario("stopped in the shadow"), [LostReply(Point("delete deployments.apps", 1), "reset")]),
]


@pytest.mark.parametrize(
    ("scenario", "faults"),
    SAMPLE,
    ids=lambda v: getattr(v, "title", " + ".join(map(str, v)) if isinstance(v, list) else ""),
)
def test_a_story_ends_as_it_should_whatever_goes_wrong(
    plane: ControlPlane, scenario: Scenario, faults: list[Fault]
) -> None:
    # What it comes to is compared with the same scenario undisturbed, not only looked through for doubles.
    outcome = disturbed(plane, _undisturbed(plane, scenario), tuple(faults))
    assert outcome.problems == ()
    assert outcome.reached


_told: dict[str, Scouted] = {}


def _undisturbed(plane: ControlPlane, scenario: Scenario) -> Scouted:
    """The scenario run once without troubles; kept for its other samples."""
    if scenario.name not in _told:
        _told[scenario.name] = scout(plane, scenario)
    return _told[scenario.name]


def test_a_leader_that_is_told_to_stop_gives_its_lease_up_and_does_nothing_else(
    plane: ControlPlane, tmp_path: Path
) -> None:
    with telling(plane, DriftScenario(operators=("a", "b")), tmp_path) as (world, proxy, operators):
        leases = world.path("leases", "coordination.k8s.io")
        holder = partial(_holder, world, f"{leases}/leadscore-operator")
        # A leader that works knows that it leads.
        wait_until(lambda: bool(world.done("patch", "cronjobs")), seconds=30, what="a leader's work")
        first = holder()
        told = len(proxy.log)
        operators.terminate(first)
        wait_until(lambda: holder() not in {"", first}, seconds=30, what="a successor")
        wait_until(lambda: operators.has_ended(first), seconds=30, what="the end of the first")
        since = [e.call.signature for e in proxy.log[told:] if e.client == first]
    assert since[-2:] == ["get leases.coordination.k8s.io", "update leases.coordination.k8s.io"]
    # A look at everything may have been under way; it looks no more after that one.
    assert since.count("list cronjobs.batch") <= 1
    assert since.count("update leases.coordination.k8s.io") <= 2


def _holder(world: World, path: str) -> str:
    lease = stage.find(world, path)
    return "" if lease is None else str(lease["spec"].get("holderIdentity", ""))
