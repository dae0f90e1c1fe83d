"""The administrator's hand on the API server of the fault tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.faults.harness.api import Api
from tests.faults.harness.controlplane import ControlPlane


@pytest.fixture
def api(plane: ControlPlane) -> Iterator[Api]:
    """The API server as administrator."""
    opened = Api(plane)
    yield opened
    opened.close()
