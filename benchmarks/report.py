"""The result table: on the terminal, and as the generated section of docs/benchmarks.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from benchmarks.errors import BenchError
from benchmarks.machine import Machine
from benchmarks.row import Row, figure

_MARK = {True: "yes", False: "NO", None: "-"}


@dataclass(frozen=True, slots=True)
class Section:
    """A table of its own beside the rows (the bank data, month by month)."""

    title: str
    columns: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    note: str = ""


def rich_table(rows: Sequence[Row]) -> Table:
    """The rows for people at a terminal."""
    table = Table(title="Measured in this run", title_justify="left")
    for column in ("what", "goal", "measured", "met", "beside it"):
        table.add_column(
            column, overflow="fold", justify="right" if column in {"goal", "measured"} else "left"
        )
    styles = {True: "green", False: "red", None: "default"}
    for row in rows:
        table.add_row(
            row.what,
            _goal(row),
            figure(row.value, row.unit),
            _MARK[row.met],
            row.beside or row.how,
            style=styles[row.met],
        )
    return table


def rich_section(section: Section) -> Table:
    """A section for people at a terminal."""
    table = Table(title=section.title, title_justify="left", caption=section.note)
    for column in section.columns:
        table.add_column(column, justify="right")
    for line in section.lines:
        table.add_row(*line)
    return table


def markdown(
    rows: Sequence[Row],
    sections: Sequence[Section],
    machine: Machine,
    command: str,
    contenders: Sequence[str] = (),
) -> str:
    """The generated section: when, where, with what, then the figures."""
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions)
    measured = (
        f"Measured {machine.date} with `{command}` on {machine.cpu}, {machine.cores} cores, "
        f"{machine.memory_gib:.0f} GiB, {machine.system}, Python {machine.python}; load average at the start "
        f"{machine.load:.2f}. {versions}. Compared with {', '.join(contenders) or 'nothing'}, "
        "in environments of their own."
    )
    parts = [
        measured,
        _markdown_table(
            ("what", "goal", "measured", "met", "beside it, same run", "how"),
            [
                (
                    row.what,
                    _goal(row),
                    figure(row.value, row.unit),
                    _MARK[row.met],
                    row.beside or "-",
                    row.how or "-",
                )
                for row in rows
            ],
        ),
    ]
    for section in sections:
        parts += [f"### {section.title}", _markdown_table(section.columns, section.lines)]
        parts += [section.note] if section.note else []
    return "\n\n".join(parts)


def write_between(path: Path, name: str, text: str) -> None:
    """Replace what lies between the markers `<!-- name:begin -->` and `<!-- name:end -->` of a document.

    Raises:
        BenchError: The document has not exactly one such pair: nothing was written.
    """
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    document = path.read_text(encoding="utf-8")
    if document.count(begin) != 1 or document.count(end) != 1 or document.index(begin) > document.index(end):
        raise BenchError(f"{path} has no section between {begin} and {end}.", hint="Put the two lines back.")
    head, rest = document.split(begin)
    tail = rest.split(end)[1]
    path.write_text(f"{head}{begin}\n{text.strip()}\n{end}{tail}", encoding="utf-8")


def _goal(row: Row) -> str:
    return f"{row.goal.kind} {figure(row.goal.bound, row.unit)}" if row.goal else "-"


def _markdown_table(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    cells = [columns, ["---"] * len(columns), *lines]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |"
        for line in cells
    )
