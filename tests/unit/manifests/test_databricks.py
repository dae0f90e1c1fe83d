"""The asset bundle's jobs are what Databricks knows, and run commands that the wheel has."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from databricks.bundles.jobs import Job

from leadscore.cli.main import app

ROOT = Path(__file__).parents[3]
BUNDLE = ROOT / "manifests" / "databricks"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
VARIABLE = re.compile(r"\$\{var\.(\w+)\}")


def read(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text("utf-8"))


ROOT_FILE = read(BUNDLE / "databricks.yml")
VARIABLES = ROOT_FILE["variables"]
FILES = sorted(path for pattern in ROOT_FILE["include"] for path in BUNDLE.glob(pattern))
JOBS = {name: (path, job) for path in FILES for name, job in read(path)["resources"]["jobs"].items()}


def filled(value: Any) -> Any:
    """What a deployment makes of it: variables by their default, or a value of the right kind."""
    if isinstance(value, dict):
        return {key: filled(item) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item) for item in value]
    if not isinstance(value, str):
        return value
    whole = VARIABLE.fullmatch(value)
    if whole:
        return VARIABLES[whole[1]].get("default", f"given-{whole[1]}")
    return VARIABLE.sub(lambda found: str(VARIABLES[found[1]].get("default", f"given-{found[1]}")), value)


def test_there_are_the_three_jobs() -> None:
    assert sorted(JOBS) == ["leadscore_batch", "leadscore_drift", "leadscore_retrain"]
    assert set(ROOT_FILE["targets"]) == {"development", "production"}


@pytest.mark.parametrize("name", sorted(JOBS))
def test_databricks_own_types_take_the_job(name: str) -> None:
    job = Job.from_dict(filled(JOBS[name][1]))
    assert job.schedule is not None
    assert job.schedule.timezone_id == "Europe/Berlin"
    assert len(job.schedule.quartz_cron_expression.split()) == 6
    assert job.max_concurrent_runs == 1
    clusters = {each.job_cluster_key: each.new_cluster for each in job.job_clusters}
    for task in job.tasks:
        cluster = clusters[task.job_cluster_key]
        assert re.fullmatch(r"[0-9]+\.[0-9]+\.x-scala2\.13", cluster.spark_version)
        assert cluster.data_security_mode.value == "SINGLE_USER"


@pytest.mark.parametrize("name", sorted(JOBS))
def test_a_job_runs_a_command_of_the_wheel(name: str) -> None:
    for task in filled(JOBS[name][1])["tasks"]:
        wheel = task["python_wheel_task"]
        assert wheel["package_name"] == PROJECT["project"]["name"]
        assert wheel["entry_point"] in PROJECT["project"]["scripts"]
        parse(wheel["parameters"])


def parse(arguments: list[str]) -> None:
    """Read a command line as `leadscore` does, but for doing it; raises what it would say."""
    command: Any = typer.main.get_command(app)
    context, rest = None, list(arguments)
    while hasattr(command, "resolve_command"):
        context = command.context_class(command, info_name="leadscore", parent=context)
        _, command, rest = command.resolve_command(context, rest)
    command.make_context("leadscore", rest, parent=context)


def test_a_command_that_is_not_there_would_be_found() -> None:
    with pytest.raises(Exception, match=r"No such (command|option)"):
        parse(["batch", "spark", "--model", "leads", "--leads", "x", "--nonsense"])
    with pytest.raises(Exception, match=r"No such command"):
        parse(["batch", "sparkle"])


@pytest.mark.parametrize("name", sorted(JOBS))
def test_files_that_a_job_names_are_there_or_are_made(name: str) -> None:
    path, job = JOBS[name]
    made = [(BUNDLE / each["source"]).resolve() for each in ROOT_FILE["artifacts"]["leadscore"]["files"]]
    for task in job["tasks"]:
        for library in task["libraries"]:
            file = (path.parent / next(iter(library.values()))).resolve()
            assert file in made or file.is_file()


def test_variables_are_declared_and_used() -> None:
    texts = "".join(path.read_text("utf-8") for path in [BUNDLE / "databricks.yml", *FILES])
    assert set(VARIABLE.findall(texts)) == set(VARIABLES)


@pytest.mark.parametrize("extra", ["spark", "train"])
def test_requirements_are_what_the_lock_says(extra: str) -> None:
    """`make docs` writes them."""
    wanted = subprocess.run(
        ["sh", str(ROOT / "tools" / "setup" / "databricks.sh"), extra],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert (BUNDLE / "requirements" / f"{extra}.txt").read_text("utf-8") == wanted
