"""The registry against a real MLflow server."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from leadscore.errors import ArtefactError, NotFoundError, UnavailableError
from leadscore.registry.store import ModelRegistry
from leadscore.scoring.model import ScoringModel
from leadscore.settings import Home

if TYPE_CHECKING:
    from tests.support.mlflow_server import MlflowServer


@pytest.fixture
def registry(home: Home, name: str, artefacts: tuple[Path, ...]) -> ModelRegistry:
    """The test's model with version 1 as champion and 2 as challenger."""
    registry = ModelRegistry(home)
    registry.publish(artefacts[0], name, alias="champion")
    registry.publish(artefacts[1], name, alias="challenger")
    return registry


def test_the_life_of_a_model(registry: ModelRegistry, name: str, home: Home) -> None:
    decision = registry.promote(name, 2, reason="better", by="ann", expected_champion=1)
    assert registry.resolve(name).version == 2
    assert registry.resolve(f"{name}@previous").version == 1
    assert registry.get(name, 2).decisions[-1] == decision
    assert registry.get(name, 2).metrics["auc"].low == pytest.approx(0.79)
    model = ScoringModel.load(registry.fetch(name))
    assert model.digest == registry.get(name, 2).digest
    registry.rollback(name)
    assert [(v.version, v.stage) for v in registry.versions(name)] == [(2, "None"), (1, "Production")]
    registry.archive(name, 2)
    assert ModelRegistry(home).get(name, 2).stage == "Archived"
    with pytest.raises(NotFoundError):
        registry.resolve(f"{name}@challenger")


def test_a_tampered_artefact_is_refused_by_name_and_not_cached(
    registry: ModelRegistry, name: str, home: Home, server: MlflowServer
) -> None:
    registry.fetch(f"{name}/2")
    digest = registry.get(name, 1).digest
    stored = [path for path in server.artefacts.rglob("model.ubj") if digest in _digest_beside(path)]
    for path in stored:
        path.write_bytes(path.read_bytes()[:-1] + b"!")
    assert len(stored) >= 1
    with pytest.raises(ArtefactError, match=r"model\.ubj"):
        registry.fetch(f"{name}/1")
    assert not (home.models / name / "1").exists()
    for path in stored:
        path.write_bytes(path.read_bytes()[:-1] + b"}")


def _digest_beside(path: Path) -> str:
    from leadscore.scoring.artefact import artefact_digest, read_manifest

    return artefact_digest(read_manifest(path.parent))


def test_two_machines_fetching_at_once_get_the_same_model(
    registry: ModelRegistry, name: str, home: Home
) -> None:
    script = (
        "import sys; from leadscore.registry.store import ModelRegistry; from leadscore.settings import Home;"
        "print(ModelRegistry(Home.from_environment()).fetch(sys.argv[1]))"
    )
    environment = {"LEADSCORE_HOME": str(home.root), "LEADSCORE_TRACKING_URI": home.tracking_uri, "PATH": ""}
    command = [sys.executable, "-c", script, f"{name}/1"]
    both = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    told = [process.communicate(timeout=120)[0].strip() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert told[0] == told[1] == str(home.models / name / "1")
    ScoringModel.load(Path(told[0]))


def test_two_first_time_users_at_once_both_publish(tmp_path: Path, artefacts: tuple[Path, ...]) -> None:
    script = (
        "import sys; from pathlib import Path; from leadscore.registry.store import ModelRegistry;"
        "from leadscore.settings import Home;"
        "print(ModelRegistry(Home.from_environment()).publish(Path(sys.argv[1]), 'leads').version)"
    )
    environment = {"LEADSCORE_HOME": str(tmp_path / "new"), "PATH": ""}
    both = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(folder)], env=environment, stdout=subprocess.PIPE, text=True
        )
        for folder in artefacts[:2]
    ]
    told = [process.communicate(timeout=240)[0].strip() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sorted(told) == ["1", "2"]


def test_a_pinned_cached_version_needs_no_mlflow_installed(
    registry: ModelRegistry, name: str, home: Home
) -> None:
    registry.fetch(f"{name}/1")
    script = (
        "import sys; sys.modules['mlflow'] = None;"
        "from leadscore.registry.store import ModelRegistry; from leadscore.settings import Home;"
        "from leadscore.scoring.model import ScoringModel;"
        "ScoringModel.load(ModelRegistry(Home.from_environment()).fetch(sys.argv[1]));"
        "assert not {'xgboost', 'pandas', 'pyarrow', 'sqlalchemy'} & set(sys.modules)"
    )
    environment = {"LEADSCORE_HOME": str(home.root), "LEADSCORE_TRACKING_URI": home.tracking_uri, "PATH": ""}
    done = subprocess.run([sys.executable, "-c", script, f"{name}/1"], env=environment, check=False)
    assert done.returncode == 0


def test_a_server_that_hangs_is_unavailable_soon(
    registry: ModelRegistry, name: str, home: Home, server: MlflowServer
) -> None:
    path = registry.fetch(name)
    server.signal(signal.SIGSTOP)
    try:
        started = time.monotonic()
        with pytest.raises(UnavailableError):
            registry.versions(name)
        assert time.monotonic() - started < 30
        assert ModelRegistry(home).fetch(f"{name}@champion") == path
    finally:
        server.signal(signal.SIGCONT)


# Last: whatever comes after it waits for the server to start again.
def test_with_the_server_killed_known_versions_load_and_nothing_looks_empty(
    registry: ModelRegistry, name: str, home: Home, server: MlflowServer, caplog: pytest.LogCaptureFixture
) -> None:
    path = registry.fetch(name)
    server.kill()
    later = ModelRegistry(home)
    assert later.fetch(f"{name}/1") == path
    with caplog.at_level(logging.WARNING):
        assert later.fetch(f"{name}@champion") == path
    assert f"{name}/1, which {name}@champion meant" in caplog.text
    assert "seconds ago" in caplog.text
    calls = (
        registry.names,
        later.names,
        lambda: later.versions(name),
        lambda: later.fetch(f"{name}/2"),
        lambda: later.fetch(f"{name}@challenger"),
        lambda: later.promote(name, 2),
    )
    for call in calls:
        started = time.monotonic()
        with pytest.raises(UnavailableError):
            call()
        assert time.monotonic() - started < 20
