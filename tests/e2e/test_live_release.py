"""A release that lives: values change after a promotion, after an undo and in mid-canary.

Callers get one version, the right one.
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.e2e.scenario.given import Given

pytestmark = pytest.mark.e2e

MEMORY: dict[str, Any] = {"scoring": {"resources": {"limits": {"memory": "600Mi"}}}}
SETTING: dict[str, Any] = {"scoring": {"slowMs": 400}}


def test_a_changed_value_keeps_the_version_that_the_operator_has_brought(given: Given) -> None:
    (
        given.stable(1)
        .load()
        .when.released(2)
        .then.promoted(2)
        .when.chart_changed(MEMORY)
        .then.rolled_out(2)
        .answered_only(2)
        .no_request_failed()
    )


def test_a_changed_value_after_an_undo_keeps_the_version_that_was_gone_back_to(given: Given) -> None:
    (
        given.stable(1)
        .load()
        .when.new_version(2)
        # Pods of a scenario before may have been the same: then Argo skips the steps.
        .then.rolled_out(2)
        .when.undone()
        .then.all_traffic_on(1, within=10, what="undo, all traffic back after")
        .settled(1)
        .when.chart_changed(SETTING)
        .then.rolled_out(1)
        .answered_only(1)
        .no_request_failed()
    )


def test_a_changed_value_in_mid_canary_begins_the_canary_of_the_same_version_again(given: Given) -> None:
    (
        given.stable(1)
        .load()
        # A version of no scenario before: its canary takes every step.
        .when.released(3)
        .canary_at(10)
        .chart_changed({"scoring": {"slowMs": 450}})
        .then.rolled_out(3)
        .answered_only(1, 3)
        .only(3)
        .no_request_failed()
    )


def test_a_changed_value_in_the_last_step_is_refused_and_the_canary_goes_on(given: Given) -> None:
    """It would begin a canary beside the version that was left, which would get the traffic back."""
    (
        given.stable(1)
        .load()
        .when.new_version(2)
        .canary_at(100)
        .refused({"scoring": {"resources": {"limits": {"memory": "610Mi"}}}}, "would get the traffic back")
        .then.settled(2)
        .only(2)
        .no_request_failed()
    )


def test_an_autoscaler_switched_on_takes_over_the_pods_that_there_are(given: Given) -> None:
    (
        given.stable(1)
        .load()
        .when.scaled_to(4)
        .chart_changed({"autoscaling": {"enabled": True, "minReplicas": 2, "maxReplicas": 4}})
        .then.has_pods(4)
        .no_request_failed()
    )


def test_another_kind_of_workload_is_refused_and_nobody_notices(given: Given) -> None:
    (
        given.stable(1)
        .load()
        .when.refused(
            {"workload": {"kind": "Deployment"}, "analysis": {"enabled": False}},
            "this release runs as a Rollout",
        )
        .then.only(1)
        .no_request_failed()
    )
