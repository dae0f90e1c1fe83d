"""The chart as Helm renders it: every test looks at what a cluster would be given."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.support import programs
from tests.support.chart import Chart, Manifest


@pytest.fixture(scope="session")
def helm() -> str:
    return programs.helm()


@pytest.fixture(scope="session")
def chart(helm: str) -> Chart:
    return Chart(helm)


@pytest.fixture
def one(chart: Chart) -> Callable[..., Manifest]:
    """The one object of a kind (and a name's ending, or part of it) among what is rendered."""

    def find(kind: str, *settings: str, values: str = "", ending: str = "", part: str = "") -> Manifest:
        found = [
            m
            for m in chart.render(*settings, values=values)
            if m["kind"] == kind and m["metadata"]["name"].endswith(ending) and part in m["metadata"]["name"]
        ]
        assert len(found) == 1, [m["metadata"]["name"] for m in found]
        return found[0]

    return find
