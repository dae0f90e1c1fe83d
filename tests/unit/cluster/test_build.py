"""What a cached build depends on."""

import dataclasses

import pytest
from tools.cluster import build
from tools.cluster.build import build_key, built_folder, is_built
from tools.cluster.pins import ETCD, PROGRAMS


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_every_program_is_pinned_to_a_version(program):
    assert program.version.startswith("v")
    assert len(program.packages) == len(program.binaries)


def test_the_key_changes_with_what_is_compiled():
    keys = {
        build_key(ETCD),
        build_key(dataclasses.replace(ETCD, tags="x")),
        build_key(dataclasses.replace(ETCD, stamp=("a.b={version}",))),
        build_key(dataclasses.replace(ETCD, packages=("other",))),
    }
    assert len(keys) == 4


def test_the_key_changes_with_a_locked_dependency(tmp_path, monkeypatch):
    folder = tmp_path / ETCD.name
    folder.mkdir()
    (folder / "go.mod").write_text("module x\n")
    (folder / "go.sum").write_text("a v1 h1:x\n")
    monkeypatch.setattr(build, "MODULES", tmp_path)
    first = build_key(ETCD.__class__("etcd", ("p",), "", ("etcd",), own_version="v1"))
    (folder / "go.sum").write_text("a v2 h1:y\n")
    assert build_key(ETCD.__class__("etcd", ("p",), "", ("etcd",), own_version="v1")) != first


def test_half_a_build_is_no_build(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert not is_built(ETCD)
    built_folder(ETCD).mkdir(parents=True)
    assert not is_built(ETCD)
    (built_folder(ETCD) / "etcd").touch()
    assert is_built(ETCD)
