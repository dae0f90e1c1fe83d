from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest
from tests.support.artefacts import build_artefact, sample_contract, sample_labels, sample_matrix
from tests.support.stores import backend, fresh_url, postgres, url

from leadscore.contract import contract_version
from leadscore.events.records import Evidence, Outcome, Prediction
from leadscore.events.store import EventStore
from leadscore.registry.store import ModelRegistry
from leadscore.scoring.model import ScoringModel
from leadscore.settings import Home

__all__ = ["backend", "fresh_url", "postgres", "url"]

DAY_US = 86_400_000_000


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Model `leads`: 1 is champion, 2 a better challenger, 3 a much worse one."""
    home = Home.from_environment({"LEADSCORE_HOME": str(tmp_path_factory.mktemp("home"))})
    registry = ModelRegistry(home)
    root = tmp_path_factory.mktemp("artefacts")
    sizes = ((1, 3, 400, "champion"), (2, 60, 3000, "challenger"), (3, 1, 60, None))
    for version, trees, rows, alias in sizes:
        folder = build_artefact(root / str(version), seed=0, trees=trees, rows=rows, depth=4)
        registry.publish(folder, "leads", alias=alias)
    return home


@pytest.fixture(scope="session")
def seeded(
    published: Home, backend: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Home:
    """The models, the gate of version 2, 600 logged requests of ten days (half with outcomes), a shadow's."""
    home = replace(published, events_url=fresh_url(backend, request, tmp_path_factory.mktemp("store")))
    registry = ModelRegistry(home)
    champion = ScoringModel.load(registry.fetch("leads/1"))
    with EventStore(home.events_url) as store:
        log_requests(store, champion, datetime.now(UTC), rows=600)
        found = registry.get("leads", 2)
        gate = {
            "passed": True,
            "summary": "Passed: AUC.",
            "challenger": found.digest,
            "champion": registry.get("leads", 1).digest,
        }
        store.record(Evidence("gate-leads/2", "gate", "leads/2", 1, msgspec.json.encode(gate).decode()))
    return home


def log_requests(store: EventStore, model: ScoringModel, now: datetime, *, rows: int) -> None:
    """Requests over ten days that the model answered; every other one has its true outcome."""
    contract = sample_contract()
    matrix = sample_matrix(contract, rows, seed=99)
    labels = sample_labels(matrix, seed=0)
    start = int((now - timedelta(days=10)).timestamp() * 1e6)
    predictions: list[Prediction] = []
    outcomes: list[Outcome] = []
    for n, row in enumerate(matrix):
        scored = model.score_row(row)
        at = start + n * 10 * DAY_US // rows
        said = Prediction(
            f"p{n}", f"L-{n}", "leads", "1", contract_version(contract), "champion", at,
            scored.probability, scored.score, scored.grade, np.asarray(row, dtype="<f4").tobytes(), f"r{n}",
        )  # fmt: skip
        predictions.append(said)
        if n < 40:
            predictions.append(
                msgspec.structs.replace(said, prediction_id=f"s{n}", role="shadow", model_version="2")
            )
        if n % 2:
            value = 100.0 if labels[n] else None
            outcomes.append(
                Outcome(f"o{n}", f"L-{n}", None, bool(labels[n]), value, at + 1000, at + 2000, "test")
            )
    store.append(predictions, outcomes)


@pytest.fixture
def store(seeded: Home) -> Iterator[EventStore]:
    with EventStore(seeded.events_url) as opened:
        yield opened


@pytest.fixture
def registry(seeded: Home) -> ModelRegistry:
    return ModelRegistry(seeded)


@pytest.fixture
def environment(seeded: Home, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home as the commands find it."""
    monkeypatch.setenv("LEADSCORE_HOME", str(seeded.root))
    monkeypatch.delenv("LEADSCORE_TRACKING_URI", raising=False)
    monkeypatch.setenv("LEADSCORE_EVENTS_URL", seeded.events_url)
    return seeded.root
