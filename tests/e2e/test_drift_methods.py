"""Detectors besides the univariate checks in a cluster.

Charts that follow the stream, and alibi-detect in its own image.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from tests.e2e.scenario.begin import installed, scenario
from tests.e2e.scenario.examples import example
from tests.e2e.scenario.given import Given
from tests.e2e.scenario.history import history
from tests.e2e.scenario.images import project_values
from tests.e2e.scenario.loop import LoopGiven
from tests.e2e.scenario.registry import claims, loop_values
from tests.e2e.scenario.release import ROOT, Release, merged, scenario_values

pytestmark = pytest.mark.e2e

VALUES = merged(loop_values(), {"operator": {"resyncSeconds": 10}})
ROLES = ("service", "jobs", "drift-alibi", "operator", "postgresql")
STREAM, ALIBI = "stream", "alibi"


@pytest.fixture(scope="module")
def release() -> Iterator[Release]:
    """The whole chart, a champion with its log, and a policy that retrains for drift alone."""
    with installed(
        "drift", merged(scenario_values(steps_seconds=10), VALUES), project_values(*ROLES), objects=claims(),
        before_ready=history,
        definitions=sorted((ROOT / "charts" / "lead-scoring" / "files" / "crds").glob("*.yaml")),
    ) as made:  # fmt: skip
        (policy,) = example(
            "retrainpolicy",
            triggers={"drift": {"minSeverity": "significant"}, "performance": None, "schedule": None},
            coolDown="1s",
            budget={"runs": 20},
            run={"trials": 2, "minRecords": 5000, "resources": VALUES["operator"]["jobs"]["resources"]},
            suspend=True,
        )
        made.kube.run("create", "--filename=-", stdin=json.dumps(policy))
        yield made


@pytest.fixture
def given(request: pytest.FixtureRequest, release: Release) -> Iterator[Given]:
    """A scenario on this release."""
    yield from scenario(request, release, "", LoopGiven)


def test_charts_follow_the_stream_job_after_job_until_it_turns(given: LoopGiven) -> None:
    begun = given.market()
    # Charts of the live stream, which is minutes old: what a person knows is told, nothing is learnt.
    stream = [
        f"--since={datetime.now(UTC).isoformat()}",
        "--run-length=100000",
        "--every=400",
        "--without=created_hour,created_weekday",
    ]
    (
        begun.when.a_detector_looks_at(STREAM, window="1h", methods=["sequential"], args=stream)
        .the_stream_goes_on(2_000)
        # Its levels are simulated by the first Job, and kept for the others.
        .the_detector_runs(STREAM, seconds=240)
        .then.the_verdict_is("none", "none")
        .when.the_stream_goes_on(1_000)
        .the_detector_runs(STREAM)
        .then.the_verdict_is("none", "none")
        .its_state_is_kept(runs=2)
        .when.the_market_turns("covariate_shift")
        .the_stream_goes_on(3_000)
        .the_detector_runs(STREAM)
        .then.the_verdict_is("market_moved", "significant", "critical")
        .its_state_is_kept(runs=3)
        .no_request_failed()
    )


def test_a_verdict_of_alibi_detect_starts_a_retraining(given: LoopGiven) -> None:
    (
        given.market()
        .when.the_market_turns("covariate_shift")
        .a_detector_looks_at(ALIBI, window="1m", methods=["alibi:KSDrift"], args=[])
        .the_stream_goes_on(6_000)
        # alibi-detect has no severities: what it calls drift is moderate.
        .the_policy_counts("moderate", ALIBI)
        .the_policy_is_suspended(suspended=False)
        .the_detector_runs(ALIBI, seconds=240)
        .then.the_verdict_is("unclear", "moderate")
        .it_ran_in("drift-alibi")
        .drift_makes_a_run()
        .no_request_failed()
    )
