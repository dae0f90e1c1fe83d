"""Spark's own environment, made on first use and kept in the user's cache, and nights that ran in it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from tests.support.artefacts import build_artefact, sample_contract, sample_leads

from leadscore.contract import Boolean, Numeric

ROOT = Path(__file__).parents[3]
LEADS = 3_000


@dataclass(frozen=True)
class SparkEnvironment:
    """Spark's Python, and what a process of it needs to know."""

    python: Path

    def run(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run its Python to the end."""
        variables = {
            **os.environ,
            "PYTHONPATH": str(ROOT / "src"),
            "PYSPARK_PYTHON": str(self.python),
            "PYSPARK_SUBMIT_ARGS": "--master local[2,2] --conf spark.ui.enabled=false "
            "--conf spark.sql.shuffle.partitions=2 --conf spark.databricks.delta.snapshotPartitions=2 "
            "--conf spark.ui.showConsoleProgress=false --conf spark.driver.bindAddress=127.0.0.1 "
            "--conf spark.driver.extraJavaOptions=-XX:TieredStopAtLevel=1 "
            "--conf spark.driver.host=127.0.0.1 pyspark-shell",
            **environ,
        }
        return subprocess.run(
            [str(self.python), *arguments],
            env=variables, capture_output=True, text=True, timeout=900, check=False,
        )  # fmt: skip


@pytest.fixture(scope="session")
def spark_environment() -> SparkEnvironment:
    """Made on first use; a machine without Java skips, CI fails."""
    if shutil.which("java") is None and os.environ.get("CI") != "true":
        pytest.skip("Java is not installed: `make system` installs it")
    done = subprocess.run(
        [str(ROOT / "tools" / "setup" / "spark.sh")], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    return SparkEnvironment(Path(done.stdout.strip().rpartition(" ")[2]) / "bin" / "python")


@dataclass(frozen=True)
class Nights:
    """What `nights.py` left behind."""

    folder: Path
    found: dict[str, Any]


@pytest.fixture(scope="session")
def nights(spark_environment: SparkEnvironment, tmp_path_factory: pytest.TempPathFactory) -> Nights:
    folder = tmp_path_factory.mktemp("spark")
    build_artefact(folder / "7")
    leads = sample_leads(LEADS, seed=3)
    for start in range(0, LEADS, LEADS // 4):
        write_deltalake(str(folder / "crm"), leads.slice(start, LEADS // 4), mode="append")
    for name, table in bad_tables().items():
        write_deltalake(str(folder / name), table)
    done = spark_environment.run(str(Path(__file__).with_name("nights.py")), str(folder))
    assert done.returncode == 0, done.stderr[-3000:]
    return Nights(folder, json.loads(done.stdout))


def bad_tables() -> dict[str, pa.Table]:
    """Tables of leads that cannot be scored, by what is wrong with them."""
    contract, table = sample_contract(), sample_leads(20, seed=3)
    number = next(f.name for f in contract.inputs if isinstance(f, Numeric))
    truth = next(f.name for f in contract.inputs if isinstance(f, Boolean))
    needed = next(f.name for f in contract.inputs if f.required)

    def with_column(name: str, values: pa.Array) -> pa.Table:
        return table.set_column(table.column_names.index(name), name, values)

    ids, values = table.column(contract.id).to_pylist(), table.column(needed).to_pylist()
    return {
        "empty": table.slice(0, 0),
        "missing-id": table.drop_columns([contract.id]),
        "missing-input": table.drop_columns([number]),
        "texts": with_column(number, pa.array(["many"] * 20)),
        "odd-type": with_column(truth, pa.array([[1]] * 20)),
        "twice": pa.concat_tables([table, table.slice(4, 1)]),
        "no-id": with_column(contract.id, pa.array([*ids[:7], None, *ids[8:]])),
        "no-value": with_column(needed, pa.array([*values[:7], None, *values[8:]])),
    }
