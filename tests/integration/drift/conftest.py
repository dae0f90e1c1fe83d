from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.support.stores import backend, postgres, url

from leadscore.contract import dump_contract
from leadscore.data.synthetic import generate, synthetic_contract
from leadscore.data.tables import write_table

__all__ = ["backend", "postgres", "url"]

TRAINED_UNTIL = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder with a model that `leadscore train` made: `crm/1`, the champion."""
    folder = tmp_path_factory.mktemp("trained")
    leads = generate(rows=5000, seed=3, start=datetime(2026, 1, 1, tzinfo=UTC), months=5, scenarios=())
    write_table(leads, folder / "leads.parquet")
    (folder / "contract.yaml").write_text(dump_contract(synthetic_contract()), encoding="utf-8")
    program = str(Path(sys.executable).with_name("leadscore"))
    command = [program, "train", "--data", "leads.parquet"]
    command += ["--contract", "contract.yaml", "--name", "crm", "--trials", "1", "--folds", "2"]
    home = folder / "home"
    done = subprocess.run(
        [*command, "--min-records", "500"],
        cwd=folder,
        env=os.environ
        | {"LEADSCORE_HOME": str(home), "LEADSCORE_TRACKING_URI": "", "LEADSCORE_EVENTS_URL": ""},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return home
