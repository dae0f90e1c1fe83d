"""A home with three versions in its cache, and an event store on each database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from tests.support.artefacts import build_artefact, sample_contract
from tests.support.stores import backend, fresh_url, postgres

from leadscore.events.store import EventStore
from leadscore.investigation.models import ModelShelf
from leadscore.registry.store import ModelRegistry
from leadscore.settings import Home

__all__ = ["backend", "postgres"]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Versions 1 and 2 of `leads`, and 3, whose contract has a field less."""
    folder = tmp_path_factory.mktemp("home") / "models"
    contract = sample_contract()
    fewer = msgspec.structs.replace(
        contract, features=tuple(f for f in contract.features if f.name != "is_urgent")
    )
    for version, described in ((1, contract), (2, contract), (3, fewer)):
        build_artefact(folder / "leads" / str(version), name="leads", seed=version, contract=described)
    return folder


@pytest.fixture
def url(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return fresh_url(backend, request, tmp_path)


@pytest.fixture
def store(url: str) -> Iterator[EventStore]:
    with EventStore(url) as opened:
        yield opened


@dataclass(frozen=True)
class CachedHome:
    home: Home
    shelf: ModelShelf


@pytest.fixture
def cached(models: Path, url: str) -> CachedHome:
    # Nobody answers there: what is in the cache needs no registry.
    home = Home(root=models.parent, tracking_uri="http://127.0.0.1:9", events_url=url)
    return CachedHome(home, ModelShelf(ModelRegistry(home)))
