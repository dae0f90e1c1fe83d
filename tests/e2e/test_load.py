"""The Locust suite against the ingress, as the chart runs it.

A Job whose verdict is in its log and its exit code.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from tests.e2e import measurements
from tests.e2e.measurements import Figure
from tests.e2e.scenario.begin import installed
from tests.e2e.scenario.images import project_values
from tests.e2e.scenario.patience import wait_until
from tests.e2e.scenario.release import Release, Values, merged, scenario_values

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def release(scenario_images: tuple[Values, str]) -> Iterator[Release]:
    """A release of its own: what a load test sends is stored like anything else."""
    values = merged(scenario_images[0], project_values("loadtest"))
    with installed("load", scenario_values(steps_seconds=15), values) as made:
        yield made


def verdict(release: Release, **settings: object) -> dict[str, Any]:
    """Run the Job with these settings and read what it leaves in the pod's status."""
    # Latencies on a machine that does other things are noted, not judged.
    objectives = {"p95Milliseconds": 5000, "errorShare": 0.001}
    release.upgrade({"loadTest": {"enabled": True, "objectives": objectives, **settings}})
    made = yaml.safe_load_all(release.kube.helm("get", "manifest", "leads"))
    names = [m["metadata"]["name"] for m in made if m and m["kind"] == "Job"]
    # Named by what it does: other settings are another Job, and Helm has taken the last one away.
    (job,) = [name for name in names if "-load-test-" in name]
    selector = f"job-name={job}"

    def ended() -> bool:
        pods = release.kube.list("pods", selector)
        return bool(pods) and pods[0]["status"]["phase"] in {"Succeeded", "Failed"}

    wait_until(ended, seconds=240, what="the end of the load test")
    status = release.kube.list("pods", selector)[0]["status"]["containerStatuses"][0]["state"]["terminated"]
    log = release.kube.run("logs", f"--selector={selector}", "--tail=40")
    assert status["exitCode"] == 0, log
    found: dict[str, Any] = json.loads(status["message"])
    return found


def test_25_requests_a_second_are_answered_through_the_ingress(release: Release) -> None:
    found = verdict(release, seconds=60, rate=25)
    assert found["met"]
    everything = found["endpoints"][-1]
    assert everything["failed"] == 0
    assert everything["requests"] >= 1400
    what = "P95 of the Locust mix at 25 req/s, in the cluster"
    measurements.record(Figure(what, everything["p95_ms"], "ms", 200, "test_load"))


def test_a_ramp_is_answered_up_to_the_ingress_limit(release: Release) -> None:
    found = verdict(release, seconds=20, rate=25, shape="ramp", peakRate=100)
    assert found["met"]
    assert found["endpoints"][-1]["failed"] == 0
