"""Files and folders in the making: whole or not at all, and nothing left of a process that was killed."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from leadscore.files import read_file, replace_file, replacing, temporary_folder


def _killed(body: str, *arguments: Path) -> None:
    """Run a program that kills itself in the middle of a write."""
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from leadscore.files import replacing, temporary_folder\n"
        f"with {body}:\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, *map(str, arguments)], check=False)
    assert done.returncode == -signal.SIGKILL


def test_what_a_killed_writer_left_is_removed_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    _killed("replacing(Path(sys.argv[1])) as t", path)
    assert len(list(tmp_path.iterdir())) == 1
    replace_file(path, b"new")
    assert list(tmp_path.iterdir()) == [path]


def test_what_another_writer_is_at_stays(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    with replacing(path) as slow:
        slow.write_bytes(b"slow")
        replace_file(path, b"fast")
        assert slow.read_bytes() == b"slow"
    assert path.read_bytes() == b"slow"


def test_what_a_killed_writer_of_yesterdays_file_left_is_removed_and_what_others_left_stays(
    tmp_path: Path,
) -> None:
    _killed("replacing(Path(sys.argv[1])) as t", tmp_path / "scored-1.csv")
    theirs = tmp_path / ".scored-2.csv.1234.tmp"
    theirs.touch()
    replace_file(tmp_path / "scored-2.csv", b"new")
    assert set(tmp_path.iterdir()) == {theirs, tmp_path / "scored-2.csv"}


def test_the_folder_of_a_killed_process_is_removed_by_the_next_and_a_living_ones_stays(
    tmp_path: Path,
) -> None:
    _killed("temporary_folder(Path(sys.argv[1]), '.training-') as t", tmp_path)
    (left,) = tmp_path.iterdir()
    (left / "model.ubj").write_bytes(b"half")
    with temporary_folder(tmp_path, ".training-") as one, temporary_folder(tmp_path, ".training-") as two:
        assert set(tmp_path.iterdir()) == {one, two}
        assert stat.S_IMODE(one.stat().st_mode) == 0o700
    assert list(tmp_path.iterdir()) == []


def test_a_link_with_such_a_name_is_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").touch()
    (tmp_path / ".training-x").symlink_to(precious)
    with temporary_folder(tmp_path, ".training-"):
        pass
    assert (precious / "file").exists()


def test_a_replaced_file_keeps_its_mode_when_told(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    replace_file(path, b"new", keep_owner=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o640)
    replace_file(path, b"newer", keep_owner=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
def test_a_replaced_file_keeps_its_owner_when_told(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    path.write_bytes(b"old")
    os.chown(path, 10001, 10002)
    replace_file(path, b"new", keep_owner=True)
    assert (path.stat().st_uid, path.stat().st_gid) == (10001, 10002)


def test_a_file_that_is_too_long_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x" * 11)
    with pytest.raises(OSError, match="longer than the 10 bytes"):
        read_file(path, 10)
    assert read_file(path, 11) == b"x" * 11
