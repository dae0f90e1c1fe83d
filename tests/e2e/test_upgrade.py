"""From the release before to this one and back, with 100,000 stored predictions, unnoticed by callers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from itertools import islice

import pytest
from tests.e2e.scenario import previous
from tests.e2e.scenario.begin import installed, scenario
from tests.e2e.scenario.given import Given
from tests.e2e.scenario.load import Body, Load
from tests.e2e.scenario.patience import wait_until
from tests.e2e.scenario.release import CHART, Release, Values, merged, scenario_values

pytestmark = pytest.mark.e2e
STORED = 100_000
IN_ONE_REQUEST = 5_000


@pytest.fixture(scope="module")
def release() -> Iterator[Release]:
    """The release before, installed from its own chart and images."""
    before = previous.values()
    chart = previous.tree() / "charts" / "lead-scoring"
    # Bulk requests of this size need more than the usual memory of a scenario's pods.
    values = merged(scenario_values(steps_seconds=15), {"model": {"version": 1}})
    with installed("upgrade", values, before, chart=chart) as made:
        yield made


@pytest.fixture
def given(
    request: pytest.FixtureRequest, release: Release, scenario_images: tuple[Values, str]
) -> Iterator[Given]:
    yield from scenario(request, release, scenario_images[1])


def fill(release: Release) -> set[str]:
    """Score so many leads; returns the ids that were acknowledged."""
    leads = release.leads(seed=11)
    known: set[str] = set()
    while len(known) < STORED:
        body = json.dumps({"leads": list(islice(leads, IN_ONE_REQUEST))}).encode()
        sent = asyncio.run(Load(release.endpoint(), iter(()), 1).once(Body("/score-leads", body)))
        assert not sent.failed, sent.problem
        known |= set(sent.prediction_ids)
    return known


def stored(release: Release) -> int:
    return int(release.psql("SELECT count(*) FROM predictions"))


def test_an_upgrade_and_its_rollback_fail_no_request_and_lose_no_prediction(
    given: Given, release: Release, scenario_images: tuple[Values, str]
) -> None:
    old, new = release.images, merged(release.images, {"image": scenario_images[0]["image"]})
    if "jobsImage" in scenario_images[0]:
        new = merged(new, {"jobsImage": scenario_images[0]["jobsImage"]})
    before = fill(release)
    wait_until(lambda: stored(release) >= STORED, seconds=120, what=f"{STORED} stored predictions")
    (
        given.load()
        .when.time_passes(requests=50)
        .then.runs(old["image"])
        .when.upgraded_to(CHART, new)
        .then.rolled_out(1, seconds=300)
        .runs(new["image"])
        .only(1)
        .no_request_failed()
        .when.rolled_back_to(1)
        .then.rolled_out(1, seconds=300)
        .runs(old["image"])
        .only(1)
        .no_request_failed()
        .stored_is_acknowledged(before=before)
    )
