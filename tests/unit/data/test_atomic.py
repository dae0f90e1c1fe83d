"""Files that appear whole or not at all."""

import errno

import pytest

from leadscore.data.atomic import replacing
from leadscore.errors import TableError, UnavailableError


def test_the_file_appears_when_the_block_ends(tmp_path):
    path = tmp_path / "out"
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_keeps_the_old_file(tmp_path):
    path = tmp_path / "out"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError), replacing(path) as temporary:
        temporary.write_text("half \ud800", encoding="utf-8")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_unavailable_and_keeps_the_old_file(tmp_path, number):
    path = tmp_path / "out"
    path.write_text("old")
    with pytest.raises(UnavailableError, match="No space"), replacing(path):
        raise OSError(number, "full")
    assert path.read_text() == "old"


def test_another_write_error_is_unavailable(tmp_path):
    with pytest.raises(UnavailableError, match="Cannot write"), replacing(tmp_path / "out"):
        raise OSError(errno.EIO, "Input/output error")


def test_a_folder_in_the_way_is_refused(tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(TableError, match="Cannot write"), replacing(tmp_path / "out") as temporary:
        temporary.touch()
