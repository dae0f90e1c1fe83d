"""alibi-detect as a detector in a cluster, in its own image."""

from __future__ import annotations

import json
from collections.abc import Iterator

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
ALIBI = "alibi"


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
