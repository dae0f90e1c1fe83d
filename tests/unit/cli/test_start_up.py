"""A command imports what it needs: looking at models must not wait for what trains them.

Every command runs in a fork of one interpreter that has imported the command line alone, and says what it has
imported besides. No clock is read: what costs seconds is named.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.artefacts import build_artefact

from leadscore.registry.store import ModelRegistry
from leadscore.settings import Home

HEAVY = frozenset(
    ("mlflow", "pandas", "fastapi", "xgboost", "lightgbm", "sklearn", "optuna", "scipy", "matplotlib",
     "deltalake", "bentoml", "numpy", "pyarrow", "sqlalchemy")
)  # fmt: skip
DATABASE = frozenset(("sqlalchemy",))
RECORDS = DATABASE | {"numpy", "pyarrow"}
# Exit code, and what of the above may be imported.
LIGHT: dict[str, tuple[int, frozenset[str]]] = {
    "models list": (0, DATABASE),
    "models list leads --json": (0, DATABASE),
    "models show leads/1": (0, DATABASE),
    "models nominate leads/3": (0, DATABASE),
    # A version that is not in the cache is downloaded first, by MLflow.
    "models promote leads/2": (0, DATABASE | {"numpy"}),
    "models rollback leads": (0, DATABASE),
    "models archive leads/2": (0, DATABASE),
    "models fetch leads/1": (0, frozenset()),
    "keys create sales": (0, frozenset()),
    "keys list": (0, frozenset()),
    "events status": (0, DATABASE),
    "release list": (0, DATABASE),
    "release status leads": (0, DATABASE),
    "drift report": (4, RECORDS),
    "contract schema": (0, frozenset(("numpy",))),
}

DRIVER = """
import json, os, sys
from leadscore.cli import main
heavy, commands = json.loads(sys.argv[1])
for command in commands:
    reader, writer = os.pipe()
    if os.fork() == 0:
        for stream in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
        sys.argv = ["leadscore", *command.split()]
        code = 0
        try:
            main.run()
        except SystemExit as end:
            code = int(end.code or 0)
        os.write(writer, json.dumps([code, [m for m in heavy if m in sys.modules]]).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as told:
        print(told.read(), flush=True)
    os.wait()
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry with three versions of `leads`, the first of them champion, two of them in the cache."""
    root = tmp_path_factory.mktemp("home")
    registry = ModelRegistry(Home.from_environment({"LEADSCORE_HOME": str(root)}))
    for seed in range(3):
        folder = build_artefact(tmp_path_factory.mktemp("artefact") / str(seed), seed=seed, trees=3)
        registry.publish(folder, "leads", alias="champion" if seed == 0 else None)
    registry.fetch("leads/1")
    registry.fetch("leads/2")
    return root


@pytest.fixture(scope="module")
def told(home: Path) -> dict[str, tuple[int, frozenset[str]]]:
    """Exit code and heavy imports of each command."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("LEADSCORE_", "MLFLOW_"))}
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, json.dumps([sorted(HEAVY), list(LIGHT)])],
        env=environment | {"LEADSCORE_HOME": str(home), "HOME": str(home)},
        cwd=home,
        capture_output=True,
        text=True,
        check=True,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    return {command: (code, frozenset(found)) for command, (code, found) in zip(LIGHT, answers, strict=True)}


@pytest.mark.parametrize("command", LIGHT)
def test_a_light_command_does_its_work_without_importing_what_is_heavy(
    told: dict[str, tuple[int, frozenset[str]]], command: str
) -> None:
    wanted, allowed = LIGHT[command]
    code, found = told[command]
    assert code == wanted
    assert found <= allowed


def test_a_check_of_features_imports_nothing_that_trains(home: Path) -> None:
    code = (
        "import sys; import leadscore.monitoring.checks, leadscore.monitoring.watches;"
        "print(*({'mlflow', 'xgboost', 'lightgbm', 'optuna', 'sklearn', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
