"""`make faults`: sweep every scenario, write each replay to build/faults.jsonl, print the table.

1 if a promise was broken.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from rich.console import Console
from tests.faults.harness.controlplane import programs, running
from tests.faults.harness.journal import Journal, newest, record, table
from tests.faults.harness.scenario import Outcome
from tests.faults.harness.sweep import Scouted, Trouble, describe, disturbed, rank, scout
from tests.faults.scenarios import SCENARIOS

notes = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)


def main() -> int:
    """Sweep what was asked for."""
    options = _options()
    if options.programs:
        programs()
        return 0
    journal = Journal(options.output)
    if not options.resume and not options.table:
        options.output.unlink(missing_ok=True)
    if not options.table:
        _sweep(options, journal)
    records = newest(journal.read())
    wide = Console(width=140)
    wide.print(table(records, kinds=not options.table))
    broken = [r for r in records if r.problems]
    for one in broken:
        notes.print(f"\n{one.scenario}, {one.trouble}:", style="red")
        notes.print("\n".join(one.problems))
    return 1 if broken else 0


def _sweep(options: argparse.Namespace, journal: Journal) -> None:
    """Every chosen trouble of every scenario, the most telling ones of all scenarios first."""
    scenarios = [
        s for s in SCENARIOS if not options.scenario or any(word in s.name for word in options.scenario)
    ]
    until = time.monotonic() + 60 * options.minutes if options.minutes else float("inf")
    cut = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: cut.set())
    known = {(r.scenario, r.trouble) for r in journal.read() if not r.problems}
    with running() as plane:
        with ThreadPoolExecutor(options.workers) as pool:
            found = [*pool.map(partial(scout, plane, patience=options.patience), scenarios)]
        for scouted in found:
            planned = sum(_wanted(options, trouble) for trouble in scouted.troubles)
            journal.add(record(scouted.scenario.name, scouted.undisturbed, planned))
        jobs = [
            (rank(trouble), number, scouted, trouble)
            for scouted in found
            for number, trouble in enumerate(scouted.troubles)
            if _wanted(options, trouble) and (scouted.scenario.name, describe(trouble)) not in known
        ][:: options.every]
        jobs.sort(key=lambda job: job[:2])

        def one(job: tuple[int, int, Scouted, Trouble]) -> None:
            scouted, trouble = job[2:]
            if time.monotonic() < until and not cut.is_set():
                outcome = disturbed(plane, scouted, trouble, patience=options.patience)
                _done(journal, scouted.scenario.name, outcome)

        with ThreadPoolExecutor(options.workers) as pool:
            deque(pool.map(one, jobs), maxlen=0)


def _wanted(options: argparse.Namespace, trouble: Trouble) -> bool:
    return not options.only or any(word in describe(trouble) for word in options.only)


def _done(journal: Journal, scenario: str, outcome: Outcome) -> None:
    journal.add(record(scenario, outcome))
    end = "BROKEN" if outcome.problems else "ok" if outcome.reached else "ok (not reached)"
    notes.print(f"{outcome.seconds:6.1f} s  {scenario}: {describe(outcome.faults)}: {end}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="The fault sweep.")
    parser.add_argument("--scenario", action="append", help="only scenarios whose name holds this")
    parser.add_argument("--only", action="append", help="only troubles whose description holds this")
    parser.add_argument("--every", type=int, default=1, help="only each n-th trouble")
    parser.add_argument("--workers", type=int, default=4, help="replays at once")
    parser.add_argument("--minutes", type=float, default=0, help="begin no replay after this; 0: no bound")
    parser.add_argument(
        "--patience", type=float, default=1.0, help="times the scenarios' limits and the operators' intervals"
    )
    parser.add_argument("--output", type=Path, default=Path("build/faults.jsonl"), help="one line per replay")
    parser.add_argument("--resume", action="store_true", help="keep the output and replay what it lacks")
    parser.add_argument("--table", action="store_true", help="only print what the output says, by scenario")
    parser.add_argument("--programs", action="store_true", help="only build etcd and kube-apiserver")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
