"""A store that sends too much, too little, too slowly, or from elsewhere: refused, and no disk is filled."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from leadscore.errors import ArtefactError, LeadScoreError, UnavailableError
from leadscore.registry import download
from leadscore.registry.backend import Backend
from leadscore.registry.download import check_source, fetch_artefact
from leadscore.registry.store import ModelRegistry
from leadscore.scoring.artefact import MANIFEST, MAX_MANIFEST_BYTES, artefact_digest, verify_artefact
from leadscore.settings import Home


class Store:
    """Sends the files of a folder, or what it is told instead."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []
        self.instead: dict[str, Callable[[Path], object]] = {}
        self.sent = 0

    def get(self, name: str, path: str) -> None:
        self.asked.append(name)
        send = self.instead.get(name)
        if send is None:
            Path(path).write_bytes((self.folder / name).read_bytes())
        else:
            send(Path(path))

    def endless(self, path: Path) -> None:
        with path.open("wb") as file:
            while True:
                self.sent += file.write(b"x" * 65536)


@pytest.fixture
def store(artefacts: tuple[Path, ...]) -> Store:
    return Store(artefacts[0])


@pytest.fixture
def fetch(store: Store, tmp_path: Path) -> Callable[[], Path]:
    digest = artefact_digest(verify_artefact(store.folder))

    def run() -> Path:
        target = tmp_path / "incoming"
        target.mkdir()
        fetch_artefact(store.get, target, "leads/1", digest)
        return target

    return run


def test_the_manifest_comes_first_and_then_only_what_it_lists(
    store: Store, fetch: Callable[[], Path]
) -> None:
    manifest = verify_artefact(fetch())
    assert store.asked[0] == MANIFEST
    assert sorted(store.asked[1:]) == sorted(manifest.files)


@pytest.mark.parametrize(("name", "limit"), [(MANIFEST, MAX_MANIFEST_BYTES), ("model.ubj", None)])
def test_an_endless_file_is_cut_off_at_its_size(
    store: Store, fetch: Callable[[], Path], tmp_path: Path, name: str, limit: int | None
) -> None:
    store.instead[name] = store.endless
    with pytest.raises(ArtefactError, match=name):
        fetch()
    allowed = limit or verify_artefact(store.folder).files[name].size
    # What a pipe and its readers hold on top of it was sent, too, but never written.
    assert (tmp_path / "incoming" / name).stat().st_size <= allowed
    assert store.sent <= allowed + 4 * 1024 * 1024


def test_another_manifest_than_the_published_one_is_refused_before_anything_else_is_fetched(
    store: Store, fetch: Callable[[], Path], artefacts: tuple[Path, ...]
) -> None:
    store.instead[MANIFEST] = lambda path: path.write_bytes((artefacts[1] / MANIFEST).read_bytes())
    with pytest.raises(ArtefactError, match="not the one that was published"):
        fetch()
    assert store.asked == [MANIFEST]


def test_a_store_that_sends_nothing_is_given_up(
    store: Store, fetch: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_SECONDS", 0.0)
    monkeypatch.setattr(download, "_SLOWEST_BYTES_PER_SECOND", 1 << 60)
    over = threading.Event()
    store.instead[MANIFEST] = lambda _: over.wait()
    with pytest.raises(UnavailableError, match=r"manifest\.json"):
        fetch()
    over.set()


def test_what_the_client_raises_is_raised(store: Store, fetch: Callable[[], Path]) -> None:
    def fails(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    store.instead["model.ubj"] = fails
    with pytest.raises(PermissionError):
        fetch()


_SERVER = "https://mlflow.example:5000"


@pytest.mark.parametrize(
    ("source", "location"),
    [
        ("mlflow-artifacts:/1/a/artifacts/model", "mlflow-artifacts:/1"),
        ("s3://bucket/models/1/a/artifacts/model", "s3://bucket/models/1"),
        ("file:///artefacts/1/a/artifacts/model", "file:///artefacts/1"),
        ("/artefacts/1/a/artifacts/model", "/artefacts/1"),
        (f"{_SERVER}/api/1/a", f"{_SERVER}/api/1"),
    ],
)
def test_a_source_where_the_registry_keeps_its_artefacts_is_taken(source: str, location: str) -> None:
    check_source(source, location, _SERVER)


@pytest.mark.parametrize(
    ("source", "location"),
    [
        ("file:///etc", "mlflow-artifacts:/1"),
        ("/etc", "mlflow-artifacts:/1"),
        ("s3://other/models/1/a", "s3://bucket/models/1"),
        ("s3://bucket/models/12/a", "s3://bucket/models/1"),
        ("file:///artefacts/1/../../etc", "file:///artefacts/1"),
        ("file:///artefacts/1/%2e%2e/%2e%2e/etc", "file:///artefacts/1"),
        ("mlflow-artifacts:/1/a?path=/etc", "mlflow-artifacts:/1"),
        ("ftp://host/1/a", "ftp://host/1"),
        ("https://elsewhere.example/1/a", "https://elsewhere.example/1"),
        ("models:/leads/1", "mlflow-artifacts:/1"),
        ("runs:/abc/model", "mlflow-artifacts:/1"),
        ("mlflow-artifacts:/1/a", ""),
    ],
)
def test_a_source_elsewhere_is_refused(source: str, location: str) -> None:
    with pytest.raises(ArtefactError, match="not where this registry keeps"):
        check_source(source, location, _SERVER)


def test_links_and_pipes_of_a_folder_are_not_followed(
    registry: ModelRegistry, home: Home, artefacts: tuple[Path, ...]
) -> None:
    registry.publish(artefacts[0], "leads", alias="champion")
    stored = Path(Backend.open(home).version("leads", 1).source.removeprefix("file://"))
    kept = (stored / "model.ubj").read_bytes()
    for make in (lambda path: path.symlink_to("/etc/passwd"), os.mkfifo):
        (stored / "model.ubj").unlink()
        make(stored / "model.ubj")
        with pytest.raises(LeadScoreError):
            registry.fetch("leads@champion")
    assert not (home.models / "leads" / "1").exists()
    (stored / "model.ubj").unlink()
    (stored / "model.ubj").write_bytes(kept)
    registry.fetch("leads@champion")
    shutil.rmtree(home.models)
