"""A night's scoring on Spark local[2], beside a pandas UDF with XGBoost in the same run."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import date
from pathlib import Path
from statistics import median

import msgspec
import numpy as np

from benchmarks.bench import Bench, single
from benchmarks.errors import BenchError
from benchmarks.reference import reference_table
from benchmarks.row import Row, at_least
from leadscore.batch.records import BatchClaim
from leadscore.events.records import now_us
from leadscore.scoring.model import ScoringModel

_ROOT = Path(__file__).parents[2]
_SCRIPT = Path(__file__).parents[1] / "servers" / "spark_once.py"
_SECONDS = 1_800


def _measure(bench: Bench) -> Row:
    from deltalake import DeltaTable, WriterProperties, write_deltalake  # noqa: PLC0415

    rows = bench.effort.bulk_rows
    bench.say(f"spark: writing a Delta table of {rows:,} leads")
    folder = bench.folder / "spark"
    table = reference_table(rows, seed=3).drop_columns(["created_at", "converted"])
    # A row group is read by one task: with one for all rows, one of the cores would have nothing to do.
    groups = WriterProperties(max_row_group_size=max(rows // 16, 1))
    write_deltalake(str(folder / "leads"), table, writer_properties=groups)
    reference = bench.reference
    model = ScoringModel.load(reference.directory)
    bench.say("spark: alternating rounds")
    seconds = _on_spark(folder, reference.directory, reference.booster, model.digest, bench.effort.rounds)
    ours, theirs, two = (median(seconds[way]) for way in ("ours", "theirs", "two columns"))
    names = ["lead_id", "probability"]
    scored = DeltaTable(str(folder / "ours")).to_pyarrow_table(columns=names).sort_by("lead_id")
    difference = np.abs(_alone(model, table) - scored["probability"].to_numpy()).max()
    return Row(
        name="spark-rate",
        what=f"scoring {rows:,} leads on Spark local[2], Delta to Delta: times faster than a pandas UDF",
        value=theirs / ours,
        unit="x",
        goal=at_least(3),
        beside=(
            f"LeadScore {rows / ours:,.0f} rows/s, XGBoost {rows / theirs:,.0f} rows/s; with id and "
            f"probability only, as theirs, {theirs / two:.2f} x; "
            f"largest difference to the API's probabilities {difference:.0e}"
        ),
        how=(
            "`mapInArrow`, every column of the table of scores but for reasons, predictions not logged; "
            "theirs: iterator pandas UDF, model loaded once per task, id and probability; median of "
            "alternating rounds"
        ),
    )


def _on_spark(
    folder: Path, directory: Path, booster: Path, digest: str, rounds: int
) -> dict[str, list[float]]:
    """Seconds of each round, by Spark's own environment."""
    made = subprocess.run(
        [_ROOT / "tools" / "setup" / "spark.sh"], capture_output=True, text=True, check=False
    )
    if made.returncode:
        raise BenchError(f"Spark's environment cannot be made: {made.stderr.strip()[-300:]}")
    python = f"{made.stdout.strip().rpartition(' ')[2]}/bin/python"
    claim = BatchClaim(
        date=date(2026, 11, 29), model="reference", version="1", digest=digest, leads=str(folder / "leads"),
        leads_version=0, states_version=None, reasons=(), at=now_us(),
    )  # fmt: skip
    options = {
        "spark.ui.enabled": "false",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": "2g",
    }
    settings = " ".join(f"--conf {name}={value}" for name, value in options.items())
    environ = {
        **os.environ,
        "PYTHONPATH": str(_ROOT / "src"),
        "PYSPARK_PYTHON": python,
        "PYSPARK_SUBMIT_ARGS": f"--master local[2] {settings} pyspark-shell",
    }
    pinned = msgspec.json.encode(claim).decode()
    done = subprocess.run(
        [python, str(_SCRIPT), str(folder), str(directory), str(booster), pinned, str(rounds)],
        env=environ, capture_output=True, text=True, timeout=_SECONDS, check=False,
    )  # fmt: skip
    if done.returncode:
        raise BenchError(f"Spark failed: {done.stderr.strip()[-500:]}")
    return json.loads(done.stdout)


def _alone(model: ScoringModel, table: object) -> np.ndarray:
    """What the API computes of each lead, one by one: `score_row` of its encoded row."""
    from leadscore.data.matrix import encode_table  # noqa: PLC0415

    matrix = encode_table(model.contract, table)
    return np.array([model.score_row(row).probability for row in matrix])


SUITES = (single("spark-rate", _measure),)
