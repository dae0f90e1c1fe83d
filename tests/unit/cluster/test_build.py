"""What a cached build depends on."""

import dataclasses
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.waiting import wait_until
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


# A `go build` that says what it compiles, counts how often it was asked for, and waits where the test wants
# it to.
GO = """#!/bin/sh
while [ "$1" != -o ]; do shift; done
echo "$3" >> "$COUNTED"
echo "package/of/$3" >&2
[ -z "$STUCK" ] || [ "$STUCK" != "$3" ] || exec sleep 600
echo built > "$2"
"""
BUILD = """
from tools.cluster.build import build
from tools.cluster.pins import Program
from tools.cluster import build as module
from pathlib import Path
import sys
module.MODULES = Path(sys.argv[1])
program = Program("two", ("first", "second"), "", ("first", "second"), own_version="v1")
print(build(program, lambda part: print(part, flush=True)))
"""


@pytest.fixture
def builder(tmp_path):
    """The environment and command of a build in a process of its own."""
    (tmp_path / "modules" / "two").mkdir(parents=True)
    for name in ("go.mod", "go.sum"):
        (tmp_path / "modules" / "two" / name).write_text("module x\n")
    go = tmp_path / "commands" / "go"
    go.parent.mkdir()
    go.write_text(GO)
    go.chmod(go.stat().st_mode | stat.S_IXUSR)
    environment = os.environ | {
        "PATH": f"{go.parent}:{os.environ['PATH']}",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "COUNTED": str(tmp_path / "counted"),
    }
    return environment, [sys.executable, "-c", BUILD, str(tmp_path / "modules")]


def test_a_build_that_was_killed_goes_on_with_what_was_not_done(builder, tmp_path):
    environment, command = builder
    counted = Path(environment["COUNTED"])
    killed = subprocess.Popen(command, env=environment | {"STUCK": "second"}, start_new_session=True)
    wait_until(
        lambda: counted.exists() and "second" in counted.read_text(), seconds=60, what="the second build"
    )
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
    assert counted.read_text().split() == ["first", "second", "second"]
    folder = Path(done.stdout.split()[-1])
    assert sorted(path.name for path in folder.iterdir()) == ["first", "second"]
    assert [path.name for path in folder.parent.iterdir() if path.name.endswith(".partial")] == []


def test_a_build_says_which_binary_and_which_package_it_is_at(builder):
    environment, command = builder
    said = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, timeout=120
    ).stdout
    assert "first (1 of 2)" in said
    assert "second (2 of 2): 1 packages, package/of/second" in said
