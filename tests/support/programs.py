"""Programs that tests run as they are.

On the PATH, in the local cluster's cache, or built from their pinned Go module.
"""

from __future__ import annotations

import shutil

import pytest
from tools.cluster.build import build
from tools.cluster.errors import ClusterError
from tools.cluster.pins import HELM, PROMETHEUS, Program


def helm() -> str:
    """Helm's path."""
    return _find(HELM)


def prometheus() -> str:
    """Prometheus's path."""
    return _find(PROMETHEUS)


def _find(program: Program) -> str:
    found = shutil.which(program.binaries[0])
    if found is not None:
        return found
    try:
        return str(build(program, print) / program.binaries[0])
    except ClusterError as error:
        pytest.fail(
            f"{program.binaries[0]} is not installed, and cannot be built here: {error.message} {error.hint}"
        )
