from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.support.artefacts import build_artefact

from leadscore.registry.backend import Backend
from leadscore.registry.store import ModelRegistry
from leadscore.settings import Home


@pytest.fixture(scope="session")
def artefacts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """Three different artefacts; read only."""
    root = tmp_path_factory.mktemp("artefacts")
    return tuple(build_artefact(root / str(seed), seed=seed, trees=3) for seed in range(3))


@pytest.fixture(scope="session")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """One embedded registry for all tests: MLflow takes seconds to make one."""
    home = Home.from_environment({"LEADSCORE_HOME": str(tmp_path_factory.mktemp("registry"))})
    Backend.open(home)
    return home


@pytest.fixture
def home(shared_home: Home) -> Home:
    """The shared registry, without models and with an empty cache."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(shared_home.tracking_uri, shared_home.tracking_uri)
    for model in client.search_registered_models():
        client.delete_registered_model(model.name)
    shutil.rmtree(shared_home.models, ignore_errors=True)
    return shared_home


@pytest.fixture
def registry(home: Home) -> ModelRegistry:
    return ModelRegistry(home)


@pytest.fixture
def three(registry: ModelRegistry, artefacts: tuple[Path, ...]) -> ModelRegistry:
    """Model `leads` with version 1 as champion, 2 as challenger, and 3."""
    for folder, alias in zip(artefacts, ("champion", "challenger", None), strict=True):
        registry.publish(folder, "leads", alias=alias)
    return registry
