"""What commands print: tables for people on a terminal, one JSON document for machines."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence

import msgspec
from rich.cells import cell_len
from rich.console import Console, RenderableType
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
    """Return a fixed width if there is no terminal: piped tables must not wrap at 80 columns."""
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
    """Return a Rich table whose cells are text, never markup (`[x]` stays `[x]`).

    Where it is wider than the console, lines are broken between words, and within words only if that is not
    enough.

    Args:
        title: Above it.
        columns: Their names.
        rows: Cells in the order of the columns; None is a dash.
        right: Names of the columns that hold numbers.
    """
    view = Table(title=title, title_justify="left", header_style="bold")
    cells = [
        [cell if isinstance(cell, Text) else Text("–" if cell is None else str(cell)) for cell in row]
        for row in rows
    ]
    widths = _fitted(
        [[name, *(row[place].plain for row in cells)] for place, name in enumerate(columns)], console.width
    )
    for name, width in zip(columns, widths, strict=True):
        justify = "right" if name in right else "left"
        view.add_column(name, justify=justify, overflow="fold", width=width)
    for row in cells:
        view.add_row(*row)
    return view


def _fitted(columns: Sequence[Sequence[str]], width: int) -> list[int | None]:
    """Return the widths that keep words whole; None for each where nothing has to be, or can be, done.

    Args:
        columns: Header and cells of each.
        width: Of the console.
    """
    wanted = [max(cell_len(text) for text in column) for column in columns]
    least = [
        max((cell_len(word) for text in column for word in text.split()), default=1) for column in columns
    ]
    # A space on either side of each column, and lines between and around them.
    room = width - 3 * len(columns) - 1
    if sum(wanted) <= room or sum(least) > room:
        return [None] * len(columns)
    while sum(wanted) > room:
        widest = max(range(len(columns)), key=lambda place: wanted[place] - least[place])
        wanted[widest] -= 1
    return list(wanted)


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
