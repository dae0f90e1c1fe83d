"""A night on the cluster: every lead scored once, though its pod is killed, and callers notice nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from tests.e2e.scenario.begin import installed, scenario
from tests.e2e.scenario.images import MODEL, project_values
from tests.e2e.scenario.night import NightGiven, lake_claim, night_values, prepare
from tests.e2e.scenario.registry import ask_again, claims, registry_values, wait_for_mlflow
from tests.e2e.scenario.release import Release, merged, scenario_values

pytestmark = pytest.mark.e2e

ROLES = ("service", "jobs", "postgresql")


def quiet_zone(now: datetime) -> str:
    """A time zone in which no date ends during the scenario."""
    return "Etc/UTC" if now.hour < 23 else "Etc/GMT+12"


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    """The chart with a registry, a lake and nights."""
    folder = tmp_path_factory.mktemp("night")
    values = merged(scenario_values(steps_seconds=10), registry_values(name=MODEL))
    values = merged(values, night_values(quiet_zone(datetime.now(UTC))))

    def begin(made: Release) -> None:
        wait_for_mlflow(made)
        prepare(made, folder)
        ask_again(made)

    objects = [*claims(), lake_claim()]
    with installed("night", values, project_values(*ROLES), objects=objects, before_ready=begin) as made:
        yield made


@pytest.fixture
def given(request: pytest.FixtureRequest, release: Release) -> Iterator[NightGiven]:
    """A scenario on this release."""
    for each in scenario(request, release, "", NightGiven):
        assert isinstance(each, NightGiven)
        yield each


def test_a_night_whose_pod_is_killed_scores_every_lead_once_and_callers_notice_nothing(
    given: NightGiven,
) -> None:
    (
        given.stable(1)
        .load()
        .when.the_night_starts("night")
        .its_pod_is_killed_in_the_middle()
        .then.it_ends(killed=1)
        .every_lead_has_one_score()
        .when.the_night_starts("night-again")
        .then.it_ends()
        .every_lead_has_one_score()
        .no_request_failed()
    )
