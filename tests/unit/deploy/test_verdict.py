"""What a deployment's state is read as: never healthy by a stale, strange or missing status."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tools.deploy.verdict import State, judge


def rollout(**status: Any) -> dict[str, Any]:
    return {
        "kind": "Rollout",
        "metadata": {"name": "leads", "generation": 4},
        "spec": {"template": {"metadata": {"labels": {"leadscore.dev/model-version": "8"}}}},
        "status": {"observedGeneration": "4", "stableRS": "old", "currentPodHash": "new", **status},
    }


def deployment(**status: Any) -> dict[str, Any]:
    return {**rollout(observedGeneration=4, **status), "kind": "Deployment"}


def test_healthy_means_that_the_new_pods_are_the_stable_ones() -> None:
    seen = judge(rollout(phase="Healthy", stableRS="new"))
    assert (seen.state, seen.version) == (State.HEALTHY, 8)


def test_the_old_versions_health_is_not_the_new_ones() -> None:
    assert judge(rollout(phase="Healthy")).state is State.PROGRESSING


def test_a_status_of_the_spec_before_says_nothing() -> None:
    stale = rollout(phase="Healthy", stableRS="new", observedGeneration="3")
    assert judge(stale).state is State.PROGRESSING
    stale_abort = rollout(phase="Degraded", abort=True, observedGeneration="3")
    assert judge(stale_abort).state is State.PROGRESSING


def test_no_status_yet_is_progress() -> None:
    fresh = rollout()
    del fresh["status"]
    assert judge(fresh).state is State.PROGRESSING


@pytest.mark.parametrize("status", [{"phase": "Degraded"}, {"abort": True, "phase": "Progressing"}])
def test_an_aborted_or_degraded_rollout_has_failed(status: dict[str, Any]) -> None:
    seen = judge(rollout(message="RolloutAborted: metric error-rate", **status))
    assert seen.state is State.FAILED
    assert "error-rate" in seen.line


def test_a_timed_pause_is_progress_and_an_inconclusive_one_needs_a_person() -> None:
    timed = rollout(phase="Paused", pauseConditions=[{"reason": "CanaryPauseStep"}])
    assert judge(timed).state is State.PROGRESSING
    unclear = rollout(phase="Paused", pauseConditions=[{"reason": "InconclusiveAnalysisRun"}])
    assert judge(unclear).state is State.NEEDS_PERSON


def test_a_rollout_that_somebody_paused_needs_a_person() -> None:
    paused = rollout(phase="Paused")
    paused["spec"]["paused"] = True
    assert judge(paused).state is State.NEEDS_PERSON


def test_the_line_says_how_much_traffic_the_canary_has() -> None:
    seen = judge(rollout(phase="Progressing", canary={"weights": {"canary": {"weight": 10}}}))
    assert seen.line == "version 8 progressing, 10 % of traffic"


def test_a_deployment_is_healthy_when_only_new_pods_are_left_and_available() -> None:
    done = deployment(replicas=1, updatedReplicas=1, availableReplicas=1)
    assert judge(done).state is State.HEALTHY
    assert judge(deployment(replicas=2, updatedReplicas=1, availableReplicas=2)).state is State.PROGRESSING


def test_a_deployment_past_its_deadline_has_failed() -> None:
    late = deployment(
        conditions=[
            {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "x"}
        ]
    )
    assert judge(late).state is State.FAILED


def test_what_is_no_workload_is_an_error_and_not_healthy() -> None:
    with pytest.raises(msgspec.ValidationError):
        judge({"kind": "Status", "message": "gone"})
