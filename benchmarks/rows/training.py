"""Training: time of the tuner, and peak memory on a million rows, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import msgspec

from benchmarks.bench import Bench, single
from benchmarks.errors import BenchError
from benchmarks.reference import reference_table
from benchmarks.row import Row, at_most
from benchmarks.train_once import TrainedOnce

_MEMORY_TRIALS = 2


def _tuning(bench: Bench) -> Row:
    run = _train(bench, bench.effort.tuning_rows, bench.effort.trials)
    return Row(
        name="tuning-min",
        what=f"tuning: {run.trials + run.pruned} trials x 5 time-ordered folds, {run.training_rows:,} x 25",
        value=run.tuning_seconds / 60,
        unit="min",
        goal=at_most(8),
        beside=(
            f"{run.pruned} of the trials were stopped early; the whole run took {run.seconds / 60:.1f} min"
        ),
        how="XGBoost and LightGBM, all cores, the tuner's part of one `train`",
    )


def _memory(bench: Bench) -> Row:
    rows = bench.effort.memory_rows
    run = _train(bench, rows, _MEMORY_TRIALS)
    return Row(
        name="training-gib",
        what=f"peak memory of training on {rows:,} rows x 25",
        value=run.peak_gib,
        unit="GiB",
        goal=at_most(4),
        beside=f"{run.seconds / 60:.1f} min with {_MEMORY_TRIALS} trials",
        how=(
            "high-water mark (VmHWM) of a process that reads the Parquet table and "
            "trains to a complete artefact"
        ),
    )


def _train(bench: Bench, rows: int, trials: int) -> TrainedOnce:
    from leadscore.data.tables import write_table  # noqa: PLC0415

    bench.say(f"writing a table of {rows:,} leads")
    source = bench.folder / f"train-{rows}.parquet"
    write_table(reference_table(rows, seed=4), source)
    out = bench.folder / f"trained-{rows}"
    command = [sys.executable, "-m", "benchmarks.train_once", str(source), str(trials), str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        lines: list[str] = []
        for line in process.stderr or ():
            lines.append(line)
            bench.say(f"training on {rows:,} rows: {line.strip()}")
        output = process.stdout.read() if process.stdout else ""
    if process.returncode:
        raise BenchError(f"Training ended with code {process.returncode}: {''.join(lines)[-800:].strip()}")
    return msgspec.json.decode(output, type=TrainedOnce)


SUITES = (
    single("tuning-min", _tuning),
    single("training-gib", _memory),
)
