from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.unit.operator.objects import NOW, WORKLOAD, Manifest, job, policy, report, run, stamp

from leadscore_operator.decide.jobs import TerminationMessage
from leadscore_operator.decide.run import RunObservation, current_job, plan_run
from leadscore_operator.plan import Create, Plan


def plan(item: Manifest, *, job: Any = None, words: Any = None, blocked_by: str = "", **spec: Any) -> Plan:
    return plan_run(RunObservation(item, policy(**spec), job, words, blocked_by), WORKLOAD, NOW)


def status(done: Plan) -> Manifest:
    assert done.status is not None
    return done.status


def test_a_run_gets_its_job_and_says_so() -> None:
    done = plan(run())
    (create,) = done.changes
    assert isinstance(create, Create)
    spec = create.body["spec"]
    assert spec["backoffLimit"] == 0, "the next attempt is another Job"
    command = spec["template"]["spec"]["containers"][0]["command"]
    assert "--run=uid-leads-1" in command
    assert "--attempt=1" in command
    assert (status(done)["phase"], status(done)["job"]) == ("Running", create.body["metadata"]["name"])


def test_looking_again_at_a_running_job_changes_nothing() -> None:
    item = run(status(plan(run())))
    done = plan(item, job=job(current_job(item)))
    assert (done.changes, done.events) == ((), ())
    assert done.status == item["status"]


@pytest.mark.parametrize(("passed", "result"), [(True, "Passed"), (False, "Refused")])
def test_a_report_ends_the_run_whatever_the_gate_says(passed: bool, result: str) -> None:
    item = run(status(plan(run())))
    done = plan(item, job=job(current_job(item), ended="Complete"), words=report(passed=passed))
    found = status(done)
    assert (found["phase"], found["gate"]["result"], found["candidate"]["ref"]) == (
        "Succeeded",
        result,
        "leads/7",
    )
    assert found["metrics"] == {"auc": 0.8}
    assert plan_run(RunObservation(run(found), policy(), None, None), WORKLOAD, NOW).status is None


def test_a_failed_attempt_is_put_on_record_before_the_next_job_is_made() -> None:
    item = run(status(plan(run())))
    done = plan(item, job=job(current_job(item), ended="Failed"), words=TerminationMessage("Killed.", 137))
    assert done.changes == ()
    found = status(done)
    assert (found["phase"], found["attempt"]) == ("Pending", 2)
    assert "job" not in found
    early = plan(run(found))
    assert (early.changes, early.again) == ((), NOW + timedelta(seconds=30))
    late = plan_run(RunObservation(run(found), policy(), None, None), WORKLOAD, NOW + timedelta(seconds=30))
    (create,) = late.changes
    assert isinstance(create, Create)
    assert create.body["metadata"]["name"].endswith("-2")


def test_a_clock_that_was_set_back_does_not_hold_the_next_attempt() -> None:
    waiting = run({"phase": "Pending", "attempt": 2, "notBefore": stamp(NOW + timedelta(hours=1))})
    assert len(plan(waiting).changes) == 1


def test_attempts_have_an_end() -> None:
    item = run({"phase": "Running", "attempt": 3, "job": current_job(run({"attempt": 3}))})
    done = plan(item, job=job(current_job(item), ended="Failed"), words=TerminationMessage("Killed.", 137))
    assert status(done)["phase"] == "Failed"
    assert "attempt 3 of 3" in status(done)["message"]


def test_what_another_attempt_cannot_change_fails_at_once() -> None:
    item = run(status(plan(run())))
    words = TerminationMessage("Only 12 labelled leads.", 5)
    done = plan(item, job=job(current_job(item), ended="Failed"), words=words)
    assert (status(done)["phase"], status(done)["message"]) == ("Failed", "Only 12 labelled leads.")


def test_a_lost_job_is_the_end_of_its_attempt() -> None:
    item = run(status(plan(run())))
    done = plan(item)
    assert done.changes == ()
    assert status(done)["attempt"] == 2
    assert "is gone" in status(done)["message"]


def test_an_unreadable_report_is_never_taken_for_a_result() -> None:
    item = run(status(plan(run())))
    done = plan(
        item, job=job(current_job(item), ended="Complete"), words=TerminationMessage('{"model": "leads"}', 0)
    )
    assert "report cannot be read" in status(done)["message"]


def test_runs_of_a_policy_go_one_after_the_other() -> None:
    done = plan(run(), blocked_by="leads-0")
    assert done.changes == ()
    assert "leads-0" in status(done)["message"]


def test_without_its_policy_a_run_waits_and_says_why() -> None:
    done = plan_run(RunObservation(run(), None, None, None), WORKLOAD, NOW)
    (ready,) = status(done)["conditions"]
    assert (ready["status"], ready["reason"]) == ("False", "PolicyMissing")


def test_a_candidate_that_passed_gets_one_release_where_the_policy_says_so() -> None:
    found = {
        "phase": "Succeeded", "finished": stamp(NOW), "gate": {"result": "Passed"},
        "candidate": {"ref": "leads/7", "version": 7, "digest": "d"},
    }  # fmt: skip
    assert plan(run(found)).changes == ()
    done = plan(run(found), release={"rollout": "leads", "watchFor": "1h"})
    (create,) = done.changes
    assert isinstance(create, Create)
    assert create.body["metadata"]["name"] == "leads-7"
    assert create.body["spec"] == {"rollout": "leads", "watchFor": "1h", "model": "leads", "version": 7}
    assert plan(run(status(done)), release={"rollout": "leads"}).changes == ()
