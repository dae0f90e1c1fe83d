from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
from tests.unit.operator.objects import (
    NOW,
    WORKLOAD,
    Manifest,
    detector,
    job,
    policy,
    run,
    stamp,
    thing,
    verdict,
)

from leadscore.drift.verdict import DriftVerdict
from leadscore_operator.decide.detector import DetectorObservation, plan_detector
from leadscore_operator.decide.jobs import TerminationMessage
from leadscore_operator.decide.policy import PolicyObservation, plan_policy, unlisted
from leadscore_operator.plan import Create, Plan


def watched(**about: Any) -> Manifest:
    words = {"c-1": verdict(**about)}
    plan = plan_detector(
        DetectorObservation(detector(), [], [job("c-1", ended="Complete")], words), WORKLOAD, NOW
    )
    return detector(plan.status)


def plan(item: Manifest, *, detectors: Any = (), runs: Any = (), gone: Any = (), releases: Any = ()) -> Plan:
    return plan_policy(PolicyObservation(item, detectors, runs, frozenset(gone), releases), NOW)


def test_drift_makes_one_run_whose_name_is_the_same_every_time() -> None:
    first = plan(policy(), detectors=[watched()])
    (create,) = first.changes
    assert isinstance(create, Create)
    later = plan_policy(
        PolicyObservation(policy(), [watched()], [], frozenset(), []), NOW + timedelta(minutes=3)
    )
    assert isinstance(later.changes[0], Create)
    assert later.changes[0].body["metadata"]["name"] == create.body["metadata"]["name"]
    assert later.records[0].id == first.records[0].id, "recorded once, whoever decides it again"
    assert create.body["spec"]["trigger"] == "drift"
    assert create.body["metadata"]["ownerReferences"][0]["uid"] == "uid-leads"
    assert first.status is not None
    assert first.status["decision"]["action"] == "Retrain"
    assert first.status["lastRun"]["key"] == create.body["spec"]["key"]


def lost(drop: float, *, days_ago: float = 30) -> Manifest:
    """A detector whose newest verdict says that the model lost so much AUC, on leads of so long ago."""
    said = DriftVerdict.from_json(verdict("none", "none").message)
    said = msgspec.structs.replace(
        said,
        severity="critical",
        drifted=True,
        kind="concept",
        drop=drop,
        outcomes_end=NOW - timedelta(days=days_ago),
    )
    words = {"c-1": TerminationMessage(said.to_termination_message().decode(), 0)}
    done = plan_detector(
        DetectorObservation(detector(), [], [job("c-1", ended="Complete")], words), WORKLOAD, NOW
    )
    return detector(done.status)


def test_a_loss_of_auc_above_the_limit_plans_a_run_and_one_below_does_not() -> None:
    item = policy(triggers={"performance": {"maxDrop": 0.05}})
    (create,) = plan(item, detectors=[lost(0.08)]).changes
    assert isinstance(create, Create)
    assert create.body["spec"]["trigger"] == "performance"
    assert "8.0%" in create.body["spec"]["reason"]
    assert plan(item, detectors=[lost(0.05)]).changes == ()


def test_a_loss_on_leads_from_before_the_last_run_asks_for_no_second_one() -> None:
    item = policy(triggers={"performance": {}, "drift": {}}, coolDown="1h")
    earlier = run({"phase": "Succeeded", "finished": stamp(NOW - timedelta(days=1.9))})
    assert plan(item, detectors=[lost(0.2, days_ago=30)], runs=[earlier]).changes == ()
    assert len(plan(item, detectors=[lost(0.2, days_ago=1)], runs=[earlier]).changes) == 1


def test_another_policy_of_the_same_name_makes_other_names() -> None:
    def name(item: Manifest) -> str:
        change = plan(item, detectors=[watched()]).changes[0]
        assert isinstance(change, Create)
        return str(change.body["metadata"]["name"])

    assert name(policy()) != name(policy() | {"metadata": policy()["metadata"] | {"uid": "other"}})


