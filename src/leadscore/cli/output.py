"""What commands print: tables for people on a terminal, one JSON document for machines."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence

import msgspec
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from leadscore.errors import InvalidLeadError, LeadScoreError


def _width() -> int | None:
    """A fixed width when nobody looks: tables piped to a file must not wrap at 80 columns."""
    return None if sys.stdout.isatty() or "COLUMNS" in os.environ else 120


console = Console(width=_width())
notes = Console(stderr=True)


def emit(document: object, view: RenderableType, *, as_json: bool) -> None:
    """Print `document` as JSON (dataclasses and msgspec structs included) or `view` for people."""
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n")
    else:
        console.print(view)


def table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = ()
) -> Table:
    """A Rich table; `right` names the columns that hold numbers. Cells are text, never markup (`[x]` stays `[x]`)."""
    view = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        view.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        view.add_row(
            *(cell if isinstance(cell, Text) else escape("–" if cell is None else str(cell)) for cell in row)
        )
    return view


def decimal(value: float | None) -> str:
    """A number to four places; a dash for one that is not known."""
    return "–" if value is None else f"{value:.4f}"


def progress_bar() -> Progress:
    """The one progress style, on stderr so that `--json` stays clean."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=notes,
    )


def print_error(error: LeadScoreError) -> None:
    """One line that says what is wrong, one that says what to do, and the bad fields if there are any."""
    notes.print(f"[bold red]error\\[{error.code}][/]: ", end="")
    notes.print(error.message, markup=False, highlight=False, soft_wrap=True)
    if isinstance(error, InvalidLeadError):
        for problem in error.problems:
            line = (
                f"  {problem.field}: {problem.reason}, received {problem.received}, allowed {problem.allowed}"
            )
            notes.print(line, markup=False, highlight=False, soft_wrap=True)
    if error.hint:
        notes.print("[bold]hint[/]: ", end="")
        notes.print(error.hint, markup=False, highlight=False, soft_wrap=True)
