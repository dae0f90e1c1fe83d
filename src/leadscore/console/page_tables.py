"""The tables of a page as one file: every row that it shows, in columns that are named with their units."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from dash import html
from dash.development.base_component import Component

from leadscore.console.page import PageContent, PageExport

_Row = dict[str, object]


def exported_tables(name: str, content: PageContent) -> PageExport:
    """Put the tables of a page into one: the first column says which, and each has its own columns behind it.

    Columns of one name and unit are one column. A cell of another table's column is empty.
    """
    tables = [_read(table) for part in content.body for table in _tables(part)]
    columns = list(dict.fromkeys(column for _, header, _ in tables for column in header))
    return PageExport(
        name=name,
        header=("table", *columns),
        rows=[(caption, *(row.get(c) for c in columns)) for caption, _, rows in tables for row in rows],
    )


def has_tables(content: PageContent) -> bool:
    """Whether a page shows a table with a row."""
    return any(True for part in content.body for _ in _tables(part))


def _tables(part: object) -> Iterator[Component]:
    """Tables in a component, in the order in which they are shown."""
    if isinstance(part, html.Table):
        yield part
    elif isinstance(part, list | tuple):
        for each in part:  # pyright: ignore[reportUnknownVariableType]
            yield from _tables(each)  # pyright: ignore[reportUnknownArgumentType]
    elif isinstance(part, Component):
        yield from _tables(_children(part))


def _read(table: Component) -> tuple[str, Sequence[str], list[_Row]]:
    caption, head, body = _children(table)
    header = [str(_cell(cell)) for cell in _children(_children(head))]
    rows = [dict(zip(header, map(_cell, _children(row)), strict=True)) for row in _children(body)]
    return _text(caption), header, rows


def _cell(cell: Component) -> object:
    """What stands in a cell: a number as it is, not as people read it."""
    kept: str | None = getattr(cell, "data-value", None)
    if kept is None or isinstance(cell, html.Th):
        return kept if kept is not None else _text(cell)
    if "number" not in str(getattr(cell, "className", "")):
        return kept
    return None if not kept else int(kept) if kept.lstrip("-").isdecimal() else float(kept)


def _text(part: object) -> str:
    if isinstance(part, Component):
        return _text(_children(part))
    if isinstance(part, list | tuple):
        return " ".join(filter(None, (_text(each) for each in part)))  # pyright: ignore[reportUnknownVariableType]
    return "" if part is None else str(part)


def _children(part: Component) -> Any:  # Dash has no types
    return getattr(part, "children", None)
