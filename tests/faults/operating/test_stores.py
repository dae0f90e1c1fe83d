"""The event store and the registry fail.

The scenarios end alike, and people are told what the operator waits for.
"""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from tests.faults.harness.calls import Point
from tests.faults.harness.controlplane import ControlPlane
from tests.faults.harness.faults import Fault, Kill, LostReply
from tests.faults.harness.operators import Operators, Program
from tests.faults.harness.scenario import World, telling
from tests.faults.harness.servers import STORE
from tests.faults.harness.sweep import Scouted, disturbed, scout
from tests.faults.operating import databases, stage
from tests.faults.operating.scenarios import DriftScenario
from tests.support.ports import free_port
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.xdist_group("faults"), pytest.mark.usefixtures("database")]
DECISION = "evidence/retrain-decision.store"
SAMPLE: list[Fault] = [
    LostReply(Point(f"commit {DECISION}", 2), "reset"),
    LostReply(Point(f"insert {DECISION}", 2), "hang"),
    Kill(Point(f"commit {DECISION}", 2), "after"),
]


@pytest.fixture(scope="module")
def undisturbed(plane: ControlPlane) -> Scouted:
    """The scenario run once without troubles."""
    return scout(plane, DriftScenario())


@pytest.mark.parametrize("fault", SAMPLE, ids=str)
def test_drift_leads_to_one_candidate_whatever_happens_to_the_event_store(
    plane: ControlPlane, undisturbed: Scouted, fault: Fault
) -> None:
    outcome = disturbed(plane, undisturbed, (fault,))
    assert outcome.problems == ()
    assert outcome.reached


@dataclass(frozen=True)
class _Scraped(DriftScenario):
    """With metrics."""

    port: int = 0

    def program(self) -> Program:
        plain = stage.operator()
        return Program((*plain.command, "--port", str(self.port)), plain.environment, plain.modules)


def _goes_away(world: World) -> None:
    world.stores[STORE].leave(3600)


def _comes_back(world: World) -> None:
    world.stores[STORE].arm(())


def _locked_out(world: World) -> None:
    databases.lock_out(world.namespace)


def _let_in(world: World) -> None:
    databases.let_in(world.namespace)


@pytest.mark.parametrize(
    ("breaks", "fixes", "words"),
    [(_goes_away, _comes_back, "cannot be used"), (_locked_out, _let_in, "is not permitted to log in")],
    ids=["it is away", "its login is withdrawn"],
)
def test_a_policy_says_that_the_event_store_is_away_waits_and_decides_when_it_is_back(
    plane: ControlPlane,
    tmp_path: Path,
    breaks: Callable[[World], None],
    fixes: Callable[[World], None],
    words: str,
) -> None:
    scenario = _Scraped(port=free_port())
    with telling(plane, scenario, tmp_path) as (world, _, operators):
        policy = partial(stage.find, world, f"{stage.custom(world, 'retrainpolicies')}/leads")
        wait_until(lambda: _ready(policy()) == ("True", "Decided"), seconds=30, what="the first decision")
        breaks(world)
        before = policy()
        assert before is not None
        wait_until(
            lambda: (scenario.act(world), _ready(policy()))[1] == ("False", "EventStoreUnavailable"),
            seconds=60, every=0.2, what="a policy that says what it waits for",
        )  # fmt: skip
        said = policy()
        assert said is not None
        message = said["status"]["conditions"][0]["message"]
        assert words in message
        assert "Nothing is decided here until it answers" in message
        assert "hidden" not in message, "no password"
        rest = {key: value for key, value in said["status"].items() if key != "conditions"}
        assert rest == {key: value for key, value in before["status"].items() if key != "conditions"}
        assert world.api.items(stage.custom(world, "retrainruns")) == [], (
            "nothing is begun that is not on record"
        )
        warnings = [
            e for e in world.api.items(world.path("events")) if e["reason"] == "EventStoreUnavailable"
        ]
        assert [(e["type"], e["involvedObject"]["name"]) for e in warnings] == [("Warning", "leads")]
        failed = 'leadscore_operator_reconciles_total{kind="retrainpolicies",outcome="error"}'
        assert _metric(scenario.port, failed) >= 1
        fixes(world)
        wait_until(
            lambda: (scenario.act(world), scenario.ended(world))[1],
            seconds=90,
            every=0.2,
            what="the scenario's end",
        )
        wait_until(lambda: _ready(policy()) == ("True", "Decided"), seconds=30, what="a policy that is ready")
        assert stage.doubles(world) == []
        assert _stayed(operators)


def _ready(item: stage.Object | None) -> tuple[str, str]:
    found = (item or {}).get("status", {}).get("conditions", [])
    return next(((c["status"], c["reason"]) for c in found if c["type"] == "Ready"), ("", ""))


def _stayed(operators: Operators) -> bool:
    return operators.restarts == 0 and not operators.has_ended("a")


def _metric(port: int, name: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as reply:
        found = re.search(rf"^{re.escape(name)} (\S+)$", reply.read().decode(), re.MULTILINE)
    return 0.0 if found is None else float(found[1])


@dataclass(frozen=True)
class _NoRegistry(DriftScenario):
    """A release whose registry is not there at all."""

    def program(self) -> Program:
        return stage.operator(LEADSCORE_TRACKING_URI=f"http://127.0.0.1:{free_port()}")

    def begin(self, world: World) -> None:
        stage.install(world)
        spec = {"model": "leads", "version": 2, "rollout": "leads"}
        stage.create(world, "modelreleases", "ModelRelease", "leads-2", spec)


def test_a_release_says_that_the_registry_is_away(plane: ControlPlane, tmp_path: Path) -> None:
    with telling(plane, _NoRegistry(), tmp_path) as (world, _, operators):
        release = partial(stage.find, world, f"{stage.custom(world, 'modelreleases')}/leads-2")
        wait_until(
            lambda: _ready(release()) == ("False", "RegistryUnavailable"), seconds=60, what="its words"
        )
        said = release()
        assert said is not None
        assert "phase" not in said["status"], "it is in no phase of which nothing is known"
        assert "gave no answer" in said["status"]["conditions"][0]["message"]
        assert _stayed(operators)
