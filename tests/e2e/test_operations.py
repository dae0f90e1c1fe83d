"""What happens to a cluster in a year: restarts, drains, kills, growth, a database that is away.

Callers see little of it.
"""

from __future__ import annotations

import pytest
from tests.e2e.scenario.given import Given

pytestmark = pytest.mark.e2e


def test_a_rolling_restart_loses_no_request(given: Given) -> None:
    (
        given.stable(1)
        .load()
        .when.restarted()
        .then.pods_replaced()
        .no_request_failed()
        .p95_is_noted("during a rolling restart", at_most=40)
    )


def test_pods_come_and_go_under_load(given: Given) -> None:
    (
        given.stable(1)
        .load()
        .when.scaled_to(6)
        .time_passes(requests=100)
        .scaled_to(2)
        .time_passes(requests=50)
        .then.no_request_failed()
    )


def test_a_drain_takes_one_pod_at_a_time_and_loses_no_request(given: Given) -> None:
    """On one node the eviction API is asked as `kubectl drain` asks it.

    The node itself stays open to the new pods.
    """
    (
        given.stable(1)
        .load()
        .when.every_pod_evicted()
        .then.pods_replaced()
        .budget_said_no()
        .no_request_failed()
    )


def test_a_killed_worker_is_replaced_within_its_pod(given: Given) -> None:
    (
        given.stable(1)
        .load()
        .when.worker_killed()
        .then.pod_recovered(container_restarts=0)
        .few_requests_failed(at_most=10, what="kill -9 of a worker")
    )


def test_a_worker_that_the_kernel_kills_for_memory_is_replaced(given: Given) -> None:
    (
        given.stable(1)
        .load()
        .when.out_of_memory()
        .then.pod_recovered()
        .few_requests_failed(at_most=25, what="OOM kill of a worker")
    )


def test_scoring_goes_on_without_the_event_store_and_nothing_is_lost(given: Given) -> None:
    (
        given.stable(1)
        .load()
        .when.stopped("statefulset", "postgresql")
        .time_passes(requests=200)
        .then.no_request_failed()
        .when.started("statefulset", "postgresql")
        .time_passes(requests=50)
        .then.no_request_failed()
        .stored_is_acknowledged()
    )


def test_a_canary_survives_the_controller_and_a_chart_applied_again(given: Given) -> None:
    (
        given.stable(1)
        .load()
        .when.new_version(2)
        .canary_at(10)
        .controller_restarted()
        .canary_at(50)
        .chart_reapplied()
        .then.promoted(2)
        .weights_only_grew()
        .no_request_failed()
    )
