"""One release that stories share, and a story per test."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.e2e.story import images
from tests.e2e.story.diagnosis import diagnose
from tests.e2e.story.given import Given
from tests.e2e.story.kube import Kube
from tests.e2e.story.release import Release, Values, merged, story_values
from tests.e2e.story.scene import Scene
from tools.cluster.up import target

FAILED = pytest.StashKey[bool]()


@pytest.fixture(scope="session")
def story_images() -> tuple[Values, str]:
    """Helm values that name every image a story needs, and the tag of the misbehaving service; all are on the node."""
    values = images.project_values()
    service = f"{values['image']['repository']}:{values['image']['tag']}"
    models = {"model": {"image": {"repository": images.load_models()}}}
    return merged(values, models), images.load_faulty(service)


@contextmanager
def installed(name: str, values: Values, images_values: Values) -> Iterator[Release]:
    """The chart in a namespace of its own, gone afterwards; an installation that fails says why."""
    made = Release(
        Kube(target().cluster, f"story-{name}-{time.time_ns() % 1_000_000}"), values, images_values
    )
    try:
        made.install()
    except BaseException:
        sys.stdout.write(diagnose(made.kube))
        made.uninstall()
        raise
    try:
        yield made
    finally:
        made.uninstall()


@pytest.fixture(scope="session")
def release(story_images: tuple[Values, str]) -> Iterator[Release]:
    """The chart as stories share it: each begins with the version it needs, healthy (`given.stable`)."""
    with installed("shared", story_values(steps_seconds=15), story_images[0]) as made:
        yield made


@pytest.fixture
def given(
    request: pytest.FixtureRequest, release: Release, story_images: tuple[Values, str]
) -> Iterator[Given]:
    """The beginning of a story; one that fails says what the cluster looked like."""
    scene = Scene(request.node.name, release, story_images[1])
    try:
        yield Given(scene)
    finally:
        if request.node.stash.get(FAILED, False):
            sys.stdout.write(diagnose(release.kube))
        scene.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Remember that a story failed, for the fixture that is taken down next."""
    report = yield
    if report.when == "call" and report.failed:
        item.stash[FAILED] = True
    return report
