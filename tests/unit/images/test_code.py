"""Our own code in images: which files, at which time, for which C library."""

import os
import subprocess

import pytest
from tools.images import code
from tools.images.code import at_time, needed_glibc, source_epoch, source_files, sources
from tools.images.paths import ROOT
from tools.images.roles import find


def test_the_newest_c_library_that_a_kernel_asks_for_is_found():
    assert needed_glibc(b"\0GLIBC_2.2.5\0GLIBC_2.29\0GLIBC_2.4\0") == (2, 29)
    assert needed_glibc(b"nothing") == (0, 0)


def test_a_bento_says_the_time_of_its_sources_not_of_its_build():
    text = "service: a:B\ncreation_time: '2030-01-01T00:00:00.5+00:00'\nname: x\n"
    assert at_time(text, 0) == "service: a:B\ncreation_time: '1970-01-01T00:00:00+00:00'\nname: x\n"


def test_build_products_are_no_sources(tmp_path):
    for name in ("src/a.py", "src/a.so", "src/__pycache__/a.pyc", "README.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [str(path) for path in source_files(["src", "README.md"], tmp_path)] == ["src/a.py", "README.md"]


@pytest.mark.parametrize("name", ["service", "jobs", "loadtest"])
def test_every_source_that_a_role_names_is_there(name):
    assert [each for each in sources(find(name)) if not (ROOT / each).exists()] == []


def test_a_time_from_outside_wins(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1234567890")
    assert source_epoch(["src"]) == 1234567890


def test_otherwise_it_is_that_of_the_last_commit_of_the_sources(monkeypatch, tmp_path):
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    monkeypatch.setattr(code, "ROOT", tmp_path)
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    for name, time in (("a", 1_600_000_000), ("b", 1_700_000_000)):
        (tmp_path / name).write_text(name)
        subprocess.run(["git", "add", name], cwd=tmp_path, check=True)
        commit = [
            "git",
            "-c",
            "user.name=x",
            "-c",
            "user.email=x@example.org",
            "commit",
            "--quiet",
            "-m",
            name,
        ]
        environment = {**os.environ, "GIT_COMMITTER_DATE": f"{time} +0000"}
        subprocess.run(commit, cwd=tmp_path, check=True, env=environment)
    assert (source_epoch(["a"]), source_epoch(["a", "b"])) == (1_600_000_000, 1_700_000_000)


def test_sources_that_no_commit_has_get_a_fixed_time(monkeypatch, tmp_path):
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    monkeypatch.setattr(code, "ROOT", tmp_path)
    assert source_epoch(["a"]) == source_epoch(["b"]) == 1_767_225_600
