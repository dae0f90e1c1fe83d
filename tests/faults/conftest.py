"""One API server for the fault tests of a worker."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from tests.faults.harness import controlplane
from tests.faults.harness.api import Api
from tests.faults.harness.controlplane import ControlPlane


@pytest.fixture(scope="session")
def plane() -> Iterator[ControlPlane]:
    """etcd and kube-apiserver."""
    if not controlplane.is_available() and os.environ.get("CI") != "true":
        pytest.skip("kube-apiserver and etcd are not built here: `make faults` builds them (minutes, once)")
    with controlplane.running() as started:
        yield started


@pytest.fixture
def api(plane: ControlPlane) -> Iterator[Api]:
    """The API server as administrator."""
    opened = Api(plane)
    yield opened
    opened.close()
