"""`python -m benchmarks` (`make bench`).

Measure, print the table, write benchmarks/results.json and the pages.
"""

from __future__ import annotations

import shlex
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.status import Status

from benchmarks import pages, results
from benchmarks.bench import FULL, QUICK, Bench, Suite
from benchmarks.environments import pins
from benchmarks.machine import Machine
from benchmarks.report import rich_section, rich_table
from benchmarks.row import Row, Run, Section
from benchmarks.rows import (
    backtest,
    bank,
    batch,
    calibration,
    conversion_drop,
    crm_vendors,
    crm_webhooks,
    drift_budget,
    drift_evidently,
    drift_order,
    drift_run_length,
    drift_run_length_outcomes,
    drift_sequential,
    drift_watch_design,
    drift_watch_outcomes,
    event_store,
    footprint,
    inprocess,
    investigation,
    label_delay,
    latency,
    leaks,
    offline,
    overview,
    rollups,
    spark,
    throughput,
    training,
    viewers,
)
from leadscore.errors import LeadScoreError

_ROOT = Path(__file__).parents[1]
_BANK = _ROOT.parent / "shared" / "data" / "bank_marketing_2008_2010.csv"

# By part of the pages (docs/benchmarks.md, docs/research).
PARTS: dict[str, tuple[Suite, ...]] = {
    "serving": (
        *throughput.SUITES,
        *latency.SUITES,
        *inprocess.SUITES,
        *offline.SUITES,
        *batch.SUITES,
        *spark.SUITES,
        *event_store.SUITES,
        *rollups.SUITES,
        *overview.SUITES,
        *viewers.SUITES,
        *footprint.SUITES,
    ),
    "training": (*training.SUITES, *label_delay.SUITES, *calibration.SUITES, *leaks.SUITES),
    "investigation": (*investigation.SUITES,),
    "crm": (*crm_vendors.SUITES, *crm_webhooks.SUITES),
    "bank": (*bank.SUITES, *backtest.SUITES),
    "drift": (
        *drift_budget.SUITES,
        *conversion_drop.SUITES,
        *drift_run_length.SUITES,
        *drift_order.SUITES,
        *drift_run_length_outcomes.SUITES,
        *drift_watch_design.SUITES,
        *drift_watch_outcomes.SUITES,
        *drift_sequential.SUITES,
        *drift_evidently.SUITES,
    ),
}
SUITES = tuple(suite for suites in PARTS.values() for suite in suites)
# Its data, or a server, is not the project's to give: whoever has none can still meet every goal.
_MAY_LACK_DATA = frozenset(
    name
    for suite in (
        *bank.SUITES,
        *backtest.SUITES,
        *event_store.SUITES,
        *rollups.SUITES,
        *overview.SUITES,
        *viewers.SUITES,
    )
    for name in suite.rows
)


def main(arguments: Sequence[str]) -> int:
    """Run what is wanted; 0 if everything was measured and every goal met, 1 if not."""
    options = _parse(arguments)
    wanted = frozenset(options.only or [name for suite in SUITES for name in suite.rows])
    console, machine = Console(width=None if sys.stdout.isatty() else 160), Machine.here()
    if machine.load is not None and machine.load > machine.cores / 2:
        console.print(
            f"The machine is busy (load {machine.load:.1f}): trust ratios, not times.", style="yellow"
        )
    with tempfile.TemporaryDirectory(prefix="leadscore-bench-") as folder, console.status("") as status:
        bench = Bench(
            Path(folder), QUICK if options.quick else FULL, _teller(status, console), options.bank_data
        )
        by_part: dict[str, list[Row]] = {}
        sections: dict[str, list[Section]] = {}
        for part, suites in PARTS.items():
            before = len(bench.sections)
            by_part[part] = [row for suite in suites for row in run_suite(suite, bench, wanted)]
            sections[part] = bench.sections[before:]
    rows = [row for measured in by_part.values() for row in measured]
    console.print(rich_table(rows))
    for section in bench.sections:
        console.print(rich_section(section))
    if options.record or not (options.only or options.quick):
        run = Run(machine, " ".join(["python -m benchmarks", *map(shlex.quote, arguments)]), pins())
        results.write(results.read().recorded(run, by_part, sections))
        pages.main([])
        console.print(f"Written to {results.RESULTS.relative_to(_ROOT)} and the pages made of it.")
    return 0 if all(_satisfies(row) for row in rows) else 1


def _satisfies(row: Row) -> bool:
    return row.met is not False and (row.value is not None or row.name in _MAY_LACK_DATA)


def run_suite(suite: Suite, bench: Bench, wanted: frozenset[str]) -> list[Row]:
    """The suite's wanted rows; where it cannot measure, rows that say why, so that the others still count."""
    names = wanted & set(suite.rows)
    if not names:
        return []
    try:
        return suite.measure(bench, names)
    except LeadScoreError as error:
        bench.say(f"not measured: {error}")
        return [
            Row(name, name, None, "", None, how=f"not measured: {error}")
            for name in suite.rows
            if name in names
        ]


def _teller(status: Status, console: Console):
    """Shows progress in place on a terminal, and line by line elsewhere."""

    def say(text: str) -> None:
        status.update(text)
        if not console.is_terminal:
            sys.stderr.write(f"{text}\n")

    return say


def _parse(arguments: Sequence[str]) -> Namespace:
    names = [name for suite in SUITES for name in suite.rows]
    parser = ArgumentParser(
        prog="python -m benchmarks", description=__doc__, epilog=f"Rows: {', '.join(names)}."
    )
    parser.add_argument(
        "--only", nargs="+", choices=names, metavar="ROW", help="measure these rows, write nothing"
    )
    parser.add_argument("--record", action="store_true", help="with --only: write what was measured, too")
    parser.add_argument(
        "--quick", action="store_true", help="seconds per row: shows that it works, measures nothing"
    )
    parser.add_argument(
        "--bank-data", type=Path, default=_BANK, help="the bank-marketing table (docs/benchmarks.md)"
    )
    options = parser.parse_args(arguments)
    if options.quick and options.record:
        parser.error("--quick measures nothing that could be recorded")
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
