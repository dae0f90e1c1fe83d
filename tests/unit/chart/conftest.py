"""The chart as Helm renders it: every test looks at what a cluster would be given."""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.chart import Chart, Manifest


def _cached() -> Path | None:
    cache_home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    found = sorted(cache_home.glob("leadscore/cluster/bin/helm-*/helm"))
    return found[-1] if found else None


@pytest.fixture(scope="session")
def helm() -> str:
    """Helm on the PATH, the local cluster's own, or one built now from its pinned Go module."""
    found = shutil.which("helm") or _cached()
    if found is not None:
        return str(found)
    try:
        build = importlib.import_module("tools.cluster.build")
        pins = importlib.import_module("tools.cluster.pins")
    except ImportError:
        pytest.fail(
            "Helm is not installed. Install Helm 3.18 or newer (https://helm.sh/docs/intro/install/), then run again."
        )
    return str(build.build(pins.HELM, print) / "helm")


@pytest.fixture(scope="session")
def chart(helm: str) -> Chart:
    return Chart(helm)


@pytest.fixture
def one(chart: Chart) -> Callable[..., Manifest]:
    """The one object of a kind (and a name's ending) among what is rendered."""

    def find(kind: str, *settings: str, values: str = "", ending: str = "") -> Manifest:
        found = [
            m
            for m in chart.render(*settings, values=values)
            if m["kind"] == kind and m["metadata"]["name"].endswith(ending)
        ]
        assert len(found) == 1, [m["metadata"]["name"] for m in found]
        return found[0]

    return find
