"""Figures that scenarios measure, one JSON document per line, and what is made of them.

`python -m tests.e2e.measurements [--record]`.

Without --record the table is printed; with it the figures go into
benchmarks/results.json and docs/benchmarks.md.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import pages, results
from benchmarks.machine import Machine
from benchmarks.report import rows_table
from benchmarks.row import Row, Run, at_most

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Figure:
    """One measurement.

    Attributes:
        what: As the table names it.
        value: What was measured.
        unit: Of the value.
        at_most: The goal; None for a figure without one.
        scenario: Where it was measured.
    """

    what: str
    value: float
    unit: str
    at_most: float | None
    scenario: str


def figures_path() -> Path:
    """`$LEADSCORE_E2E_MEASUREMENTS`, by default build/e2e-figures.jsonl."""
    return Path(os.environ.get("LEADSCORE_E2E_MEASUREMENTS") or ROOT / "build" / "e2e-figures.jsonl")


def record(figure: Figure) -> None:
    """Add one line."""
    path = figures_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(asdict(figure)) + "\n")


def read(path: Path) -> list[Figure]:
    """Every line of a file, oldest first."""
    return [Figure(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines() if line]


def row_name(what: str) -> str:
    """Name of a figure's row in benchmarks/results.json."""
    return "cluster-" + re.sub(r"[^a-z0-9]+", "-", what.lower()).strip("-")


def worst(figures: Iterable[Figure]) -> list[Row]:
    """One row per thing measured: the worst of its values, and in how many scenarios."""
    groups: dict[tuple[str, str], list[Figure]] = defaultdict(list)
    for figure in figures:
        groups[figure.what, figure.unit].append(figure)
    rows: list[Row] = []
    for (what, unit), found in groups.items():
        bound = next((figure.at_most for figure in found if figure.at_most is not None), None)
        number = len({figure.scenario for figure in found})
        rows.append(
            Row(
                row_name(what),
                what,
                max(figure.value for figure in found),
                unit,
                None if bound is None else at_most(bound),
                how=f"the worst of {number} scenario{'' if number == 1 else 's'}",
            )
        )
    return rows


def main(arguments: list[str]) -> None:
    """Print the table, or record it."""
    paths = [Path(argument) for argument in arguments if argument != "--record"]
    rows = worst(read(paths[0] if paths else figures_path()))
    if "--record" in arguments:
        run = Run(Machine.here(), "make e2e")
        results.write(results.read().recorded(run, {"cluster": rows}, {}))
        pages.main([])
    sys.stdout.write(rows_table(rows) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
