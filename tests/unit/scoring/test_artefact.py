from __future__ import annotations

import os
import pickle
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from leadscore.errors import ArtefactError, ConflictError, UnavailableError
from leadscore.scoring.artefact import (
    MANIFEST,
    MAX_FILE_BYTES,
    artefact_digest,
    read_verified,
    verify_artefact,
    writing_artefact,
)


@pytest.fixture
def folder(artefact: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(artefact, tmp_path / "copy"))


def _edit_manifest(folder: Path, change: Callable[[dict[str, object]], None]) -> None:
    document = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=dict[str, object])
    change(document)
    (folder / MANIFEST).write_bytes(msgspec.json.encode(document))


def test_what_was_written_verifies(artefact: Path) -> None:
    manifest = verify_artefact(artefact)
    assert set(manifest.files) | {MANIFEST} == {p.name for p in artefact.iterdir()}


def test_the_digest_depends_on_every_file(artefact: Path) -> None:
    manifest = verify_artefact(artefact)
    digests = {artefact_digest(manifest)}
    for name, entry in manifest.files.items():
        other = {**manifest.files, name: msgspec.structs.replace(entry, sha256="0" * 64)}
        digests.add(artefact_digest(msgspec.structs.replace(manifest, files=other)))
    assert len(digests) == len(manifest.files) + 1


@pytest.mark.parametrize("name", ["model.ubj", "contract.yaml", "golden.json", "MODEL_CARD.md"])
def test_one_flipped_bit_is_refused_by_file_name(folder: Path, name: str) -> None:
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(ArtefactError, match=name):
        verify_artefact(folder)


def test_a_missing_file_is_refused_by_name(folder: Path) -> None:
    (folder / "grades.json").unlink()
    with pytest.raises(ArtefactError, match=r"grades\.json is missing"):
        verify_artefact(folder)


@pytest.mark.parametrize("name", ["extra.json", "model.pkl", ".hidden.json", "run.sh"])
def test_an_extra_file_is_refused_by_name(folder: Path, name: str) -> None:
    (folder / name).write_text("{}")
    with pytest.raises(ArtefactError, match=name):
        verify_artefact(folder)


def test_a_sub_folder_is_refused_by_name(folder: Path) -> None:
    (folder / "code.json").mkdir()
    with pytest.raises(ArtefactError, match=r"code\.json"):
        verify_artefact(folder)


def test_a_symbolic_link_is_refused_even_to_the_right_bytes(folder: Path, tmp_path: Path) -> None:
    (folder / "model.ubj").rename(tmp_path / "elsewhere.ubj")
    (folder / "model.ubj").symlink_to(tmp_path / "elsewhere.ubj")
    with pytest.raises(ArtefactError, match=r"model\.ubj .*symbolic link"):
        verify_artefact(folder)


def test_a_named_pipe_is_refused_without_waiting(folder: Path) -> None:
    (folder / "model.ubj").unlink()
    os.mkfifo(folder / "model.ubj")
    with pytest.raises(ArtefactError, match=r"model\.ubj"):
        verify_artefact(folder)


def test_a_file_that_grew_is_refused_before_it_is_read(folder: Path) -> None:
    with (folder / "model.ubj").open("r+b") as file:
        file.truncate(40 * 1024 * 1024 * 1024)  # sparse: takes no space, but reading it would take minutes
    with pytest.raises(ArtefactError, match=r"model\.ubj .* bytes"):
        verify_artefact(folder)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_is_refused_even_when_the_manifest_lists_it(folder: Path, protocol: int) -> None:
    payload = pickle.dumps({"a": 1}, protocol=protocol)
    _replace_and_list(folder, "metrics.json", payload)
    with pytest.raises(ArtefactError, match=r"metrics\.json .*pickle"):
        verify_artefact(folder)


def test_an_archive_is_refused_even_when_the_manifest_lists_it(folder: Path) -> None:
    _replace_and_list(folder, "metrics.json", b"PK\x03\x04 data.pkl")
    with pytest.raises(ArtefactError, match=r"metrics\.json .*archive"):
        verify_artefact(folder)


def _replace_and_list(folder: Path, name: str, payload: bytes) -> None:
    import hashlib

    (folder / name).write_bytes(payload)
    entry = {"sha256": hashlib.sha256(payload).hexdigest(), "size": len(payload)}
    _edit_manifest(folder, lambda document: document["files"].update({name: entry}))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "name", ["../evil.json", "/etc/passwd.txt", "a/b.json", "..", "manifest.json", "x\x00.json"]
)
def test_a_manifest_cannot_name_a_file_outside_the_folder(folder: Path, name: str) -> None:
    entry = {"sha256": "0" * 64, "size": 1}
    _edit_manifest(folder, lambda document: document["files"].update({name: entry}))  # type: ignore[attr-defined]
    with pytest.raises(ArtefactError, match=r"manifest\.json"):
        verify_artefact(folder)


