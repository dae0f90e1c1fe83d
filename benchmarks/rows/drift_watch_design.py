"""What it takes to simulate the levels of outcomes, however many leads come a day."""

from __future__ import annotations

import itertools
import subprocess
import sys

import msgspec

from benchmarks.bench import Bench, Suite
from benchmarks.outcome_design import Designed
from benchmarks.row import Row, Section, at_most

_SECONDS, _MEMORY = "drift-watch-design-s", "drift-watch-design-mib"
_LEADS_A_DAY, _WAITS = (100, 1_000, 10_000), (30, 90)


def _measure(bench: Bench, wanted: frozenset[str]) -> list[Row]:
    lines: list[tuple[str, ...]] = []
    found: list[Designed] = []
    for wait, leads in itertools.product(_WAITS, _LEADS_A_DAY):
        bench.say(f"levels of outcomes: {leads:,} leads a day, waited for {wait} days")
        words = [sys.executable, "-m", "benchmarks.outcome_design", str(leads), str(wait)]
        done = subprocess.run(words, capture_output=True, check=True, timeout=600)
        designed = msgspec.json.decode(done.stdout, type=Designed)
        found.append(designed)
        lines.append(
            (f"{leads:,}", str(wait), f"{designed.share:.2%}", str(designed.every),
             f"{designed.evaluations:.0f}", f"{designed.seconds:.1f} s", f"{designed.mebibytes:.0f} MiB")
        )  # fmt: skip
    heads = (
        "leads a day",
        "days waited",
        "charted",
        "leads per evaluation",
        "evaluations per false alarm",
        "processor",
        "peak memory",
    )
    bench.sections.append(Section("Levels of outcomes", heads, tuple(lines)))
    how = (
        f"{' to '.join(f'{n:,}' for n in (_LEADS_A_DAY[0], _LEADS_A_DAY[-1]))} leads a day, outcomes "
        f"waited for {_WAITS[0]} and {_WAITS[-1]} days, a reference of 10,000 leads, one false alarm "
        "of both charts in 30 days"
    )
    rows = (
        Row(_SECONDS, "levels of outcomes, the slowest: processor time",
            max(d.seconds for d in found), "s", at_most(60), how=how),
        Row(_MEMORY, "levels of outcomes, the largest: peak memory of the process",
            max(d.mebibytes for d in found), "MiB", at_most(500), how=how),
    )  # fmt: skip
    return [row for row in rows if row.name in wanted]


SUITES = (Suite((_SECONDS, _MEMORY), _measure),)
