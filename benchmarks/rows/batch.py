"""A night's scores: Delta in, Delta out, on two cores; alone, and with the event store."""

from __future__ import annotations

import resource
import shutil
import time
from datetime import date
from pathlib import Path
from statistics import median

from benchmarks.bench import Bench, Suite
from benchmarks.reference import reference_table
from benchmarks.row import Row, at_least, at_most
from leadscore.batch import run as batch_run
from leadscore.batch.run import BatchRequest, run_batch
from leadscore.events.store import EventStore
from leadscore.settings import Home

_THREADS = 2


def _measure(bench: Bench, wanted: frozenset[str]) -> list[Row]:
    from deltalake import write_deltalake  # noqa: PLC0415

    rows = bench.effort.bulk_rows
    bench.say(f"batch: writing a Delta table of {rows:,} leads")
    leads = str(bench.folder / "delta-leads")
    write_deltalake(leads, reference_table(rows, seed=3))
    model = bench.reference.directory
    found: list[Row] = []
    if "batch-rate" in wanted:
        seconds: list[float] = []
        for turn in range(max(bench.effort.rounds - 2, 1)):
            bench.say(f"batch: round {turn + 1}")
            seconds.append(_night(bench.folder, model, leads, log=False))
        mebibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        found.append(
            Row(
                name="batch-rate",
                what=f"nightly scoring of {rows:,} leads, Delta to Delta, two cores",
                value=rows / median(seconds),
                unit="rows/s",
                goal=at_least(500_000),
                beside=f"largest memory of the process {mebibytes:,} MiB",
                how="`run_batch` without reasons, its predictions not logged; median; model load included",
            )
        )
    if "batch-night" in wanted:
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
    return found


def _night(folder: Path, model: Path, leads: str, *, log: bool) -> float:
    home = Home.from_environment({"LEADSCORE_HOME": str(folder / "night")})
    request = BatchRequest(
        date=date(2026, 11, 29),
        model=str(model),
        leads=leads,
        reasons=("A",) if log else (),
        threads=_THREADS,
    )
    logged = batch_run._log  # noqa: SLF001
    try:
        if not log:
            batch_run._log = lambda _store, _claim, _piece: None  # noqa: SLF001
        with EventStore(home.events_url) as store:
            started = time.perf_counter()
            run_batch(request, home, store)
            return time.perf_counter() - started
    finally:
        batch_run._log = logged  # noqa: SLF001
        shutil.rmtree(home.root)


SUITES = (Suite(("batch-rate", "batch-night"), _measure),)
