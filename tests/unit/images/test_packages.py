"""Packages of an image: from the lock only, and only what a container runs."""

from pathlib import Path

import pytest
from tools.images.packages import (
    environment_requirements,
    is_unwanted,
    packages_key,
    requirements,
    tidy,
    with_portable_interpreter,
)
from tools.images.paths import ROOT
from tools.images.roles import ROLES

WITH_PACKAGES = [role for role in ROLES if role.extras or role.groups]


@pytest.mark.parametrize(
    "path",
    [
        "numpy/_core/tests/test_a.py",
        "tornado/test/util.py",
        "numpy/__init__.pyi",
        "pyarrow/include/arrow/api.h",
        "x-1.dist-info/RECORD",
        "x-1.dist-info/direct_url.json",
        "x/__pycache__/a.cpython-311.pyc",
    ],
)
def test_what_no_container_runs_is_left_out(path):
    assert is_unwanted(Path(path))


@pytest.mark.parametrize(
    "path",
    [
        "numpy/testing/__init__.py",
        "x/tests.py",
        "x-1.dist-info/METADATA",
        "x-1.dist-info/licenses/LICENSE",
        "x-1.dist-info/entry_points.txt",
        "x/RECORD",
        "x.cpython-311-x86_64-linux-gnu.so",
    ],
)
def test_modules_metadata_and_licences_stay(path):
    assert not is_unwanted(Path(path))


def test_a_script_finds_the_python_of_its_image():
    assert with_portable_interpreter("#!/home/me/.venv/bin/python\nx\n") == "#!/usr/bin/env python3\nx\n"
    assert with_portable_interpreter("#!/bin/sh\nx\n") == "#!/bin/sh\nx\n"


def test_only_named_commands_stay(tmp_path):
    for name in ("mlflow", "gunicorn"):
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / name).write_text("#!/opt/python\n")
    (tmp_path / "a/tests").mkdir(parents=True)
    (tmp_path / "a/tests/test_a.py").touch()
    tidy(tmp_path, ("mlflow",))
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))] == ["bin", "bin/mlflow"]


@pytest.mark.parametrize("role", WITH_PACKAGES, ids=lambda role: role.name)
def test_every_package_is_pinned_with_hashes(role):
    entries = requirements(role).replace("\\\n", " ").strip().splitlines()
    assert len(entries) > 10
    for entry in entries:
        assert "==" in entry
        assert "--hash=sha256:" in entry


def test_the_service_gets_what_its_bento_asks_for():
    (service,) = (role for role in ROLES if role.name == "service")
    asked = (ROOT / "bentos/leadscore_service/requirements.txt").read_text().splitlines()
    pinned = {line.split(" ;")[0].split(" \\")[0].strip() for line in requirements(service).splitlines()}
    assert {line.split(" ;")[0].strip() for line in asked if not line.startswith("#")} <= pinned


def test_the_service_has_no_training_packages():
    (service,) = (role for role in ROLES if role.name == "service")
    names = {line.split("==")[0] for line in requirements(service).splitlines() if "==" in line}
    assert names.isdisjoint({"mlflow", "xgboost-cpu", "scipy", "pandas", "pyarrow", "pip"})


def test_another_pin_is_another_folder():
    assert packages_key("a==1", (), "x") != packages_key("a==2", (), "x")
    assert packages_key("a==1", (), "x") != packages_key("a==1", ("x",), "x")


def test_the_other_environment_of_a_role_is_pinned_with_hashes_too():
    (role,) = [role for role in ROLES if role.environment]
    entries = environment_requirements(role).replace("\\\n", " ").strip().splitlines()
    entries = [entry for entry in entries if not entry.startswith("#")]
    assert [entry for entry in entries if entry.startswith("numpy==1.")]
    for entry in entries:
        assert "==" in entry
        assert "--hash=sha256:" in entry
