from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.artefacts import build_artefact


@pytest.fixture(scope="session")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small verified artefact; read only."""
    return build_artefact(tmp_path_factory.mktemp("artefact") / "sample")