@pytest.mark.parametrize("size", [MAX_FILE_BYTES + 1, -1])
def test_a_manifest_cannot_allow_any_size(folder: Path, size: int) -> None:
    def change(document: dict[str, object]) -> None:
        document["files"]["model.ubj"]["size"] = size  # type: ignore[index]

    _edit_manifest(folder, change)
    with pytest.raises(ArtefactError, match=r"model\.ubj"):
        verify_artefact(folder)


@pytest.mark.parametrize("name", ["", "leads\x00", "a\nb", "\x1b[2J", "x" * 129, "../leads", "Müller", 7])
def test_a_model_name_that_no_record_could_hold_is_refused_at_load(folder: Path, name: object) -> None:
    _edit_manifest(folder, lambda document: document.update(name=name))
    with pytest.raises(ArtefactError, match=r"manifest\.json"):
        verify_artefact(folder)


@pytest.mark.parametrize(
    "change",
    [{"code_revision": "a\x00"}, {"libraries": {"xgboost\x1b": "3"}}, {"created_at": "2026-01-01T00:00:00"}],
)
def test_control_characters_and_times_without_zone_are_refused(
    folder: Path, change: dict[str, object]
) -> None:
    _edit_manifest(folder, lambda document: document.update(change))
    with pytest.raises(ArtefactError, match=r"manifest\.json"):
        verify_artefact(folder)


def test_files_that_are_too_large_together_are_refused(folder: Path) -> None:
    entry = {"sha256": "0" * 64, "size": MAX_FILE_BYTES}
    more = {f"extra{number}.arrow": entry for number in range(3)}
    _edit_manifest(folder, lambda document: document["files"].update(more))  # type: ignore[attr-defined]
    with pytest.raises(ArtefactError, match="too many together"):
        verify_artefact(folder)


@pytest.mark.parametrize("format_", [2, "1.0", None])
def test_another_format_is_refused_with_the_number(folder: Path, format_: object) -> None:
    _edit_manifest(folder, lambda document: document.update(format=format_))
    with pytest.raises(ArtefactError, match=f"format {format_!r}"):
        verify_artefact(folder)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff\xff", b'{"format": 1}', b" " * 2_000_000])
def test_a_broken_manifest_is_refused_by_name(folder: Path, content: bytes) -> None:
    (folder / MANIFEST).write_bytes(content)
    with pytest.raises(ArtefactError, match=r"manifest\.json"):
        verify_artefact(folder)


def test_an_absent_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="nowhere"):
        verify_artefact(tmp_path / "nowhere")


def test_a_manifest_without_a_required_file_is_refused(folder: Path) -> None:
    def change(document: dict[str, object]) -> None:
        del document["files"]["golden.json"]  # type: ignore[attr-defined]

    _edit_manifest(folder, change)
    with pytest.raises(ArtefactError, match=r"golden\.json is missing"):
        verify_artefact(folder)


def test_a_file_exchanged_after_verification_is_refused_on_reading(folder: Path) -> None:
    manifest = verify_artefact(folder)
    (folder / "grades.json").write_bytes((folder / "grades.json").read_bytes()[::-1])
    with pytest.raises(ArtefactError, match=r"grades\.json"):
        read_verified(folder, manifest, "grades.json")


def test_a_failed_write_leaves_nothing(artefact: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtefactError), writing_artefact(tmp_path / "out") as folder:
        (folder / "model.ubj").write_bytes(b"only this")
    assert list(tmp_path.iterdir()) == []


def test_an_existing_artefact_is_never_overwritten(folder: Path) -> None:
    with pytest.raises(ConflictError), writing_artefact(folder):
        pytest.fail("the block must not run")
    verify_artefact(folder)


def test_an_unwritable_place_is_unavailable_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(UnavailableError), writing_artefact(tmp_path / "file" / "out"):
        pytest.fail("the block must not run")


def test_a_killed_writer_leaves_no_folder_of_that_name(artefact: Path, tmp_path: Path) -> None:
    script = (
        "import os, shutil, signal, sys\n"
        "from pathlib import Path\n"
        "from leadscore.scoring.artefact import writing_artefact\n"
        "with writing_artefact(Path(sys.argv[2])) as folder:\n"
        "    for file in Path(sys.argv[1]).iterdir():\n"
        "        shutil.copy(file, folder)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    out = tmp_path / "out"
    done = subprocess.run([sys.executable, "-c", script, str(artefact), str(out)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not out.exists()
    (left,) = tmp_path.iterdir()
    with writing_artefact(out) as folder:
        assert not left.exists()
        shutil.copytree(artefact, folder, dirs_exist_ok=True)
    assert list(tmp_path.iterdir()) == [out]
