"""One release that scenarios share, and a scenario per test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.scenario import images
from tests.e2e.scenario.begin import FAILED, installed, scenario
from tests.e2e.scenario.given import Given
from tests.e2e.scenario.release import Release, Values, merged, scenario_values


@pytest.fixture(scope="session")
def scenario_images() -> tuple[Values, str]:
    """Helm values that name every image a scenario needs, and the tag of the misbehaving service.

    All are on the node.
    """
    values = images.project_values()
    service = f"{values['image']['repository']}:{values['image']['tag']}"
    models = {"model": {"image": {"repository": images.load_models()}}}
    return merged(values, models), images.load_faulty(service)


@pytest.fixture(scope="session")
def release(scenario_images: tuple[Values, str]) -> Iterator[Release]:
    """The chart as scenarios share it: each begins with the version it needs, healthy (`given.stable`)."""
    with installed("shared", scenario_values(steps_seconds=15), scenario_images[0]) as made:
        yield made


@pytest.fixture
def given(
    request: pytest.FixtureRequest, release: Release, scenario_images: tuple[Values, str]
) -> Iterator[Given]:
    """The beginning of a scenario on the shared release."""
    yield from scenario(request, release, scenario_images[1])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Remember that a scenario failed, for the fixture that is taken down next."""
    report = yield
    if report.when == "call" and report.failed:
        item.stash[FAILED] = True
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first scenario also waits for images to be built and for the chart to be installed."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(900))
