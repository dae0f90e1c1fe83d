"""The folder with what a person types against the cluster."""

import os
import subprocess

import pytest
from tools.cluster import commands
from tools.cluster.build import built_folder
from tools.cluster.pins import HELM, KUBERNETES


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def _program(program, name, says):
    built_folder(program).mkdir(parents=True, exist_ok=True)
    path = built_folder(program) / name
    path.write_text(f"#!/bin/sh\necho {says}\n")
    path.chmod(0o755)


def test_where_nothing_was_built_there_is_no_folder_to_put_on_the_path():
    assert commands.link() is None
    assert not commands.folder().exists()


def test_what_was_built_can_be_typed_by_its_name():
    _program(KUBERNETES, "kubectl", "kubectl-of-the-cluster")
    _program(HELM, "helm", "helm-of-the-chart")
    path = f"{commands.link()}{os.pathsep}{os.environ['PATH']}"
    for name, says in (("kubectl", "kubectl-of-the-cluster"), ("helm", "helm-of-the-chart")):
        found = subprocess.run(
            ["sh", "-c", name], env={"PATH": path}, capture_output=True, text=True, check=True
        )
        assert found.stdout.strip() == says
    assert sorted(each.name for each in commands.folder().iterdir()) == ["helm", "kubectl"]


def test_a_link_to_a_version_that_is_no_longer_pinned_is_replaced(tmp_path):
    commands.folder().mkdir(parents=True)
    (commands.folder() / "helm").symlink_to(tmp_path / "gone")
    _program(HELM, "helm", "new")
    commands.link()
    assert (commands.folder() / "helm").resolve() == (built_folder(HELM) / "helm").resolve()
