"""One release that stories share, and a story per test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.story import images
from tests.e2e.story.begin import FAILED, installed, story
from tests.e2e.story.given import Given
from tests.e2e.story.release import Release, Values, merged, story_values


@pytest.fixture(scope="session")
def story_images() -> tuple[Values, str]:
    """Helm values that name every image a story needs, and the tag of the misbehaving service; all are on the node."""
    values = images.project_values()
    service = f"{values['image']['repository']}:{values['image']['tag']}"
    models = {"model": {"image": {"repository": images.load_models()}}}
    return merged(values, models), images.load_faulty(service)


@pytest.fixture(scope="session")
def release(story_images: tuple[Values, str]) -> Iterator[Release]:
    """The chart as stories share it: each begins with the version it needs, healthy (`given.stable`)."""
    with installed("shared", story_values(steps_seconds=15), story_images[0]) as made:
        yield made


@pytest.fixture
def given(
    request: pytest.FixtureRequest, release: Release, story_images: tuple[Values, str]
) -> Iterator[Given]:
    """The beginning of a story on the shared release."""
    yield from story(request, release, story_images[1])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Remember that a story failed, for the fixture that is taken down next."""
    report = yield
    if report.when == "call" and report.failed:
        item.stash[FAILED] = True
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first story also waits for images to be built and for the chart to be installed."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(900))
