"""Figures that stories measure, one JSON document per line, and the table made of them: `python -m tests.e2e.figures`."""

from __future__ import annotations

import json
import os
import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Figure:
    """One measurement.

    Attributes:
        what: As the table names it.
        value: What was measured.
        unit: Of the value.
        at_most: The goal; None for a figure without one.
        story: Where it was measured.
    """

    what: str
    value: float
    unit: str
    at_most: float | None
    story: str


def figures_path() -> Path:
    """`$LEADSCORE_E2E_FIGURES`, by default build/e2e-figures.jsonl."""
    return Path(os.environ.get("LEADSCORE_E2E_FIGURES") or ROOT / "build" / "e2e-figures.jsonl")


def record(figure: Figure) -> None:
    """Add one line."""
    path = figures_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(asdict(figure)) + "\n")


def read(path: Path) -> list[Figure]:
    """Every line of a file, oldest first."""
    return [Figure(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines() if line]


def table(figures: Iterable[Figure]) -> str:
    """A Markdown table, one row per thing measured: the worst of its values, and in how many stories."""
    groups: dict[tuple[str, str], list[Figure]] = defaultdict(list)
    for figure in figures:
        groups[figure.what, figure.unit].append(figure)
    rows = ["| what | measured (worst) | at most | stories |", "|---|---|---|---|"]
    for (what, unit), found in groups.items():
        worst = max(figure.value for figure in found)
        goal = next((f"{figure.at_most:g} {unit}" for figure in found if figure.at_most is not None), "")
        missed = any(figure.at_most is not None and figure.value > figure.at_most for figure in found)
        stories = len({figure.story for figure in found})
        rows.append(f"| {what} | {worst:.3g} {unit}{' (missed)' if missed else ''} | {goal} | {stories} |")
    return "\n".join(rows)


if __name__ == "__main__":
    sys.stdout.write(table(read(Path(sys.argv[1]) if len(sys.argv) > 1 else figures_path())) + "\n")
