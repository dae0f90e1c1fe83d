"""How scenarios begin and end.

A release for some of them, a scene for each, and a diagnosis for those that fail.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.e2e.scenario.diagnosis import diagnose
from tests.e2e.scenario.given import Given
from tests.e2e.scenario.kube import Kube, Object
from tests.e2e.scenario.release import CHART, Release, Values
from tests.e2e.scenario.scene import Scene
from tools.cluster.up import target

FAILED = pytest.StashKey[bool]()


@contextmanager
def installed(
    name: str,
    values: Values,
    images_values: Values,
    *,
    objects: Sequence[Object] = (),
    definitions: Sequence[Path] = (),
    before_ready: Callable[[Release], None] = lambda _: None,
    chart: Path = CHART,
) -> Iterator[Release]:
    """The chart in a namespace of its own, gone afterwards; an installation that fails says why.

    Args:
        name: Part of the namespace's name.
        values: Over those of the local cluster.
        images_values: What names the images.
        objects: Made before the chart, such as claims.
        definitions: Files with the custom resources' definitions; they stay, as other releases may use them.
        before_ready: Done between `helm install` and the wait for the first version.
        chart: The chart's folder.
    """
    made = Release(
        Kube(target().cluster, f"scenario-{name}-{time.time_ns() % 1_000_000}"), values, images_values, chart
    )
    try:
        for each in definitions:
            made.kube.cluster.run("apply", "--server-side", "--force-conflicts", f"--filename={each}")
        made.install(objects)
        before_ready(made)
        made.wait_until_ready()
    except BaseException:
        sys.stdout.write(diagnose(made.kube))
        made.uninstall()
        raise
    try:
        yield made
    finally:
        made.uninstall()


def scenario(
    request: pytest.FixtureRequest, release: Release, faulty_tag: str, words: type[Given] = Given
) -> Iterator[Given]:
    """The beginning of a scenario, in these words; one that fails says what the cluster looked like."""
    scene = Scene(request.node.name, release, faulty_tag)
    try:
        yield words(scene)
    finally:
        if request.node.stash.get(FAILED, False):
            sys.stdout.write(f"--- failed requests\n{scene.inquiry.report()}\n{diagnose(release.kube)}")
        scene.close()
