from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest

from leadscore.errors import ArtefactError, NotFoundError, UnavailableError
from leadscore.registry.backend import registry_id
from leadscore.registry.cache import ModelCache
from leadscore.registry.store import ModelRegistry
from leadscore.scoring.artefact import artefact_digest, verify_artefact
from leadscore.settings import Home


@pytest.fixture
def cache(tmp_path: Path) -> ModelCache:
    return ModelCache(tmp_path / "models", "registry-a")


def _digest(folder: Path) -> str:
    return artefact_digest(verify_artefact(folder))


def _copies(folder: Path, counter: list[int]):
    def download(target: Path) -> Path:
        counter.append(1)
        return Path(shutil.copytree(folder, target, dirs_exist_ok=True))

    return download


def test_a_version_is_downloaded_once(cache: ModelCache, artefacts: tuple[Path, ...]) -> None:
    calls: list[int] = []
    digest = _digest(artefacts[0])
    first = cache.install("leads", 1, digest, _copies(artefacts[0], calls))
    assert cache.install("leads", 1, digest, _copies(artefacts[0], calls)) == first
    assert len(calls) == 1
    assert _digest(first) == digest


@pytest.mark.parametrize("damage", ["model.ubj", "golden.json", "manifest.json"])
def test_a_damaged_copy_is_found_out_and_fetched_again(
    cache: ModelCache, artefacts: tuple[Path, ...], damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[int] = []
    digest = _digest(artefacts[0])
    path = cache.install("leads", 1, digest, _copies(artefacts[0], calls))
    (path / damage).write_bytes(b"{}")
    assert cache.find("leads", 1) is None
    assert damage in caplog.text
    assert cache.install("leads", 1, digest, _copies(artefacts[0], calls)) == path
    assert _digest(path) == digest
    assert len(calls) == 2


def test_a_tampered_download_is_refused_by_name_and_not_cached(
    cache: ModelCache, artefacts: tuple[Path, ...], tmp_path: Path
) -> None:
    bad = Path(shutil.copytree(artefacts[0], tmp_path / "bad"))
    (bad / "model.ubj").write_bytes((artefacts[1] / "model.ubj").read_bytes())
    with pytest.raises(ArtefactError, match=r"model\.ubj"):
        cache.install("leads", 1, _digest(artefacts[0]), _copies(bad, []))
    assert cache.find("leads", 1) is None
    assert [p.name for p in (tmp_path / "models" / "leads").iterdir()] == [".lock"]


def test_a_download_consistent_in_itself_but_another_model_is_refused(
    cache: ModelCache, artefacts: tuple[Path, ...]
) -> None:
    with pytest.raises(ArtefactError, match=r"manifest\.json .*not the one that was published"):
        cache.install("leads", 1, _digest(artefacts[0]), _copies(artefacts[1], []))
    assert cache.find("leads", 1) is None


def test_a_copy_exchanged_for_another_model_is_found_out(
    cache: ModelCache, artefacts: tuple[Path, ...]
) -> None:
    digest = _digest(artefacts[0])
    path = cache.install("leads", 1, digest, _copies(artefacts[0], []))
    cache.remember("leads", {"champion": 1}, {1: digest})
    shutil.rmtree(path)
    shutil.copytree(artefacts[1], path)
    assert cache.find("leads", 1) is None


def test_what_a_killed_fetch_left_is_swept_away(
    cache: ModelCache, artefacts: tuple[Path, ...], tmp_path: Path
) -> None:
    leftover = tmp_path / "models" / "leads" / ".artefact-killed"
    leftover.mkdir(parents=True)
    (leftover / "model.ubj").write_bytes(b"half")
    cache.install("leads", 1, _digest(artefacts[0]), _copies(artefacts[0], []))
    assert not leftover.exists()


def test_an_unreadable_alias_file_is_ignored_with_a_warning(
    cache: ModelCache, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache.remember("leads", {"champion": 1}, {})
    (tmp_path / "models" / "leads" / "aliases.json").write_bytes(b"{half")
    assert cache.seen("leads") is None
    assert "aliases.json" in caplog.text


def test_aliases_of_another_registry_are_not_believed(
    cache: ModelCache, artefacts: tuple[Path, ...], tmp_path: Path
) -> None:
    cache.install("leads", 1, _digest(artefacts[0]), _copies(artefacts[0], []))
    cache.remember("leads", {"champion": 1}, {1: _digest(artefacts[0])})
    assert cache.last_seen("leads", "champion") is not None
    other = ModelCache(tmp_path / "models", "registry-b")
    assert other.last_seen("leads", "champion") is None
    found = other.find("leads", 1)
    assert found is not None
    assert not found.same_registry


def test_a_registry_has_the_same_id_whoever_logs_in() -> None:
    assert registry_id("https://ann:secret@host/path") == registry_id("https://bob@host/path")
    assert registry_id("https://host/path") != registry_id("https://host/other")


def test_fetch_follows_the_alias_and_keeps_versions_apart(three: ModelRegistry, home: Home) -> None:
    assert three.fetch("leads") == home.models / "leads" / "1"
    three.promote("leads", 2)
    assert three.fetch("leads") == home.models / "leads" / "2"
    assert three.fetch("leads/1") == home.models / "leads" / "1"
    with pytest.raises(NotFoundError):
        three.fetch("leads/9")


def _unreachable(home: Home) -> ModelRegistry:
    """The same cache with a registry that nobody listens at."""
    return ModelRegistry(Home(home.root, "http://127.0.0.1:9", home.events_url))


def test_without_registry_nothing_is_ever_empty(tmp_path: Path) -> None:
    registry = _unreachable(Home.from_environment({"LEADSCORE_HOME": str(tmp_path)}))
    calls = (registry.names, lambda: registry.versions("leads"), lambda: registry.fetch("leads/1"))
    for call in calls:
        with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:9"):
            call()


def test_an_alias_of_another_registry_does_not_start_a_model(three: ModelRegistry, home: Home) -> None:
    three.fetch("leads")
    with pytest.raises(UnavailableError):
        _unreachable(home).fetch("leads")


def test_a_pinned_copy_from_a_registry_that_moved_starts_with_a_warning(
    three: ModelRegistry, home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    path = three.fetch("leads/1")
    with caplog.at_level(logging.WARNING):
        assert _unreachable(home).fetch("leads/1") == path
    assert "another registry" in caplog.text
