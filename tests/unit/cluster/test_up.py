"""Which cluster is meant, and what has to be built for it."""

import dataclasses
import os
from pathlib import Path

import pytest
from tools.cluster import kind, up
from tools.cluster.machine import Plan
from tools.cluster.pins import KIND, PROGRAMS
from tools.cluster.up import target

PUBLIC = Plan(
    install=(), start_docker=False, drop_sys_resource=False, build_node_image=False, cgroup_v1=False, notes=()
)


def test_without_kubeconfig_it_is_ours(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    assert not target().given
    assert target().cluster.kubeconfig == str(kind.kubeconfig_path())


def test_a_kubeconfig_of_the_caller_is_used(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("KUBECONFIG", "/somewhere/config")
    assert target().given
    assert target().cluster.kubeconfig == "/somewhere/config"


def test_exporting_what_up_printed_still_means_ours(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("KUBECONFIG", str(kind.kubeconfig_path()))
    assert not target().given


@pytest.mark.parametrize(("installed", "built"), [(Path("/usr/bin/kind"), ()), (None, (KIND,))])
def test_where_a_registry_answers_nothing_is_built_but_a_kind_that_is_not_there(
    monkeypatch, installed, built
):
    monkeypatch.setattr(kind, "installed", lambda: installed)
    assert up._to_build(PUBLIC) == built
    assert up._to_build(dataclasses.replace(PUBLIC, build_node_image=True)) == PROGRAMS


def test_a_kind_of_another_version_boots_other_node_images():
    assert kind.is_pinned(f"kind {KIND.version} go1.26.8 linux/amd64")
    assert not kind.is_pinned("kind v0.29.0 go1.24.2 linux/amd64")


def test_a_kind_on_path_is_taken_if_it_runs_and_is_the_pinned_one(monkeypatch, tmp_path):
    program = tmp_path / "kind"
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    for script, taken in (
        ("exit 1", None),
        ("echo kind v0.1.0", None),
        (f"echo kind {KIND.version}", program),
    ):
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        assert kind.installed() == taken
