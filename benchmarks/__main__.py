"""`python -m benchmarks` (`make bench`): measure, print the table, write it into docs/benchmarks.md."""

from __future__ import annotations

import shlex
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.status import Status

from benchmarks.bench import FULL, QUICK, Bench, Suite
from benchmarks.environments import pins
from benchmarks.machine import Machine
from benchmarks.report import markdown, rich_section, rich_table, write_between
from benchmarks.row import Row
from benchmarks.rows import (
    backtest,
    bank,
    calibration,
    drift_budget,
    drift_evidently,
    drift_order,
    drift_run_length,
    drift_run_length_outcomes,
    drift_sequential,
    drift_watch_design,
    drift_watch_outcomes,
    footprint,
    inprocess,
    label_delay,
    latency,
    leaks,
    offline,
    throughput,
    training,
)
from leadscore.errors import LeadScoreError

_ROOT = Path(__file__).parents[1]
_DOCUMENT = _ROOT / "docs" / "benchmarks.md"
_BANK = _ROOT.parent / "shared" / "data" / "bank_marketing_2008_2010.csv"

SUITES: tuple[Suite, ...] = (
    *throughput.SUITES,
    *latency.SUITES,
    *inprocess.SUITES,
    *offline.SUITES,
    *footprint.SUITES,
    *training.SUITES,
    *label_delay.SUITES,
    *calibration.SUITES,
    *bank.SUITES,
    *drift_budget.SUITES,
    *drift_run_length.SUITES,
    *drift_order.SUITES,
    *drift_run_length_outcomes.SUITES,
    *drift_watch_design.SUITES,
    *drift_watch_outcomes.SUITES,
    *drift_sequential.SUITES,
    *drift_evidently.SUITES,
    *backtest.SUITES,
    *leaks.SUITES,
)
# Its data is not the project's to give: whoever has none can still meet every goal.
_MAY_LACK_DATA = frozenset(name for suite in (*bank.SUITES, *backtest.SUITES) for name in suite.rows)


def main(arguments: Sequence[str]) -> int:
    """Run what is wanted; 0 if everything was measured and every goal met, 1 if not."""
    options = _parse(arguments)
    wanted = frozenset(options.only or [name for suite in SUITES for name in suite.rows])
    console, machine = Console(width=None if sys.stdout.isatty() else 160), Machine.here()
    if machine.load > machine.cores / 2:
        console.print(
            f"The machine is busy (load {machine.load:.1f}): trust ratios, not times.", style="yellow"
        )
    with tempfile.TemporaryDirectory(prefix="leadscore-bench-") as folder, console.status("") as status:
        bench = Bench(
            Path(folder), QUICK if options.quick else FULL, _teller(status, console), options.bank_data
        )
        rows = [row for suite in SUITES for row in run_suite(suite, bench, wanted)]
    console.print(rich_table(rows))
    for section in bench.sections:
        console.print(rich_section(section))
    if not (options.only or options.quick):
        command = " ".join(["python -m benchmarks", *map(shlex.quote, arguments)])
        write_between(_DOCUMENT, "bench", markdown(rows, bench.sections, machine, command, pins()))
        console.print(f"Written to {_DOCUMENT.relative_to(_ROOT)}.")
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
        "--only", nargs="+", choices=names, metavar="ROW", help="measure these rows, write no document"
    )
    parser.add_argument(
        "--quick", action="store_true", help="seconds per row: shows that it works, measures nothing"
    )
    parser.add_argument(
        "--bank-data", type=Path, default=_BANK, help="the bank-marketing table (docs/benchmarks.md)"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
