"""A night's scores: Delta in, Delta out, on two cores; alone, with the event store, and of many leads."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from statistics import median

import pyarrow as pa

from benchmarks.bench import Bench, Suite
from benchmarks.errors import BenchError
from benchmarks.night_once import score_night
from benchmarks.reference import reference_table
from benchmarks.row import Row, at_least, at_most

_ROOT = Path(__file__).parents[2]
_TIMES = 10
_SECONDS = 1_800


def _measure(bench: Bench, wanted: frozenset[str]) -> list[Row]:
    rows = bench.effort.bulk_rows
    model = bench.reference.directory
    found: list[Row] = []
    if "batch-rate" in wanted:
        leads = _leads(bench, rows, 1)
        seconds: list[float] = []
        for turn in range(max(bench.effort.rounds - 2, 1)):
            bench.say(f"batch: round {turn + 1}")
            seconds.append(_night(bench.folder, model, leads, log=False))
        found.append(
            Row(
                name="batch-rate",
                what=f"nightly scoring of {rows:,} leads, Delta to Delta, two cores",
                value=rows / median(seconds),
                unit="rows/s",
                goal=at_least(500_000),
                how="`run_batch` without reasons, its predictions not logged; median; checking the table "
                "and loading the model included",
            )
        )
    if "batch-night" in wanted:
        leads = _leads(bench, rows, 1)
        bench.say("batch: a whole night")
        found.append(
            Row(
                name="batch-night",
                what=f"a night of {rows:,} leads: read, score, reasons of grade A, log, commit",
                value=_night(bench.folder, model, leads, log=True),
                unit="s",
                goal=at_most(60),
                how="`run_batch` with the embedded event store",
            )
        )
    if "batch-memory" in wanted:
        leads = _leads(bench, rows, _TIMES)
        bench.say(f"batch: two nights of {_TIMES * rows:,} leads, each in a process of its own")
        first, second = (_peak_mebibytes(bench.folder, model, leads, day) for day in (28, 29))
        found.append(
            Row(
                name="batch-memory",
                what=f"nightly scoring of {_TIMES * rows:,} leads: largest memory of the process",
                value=max(first, second),
                unit="MiB",
                goal=at_most(1_024),
                beside=f"first night {first:,.0f}, the next one, which compares with it, {second:,.0f}",
                how="`run_batch` in a process of its own, two threads, its predictions not logged",
            )
        )
    return found


def _leads(bench: Bench, rows: int, times: int) -> str:
    """A Delta table of `rows` leads, as often as that with other ids; written once."""
    from deltalake import write_deltalake  # noqa: PLC0415

    folder = bench.folder / f"delta-leads-{times}"
    if not folder.exists():
        bench.say(f"batch: writing a Delta table of {times * rows:,} leads")
        for part in range(times):
            table = reference_table(rows, seed=3 + part)
            if part:
                ids = pa.array([f"L-{part}-{i:07d}" for i in range(rows)])
                table = table.set_column(table.column_names.index("lead_id"), "lead_id", ids)
            write_deltalake(str(folder), table, mode="append")
    return str(folder)


def _night(folder: Path, model: Path, leads: str, *, log: bool) -> float:
    home = folder / "night"
    try:
        started = time.perf_counter()
        score_night(str(model), leads, home, date(2026, 11, 29), reasons=log, log=log)
        return time.perf_counter() - started
    finally:
        shutil.rmtree(home)


def _peak_mebibytes(folder: Path, model: Path, leads: str, day: int) -> float:
    once = [sys.executable, "-m", "benchmarks.night_once"]
    command = [*once, str(model), leads, str(folder / "nights"), f"2026-11-{day}"]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, timeout=_SECONDS, check=False)
    if done.returncode:
        raise BenchError(f"The night failed: {done.stderr.strip()[-500:]}")
    return int(done.stdout.split()[1]) / 2**20


SUITES = (Suite(("batch-rate", "batch-night", "batch-memory"), _measure),)
