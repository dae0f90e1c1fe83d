"""Statuses as an operator before has written them (`statuses_before.json`).

Read as they are, and not rewritten by an upgrade.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.unit.operator.objects import NOW, WORKLOAD, detector, job, policy, run, thing, verdict

from leadscore_operator.decide.detector import DetectorObservation, observations, plan_detector
from leadscore_operator.decide.jobs import TerminationMessage
from leadscore_operator.decide.policy import PolicyObservation, plan_policy
from leadscore_operator.decide.release import machine_status
from leadscore_operator.decide.run import RunObservation, plan_run
from leadscore_operator.resources import decode
from leadscore_operator.statuses import DetectorStatus, ModelReleaseStatus, PolicyStatus, RunStatus, to_wire

BEFORE = json.loads((Path(__file__).parent / "statuses_before.json").read_text())


@pytest.mark.parametrize(
    ("plural", "struct"),
    [
        ("driftdetectors", DetectorStatus),
        ("retrainpolicies", PolicyStatus),
        ("retrainruns", RunStatus),
        ("modelreleases", ModelReleaseStatus),
    ],
)
def test_a_status_of_before_comes_back_as_it_was(plural: str, struct: type) -> None:
    found = decode(BEFORE[plural], struct, "status")
    assert {k: v for k, v in to_wire(found).items() if v != ""} == BEFORE[plural]


def test_a_detector_and_a_policy_that_nothing_has_happened_to_are_not_written_by_the_upgrade() -> None:
    item = detector(BEFORE["driftdetectors"])
    jobs = [job("c-1", ended="Complete"), job("c-2", ended="Failed", minutes_ago=20)]
    words = {"c-1": verdict(), "c-2": TerminationMessage("The event store is down.", 6)}
    plan = plan_detector(DetectorObservation(item, [], jobs, words), WORKLOAD, NOW)
    assert (plan.status, plan.events) == (item["status"], ())
    assert [o.severity for o in observations(item)] == ["significant"]
    asked = policy(BEFORE["retrainpolicies"])
    live = [
        run(
            name=BEFORE["retrainpolicies"]["runs"][0]["name"], key=BEFORE["retrainpolicies"]["runs"][0]["key"]
        )
    ]
    decided = plan_policy(PolicyObservation(asked, [item], live, frozenset(), []), NOW).status
    assert decided is not None
    assert decided["runs"][0]["key"] == BEFORE["retrainpolicies"]["runs"][0]["key"]
    assert decided["decision"]["hold"] == "live-run"


def test_a_run_that_has_ended_and_a_release_in_its_watch_go_on_from_where_they_were() -> None:
    ended = plan_run(RunObservation(run(BEFORE["retrainruns"]), policy(), None, None), WORKLOAD, NOW)
    assert (ended.status, ended.changes) == (None, ())
    status = machine_status(thing("leads-7", {}, BEFORE["modelreleases"]))
    assert (status.phase, status.approved_by, status.shadow_since, status.watch_since) == (
        "Watching",
        "Ada",
        NOW,
        NOW,
    )
