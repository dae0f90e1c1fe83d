"""Settings for every test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from tests.faults.harness.controlplane import ControlPlane

# A shared machine is not a stopwatch.
settings.register_profile("leadscore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("leadscore")

# pytest-xdist sets 80; what commands print is tested as wide as it is when piped to a file.
os.environ.pop("COLUMNS", None)


@pytest.fixture(scope="session")
def plane() -> Iterator[ControlPlane]:
    """A real API server (etcd and kube-apiserver alone, on loopback).

    Mark its tests `xdist_group("faults")`.
    """
    from tests.faults.harness import controlplane  # heavy, and few tests want it

    if not controlplane.is_available() and os.environ.get("CI") != "true":
        pytest.skip(
            "kube-apiserver and etcd are not built here: `make faults-programs` builds them (minutes, once)"
        )
    with controlplane.running() as started:
        yield started