def test_a_wait_is_in_the_status_with_its_reason_and_does_not_change_by_waiting() -> None:
    done = plan(policy(), detectors=[watched(severity="critical", triage="pipeline_bug")])
    assert done.changes == ()
    assert done.status is not None
    assert "pipeline bug in budget" in done.status["decision"]["reason"]
    again = plan_policy(
        PolicyObservation(
            policy(done.status), [watched(severity="critical", triage="pipeline_bug")], [], frozenset(), []
        ),
        NOW + timedelta(hours=1),
    )
    assert again.status == done.status, "no write without a change of meaning"


def test_a_run_that_the_list_lacks_is_asked_for_by_name_before_it_counts_as_gone() -> None:
    known = {"runs": [{"name": "leads-1", "key": "k", "created": stamp(NOW - timedelta(minutes=5))}]}
    assert unlisted(policy(known), []) == ["leads-1"]
    assert unlisted(policy(known), [run()]) == []
    live = plan(policy(known, {"leadscore.dev/retrain": "monday"}))
    assert live.status is not None
    assert live.status["decision"]["hold"] == "live-run"
    gone = plan(policy(known), detectors=[watched()], gone=["leads-1"])
    assert gone.status is not None
    assert gone.status["runs"][0]["outcome"] == "Deleted"
    assert gone.changes == (), "what was asked for once is not asked for again"


def test_a_candidate_that_passed_holds_retraining_until_its_release_has_ended() -> None:
    passed = {
        "phase": "Succeeded",
        "finished": stamp(NOW - timedelta(days=1.5)),
        "gate": {"result": "Passed"},
        "candidate": {"ref": "leads/4", "version": 4},
    }
    item = policy(release={"rollout": "leads"}, coolDown="1h")
    detectors = [watched()]
    held = plan(item, detectors=detectors, runs=[run(passed)])
    assert held.status is not None
    assert held.status["decision"]["hold"] == "release"
    released = run(passed | {"release": "leads-4"})
    live = thing("leads-4", {"model": "leads", "version": 4}, {"phase": "Canary"})
    assert plan(item, detectors=detectors, runs=[released], releases=[live]).changes == ()
    ended = live | {"status": {"phase": "Promoted"}}
    assert len(plan(item, detectors=detectors, runs=[released], releases=[ended]).changes) == 1


def test_a_verdict_about_a_champion_that_a_release_has_replaced_retrains_nothing() -> None:
    # The verdict is about version 3, and its window ended 0.1 days ago.
    def promoted(version: int, **ago: float) -> Manifest:
        status = {"phase": "Promoted", "since": stamp(NOW - timedelta(**ago))}
        return thing(f"leads-{version}", {"model": "leads", "version": version, "rollout": "r"}, status)

    assert plan(policy(), detectors=[watched()], releases=[promoted(4, minutes=5)]).changes == ()
    other = thing("churn-4", {"model": "churn", "version": 4, "rollout": "r"}, {"phase": "Promoted"})
    assert plan(policy(), detectors=[watched()], releases=[promoted(3, minutes=5), other]).changes
    assert plan(policy(), detectors=[watched()], releases=[promoted(4, days=1)]).changes, (
        "a version that came back since is judged again"
    )


def test_the_annotation_asks_once_per_word() -> None:
    item = policy(annotations={"leadscore.dev/retrain": "monday"})
    (create,) = plan(item).changes
    assert isinstance(create, Create)
    assert create.body["spec"]["key"] == "manual-monday"
    served = run({"phase": "Failed", "finished": stamp(NOW)}, key="manual-monday")
    assert plan(item, runs=[served]).changes == ()


def test_detectors_of_other_models_do_not_count() -> None:
    other = watched()
    other["spec"]["model"] = "churn@champion"
    assert plan(policy(), detectors=[other]).changes == ()
