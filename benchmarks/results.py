"""The machine-readable figures: benchmarks/results.json, and the tables that pages make of it.

A row keeps the run that it was measured in, so a page can hold figures of several days without hiding it. A
later measurement of a row takes the place of the earlier one; what was not measured again stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from benchmarks.errors import BenchError
from benchmarks.row import Row, Run, Section

RESULTS = Path(__file__).parent / "results.json"


class Figure(msgspec.Struct, frozen=True):
    """One row, the page's part that it belongs to, and the run."""

    row: Row
    part: str
    run: str


class Table(msgspec.Struct, frozen=True):
    """One table beside the rows, the part that it belongs to, and the run."""

    section: Section
    part: str
    run: str


class Results(msgspec.Struct, frozen=True):
    """Everything that was measured, newest measurement of each row.

    Attributes:
        runs: By name; only those that a figure or table names.
        figures: In the order of the pages.
        tables: In the order in which they were first measured.
    """

    runs: dict[str, Run] = {}
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()

    def recorded(
        self, run: Run, rows: Mapping[str, Sequence[Row]], sections: Mapping[str, Sequence[Section]]
    ) -> Results:
        """With what a run has measured, by part.

        A row that could not be measured leaves the older figure in place.
        """
        figures = {figure.row.name: figure for figure in self.figures}
        tables = {table.section.title: table for table in self.tables}
        for part, measured in rows.items():
            figures |= {row.name: Figure(row, part, run.name) for row in measured if row.value is not None}
        for part, measured in sections.items():
            tables |= {section.title: Table(section, part, run.name) for section in measured}
        kept = {named.run for named in (*figures.values(), *tables.values())}
        runs = {name: each for name, each in {**self.runs, run.name: run}.items() if name in kept}
        return Results(runs, tuple(figures.values()), tuple(tables.values()))


def read(path: Path = RESULTS) -> Results:
    """The results of a file.

    Raises:
        BenchError: The file is no such document.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Results)
    except (OSError, msgspec.MsgspecError) as error:
        raise BenchError(
            f"{path} cannot be read: {error}", hint="Take it from version control again."
        ) from error


def write(results: Results, path: Path = RESULTS) -> None:
    """Write a file that people can compare line by line."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
