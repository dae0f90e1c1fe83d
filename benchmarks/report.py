"""The result table: on the terminal, and as Markdown for the pages."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill

from rich.table import Table

from benchmarks.errors import BenchError
from benchmarks.row import Row, Run, Section, figure

_MARK = {True: "yes", False: "NO", None: "-"}


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


def caption(run: Run) -> str:
    """When, and in which run."""
    return _filled(f"Measured {run.machine.date}, run `{run.name}`. {run.note}")


def description(run: Run) -> str:
    """Where and with what a run was measured, as an item of a list: without it a figure says nothing."""
    machine = run.machine
    text = (
        f"- `{run.name}`: `{run.command}`, {machine.date}; {machine.cpu}, {machine.cores} cores, "
        f"{machine.memory_gib:.0f} GiB, {machine.system}, Python {machine.python}; load average at the start "
        f"{'not noted' if machine.load is None else f'{machine.load:.2f}'}."
    )
    if machine.versions:
        text += f" {', '.join(f'{name} {version}' for name, version in machine.versions)}."
    if run.compared:
        text += f" Compared with {', '.join(run.compared)}, in environments of their own."
    return _filled(text, indent="  ")


def _filled(text: str, indent: str = "") -> str:
    return fill(text.strip(), 118, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def rows_table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    return _markdown_table(
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
    )


def section_text(section: Section) -> str:
    """A section in Markdown."""
    parts = [f"### {section.title}", _markdown_table(section.columns, section.lines), section.note]
    return "\n\n".join(part for part in parts if part)


def replaced(document: str, name: str, text: str) -> str:
    """A document with other text between its markers `<!-- name:begin -->` and `<!-- name:end -->`.

    Raises:
        BenchError: The document has not exactly one such pair.
    """
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    if document.count(begin) != 1 or document.count(end) != 1 or document.index(begin) > document.index(end):
        raise BenchError(f"There is no section between {begin} and {end}.", hint="Put the two lines back.")
    head, rest = document.split(begin)
    tail = rest.split(end)[1]
    return f"{head}{begin}\n{text.strip()}\n{end}{tail}"


def _goal(row: Row) -> str:
    return f"{row.goal.kind} {figure(row.goal.bound, row.unit)}" if row.goal else "-"


def _markdown_table(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    cells = [columns, ["---"] * len(columns), *lines]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |"
        for line in cells
    )
