"""Commands as a person runs them: a process, a home folder, files on disk."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from leadscore.contract import dump_contract
from leadscore.data.synthetic import generate, synthetic_contract
from leadscore.data.tables import write_table

# The command line proper imports every sub-command; these tests need two of them.
RUNNER = """
import sys
import typer
from leadscore.cli import evaluate, train
from leadscore.cli.output import print_error
from leadscore.errors import LeadScoreError
app = typer.Typer(pretty_exceptions_enable=False)
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
try:
    app()
except LeadScoreError as error:
    print_error(error)
    sys.exit(error.exit_code)
"""

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def start(home: Path, tmp_path: Path) -> Start:
    def run(*arguments: str | Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", RUNNER, *map(str, arguments)],
            cwd=tmp_path,
            env=os.environ
            | {"LEADSCORE_HOME": str(home), "LEADSCORE_TRACKING_URI": "", "LEADSCORE_EVENTS_URL": ""},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return run


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A table of leads and its contract."""
    folder = tmp_path_factory.mktemp("leads")
    write_table(
        generate(rows=4000, seed=3, start=datetime(2026, 1, 1, tzinfo=UTC), months=5, scenarios=()),
        folder / "leads.parquet",
    )
    (folder / "contract.yaml").write_text(dump_contract(synthetic_contract()), encoding="utf-8")
    return folder / "leads.parquet", folder / "contract.yaml"
