"""What pages are made of: the verdict, number tiles, charts with their tables, empty and error states.

Text is always text: Dash writes children as text nodes, so HTML in a lead's id or a feature's name is shown.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import plotly.graph_objects as go
from dash import dcc, html
from dash.development.base_component import Component

from leadscore.console.fields import FormField, attributes
from leadscore.console.numbers import (
    UNKNOWN_TEXT,
    age_text,
    column_title,
    count_text,
    interval_text,
    moment_text,
    share_text,
    value_text,
)
from leadscore.console.page import (
    RANGES,
    NumberTile,
    NumberUnit,
    PageFilter,
    PageVerdict,
    TimeRange,
    VerdictLevel,
)

_SIGNS: Final[Mapping[VerdictLevel, tuple[str, str]]] = {
    "good": ("✓", "Good"),
    "info": ("i", "Note"),
    "warning": ("!", "Warning"),
    "critical": ("✕", "Critical"),
    "unknown": ("?", "Unknown"),
}
_LONGEST_WORD: Final = 30
_RANGE_WORDS: Final = {
    "1h": "Last hour", "24h": "Last 24 hours", "7d": "Last 7 days", "30d": "Last 30 days",
    "90d": "Last 90 days", "365d": "Last year",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class PageTable:
    """Rows under a header.

    Attributes:
        header: Names of the columns.
        rows: Cells: text, numbers, None (unknown), or components (links).
        units: How to write the numbers of a column, by its name; without: as it is.
        name: Of the CSV file, without its ending.
        empty: What is said if there is no row.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[object]]
    units: Mapping[str, NumberUnit]
    name: str
    empty: str = "There is nothing in this time range."


def badge(level: VerdictLevel, words: str = "") -> Component:
    """A level as a sign, a word and a colour."""
    sign, name = _SIGNS[level]
    return html.Span(
        [html.Span(sign, className="sign", **attributes({"aria-hidden": "true"})), words or name],
        className=f"badge {level}",
    )


def verdict_block(verdict: PageVerdict) -> Component:
    """The sentence at the top."""
    return html.P(
        [badge(verdict.level), html.Span(code_marked(verdict.sentence))], className=f"verdict {verdict.level}"
    )


def code_marked(text: str) -> str | list[str | Component]:
    """Text whose parts between backticks (commands, names of settings) are shown as such."""
    parts = text.split("`")
    if len(parts) < 3 or len(parts) % 2 == 0:
        return text
    return [html.Code(part) if place % 2 else part for place, part in enumerate(parts) if part]


def tiles_block(tiles: Sequence[NumberTile], now: datetime) -> Component:
    """The numbers, each with its interval, n, completeness and age."""
    return html.Dl([_tile(tile, now) for tile in tiles], className="tiles")


def _tile(tile: NumberTile, now: datetime) -> Component:
    found = tile.measure
    label = html.A(tile.label, href=tile.href) if tile.href else tile.label
    unknown = found.value is None
    value = value_text(found.value, tile.unit)
    facts = [
        interval and f"95 %: {interval}" if (interval := interval_text(found, tile.unit)) else "",
        found.unknown,
        tile.note,
        f"n = {count_text(found.n)}" if found.n or not unknown else "",
        "" if found.completeness is None else f"{share_text(found.completeness)} of outcomes known",
        "" if found.as_of is None else age_text(found.as_of, now),
    ]
    sign = [] if tile.level is None else [badge(tile.level)]
    return html.Div(
        [
            html.Dt(label),
            html.Dd([html.Span(value, className="value"), *sign]),
            *(html.Dd(fact, className="fact") for fact in facts if fact),
        ],
        className="tile unknown" if unknown else "tile",
    )


def table_block(table: PageTable, *, caption: str) -> Component:
    """A table with a button that saves it as CSV; a sentence where it has no row."""
    if not table.rows:
        return empty_block(table.empty)
    head = html.Thead(html.Tr([_column(table, name) for name in table.header]))
    body = html.Tbody(
        [
            html.Tr([_cell(table, name, cell) for name, cell in zip(table.header, row, strict=True)])
            for row in table.rows
        ]
    )
    return html.Div(
        [
            html.Div(
                html.Table([html.Caption(caption), head, body]),
                className="scroll",
                tabIndex="0",
                role="region",
                **attributes({"aria-label": caption}),
            ),
            html.Button(
                "Save as CSV",
                type="button",
                className="quiet",
                **attributes({"data-csv": table.name, "aria-label": f"Save as CSV: {caption}"}),
            ),
        ],
        className="table",
    )


def _column(table: PageTable, name: str) -> Component:
    # In a file, where no cell says its unit, the column does.
    in_files = attributes({"data-value": column_title(name, table.units.get(name))})
    return html.Th(name, scope="col", className=_side(table, name), **in_files)


def _side(table: PageTable, name: str) -> str:
    return "number" if name in table.units else ""


def _cell(table: PageTable, name: str, cell: object) -> Component:
    unit = table.units.get(name)
    # On a phone, where a row is read downwards, each cell says its column.
    label = {"data-label": name}
    if unit is not None and (cell is None or isinstance(cell, int | float)):
        return html.Td(
            value_text(cell, unit),
            className="number unknown" if cell is None else "number",
            **attributes({**label, "data-value": "" if cell is None else repr(cell)}),
        )
    if isinstance(cell, Component):
        return html.Td(cell, className=_break(getattr(cell, "children", "")), **attributes(label))
    if isinstance(cell, datetime):
        shown = moment_text(cell).removesuffix(" UTC")
        return html.Td(shown, className="when", **attributes({**label, "data-value": cell.isoformat()}))
    text = UNKNOWN_TEXT if cell is None else code_marked(str(cell))
    classes = f"{_side(table, name)} {_break(cell)}".strip()
    return html.Td(text, className=classes, **attributes(label))


def _break(text: object) -> str:
    """Words are broken only where one alone would make its column too wide: an id, a digest."""
    return "long" if max(map(len, str(text or "").split()), default=0) > _LONGEST_WORD else ""


def chart_block(title: str, figure: go.Figure, table: PageTable, *, says: str) -> Component:
    """A chart, what it says in a sentence, and the same numbers as a table.

    Args:
        title: Heading.
        figure: Made with `palette.new_figure`.
        table: The chart's numbers; without a row there is no chart either.
        says: What one sees; also what a screen reader says instead of the picture.
    """
    name = _identifier(title)
    heading = html.H2(title, id=name)
    if not table.rows:
        return html.Section([heading, empty_block(table.empty)], **attributes({"aria-labelledby": name}))
    graph = dcc.Graph(
        id=f"chart-{name}",
        figure=figure,
        responsive=True,
        config={"displayModeBar": False, "displaylogo": False},
        style={"height": f"{_height(figure)}px"},
    )
    return html.Section(
        [
            heading,
            html.P(says, className="says"),
            html.Div(graph, role="img", className="chart", **attributes({"aria-label": f"{title}: {says}"})),
            html.Details([html.Summary(f"Numbers of “{title}”"), table_block(table, caption=title)]),
        ],
        **attributes({"aria-labelledby": name}),
    )


def _height(figure: go.Figure) -> int:
    layout: Any = figure.layout
    return int(layout.height or 300)


def section_block(title: str, children: Sequence[Component]) -> Component:
    """A part of a page under a heading of its own."""
    name = _identifier(title)
    return html.Section([html.H2(title, id=name), *children], **attributes({"aria-labelledby": name}))


def facts_block(rows: Sequence[tuple[str, object]]) -> Component:
    """Names and values, one under the other."""
    return html.Dl(
        [
            html.Div([html.Dt(name), html.Dd(value if isinstance(value, Component) else str(value))])
            for name, value in rows
        ],
        className="facts",
    )


def empty_block(sentence: str, *, hint: str = "") -> Component:
    """There is nothing to show, and what to do about it."""
    return html.Div(
        [html.P(code_marked(sentence)), *([html.P(code_marked(hint), className="hint")] if hint else [])],
        className="empty",
    )


def error_block(sentence: str, *, hint: str = "") -> Component:
    """Something could not be had, and what to do about it."""
    return html.Div(
        [
            html.P([badge("unknown"), html.Span(code_marked(sentence))]),
            *([html.P(code_marked(hint), className="hint")] if hint else []),
        ],
        className="error",
        role="alert",
    )


def filters_block(
    path: str, filters: Sequence[PageFilter], chosen: TimeRange | None, export: str = ""
) -> Component:
    """The form of time range and filters; it changes the URL, which is all that a page depends on.

    Args:
        path: Of the page.
        filters: Beside the time range.
        chosen: Time range; None: the page has none.
        export: Where the page's CSV file is; "": it has none.
    """
    fields = [] if chosen is None else _range_fields(chosen)
    fields += [_filter(given) for given in filters]
    # One that is asked for every time would be lost with a refresh, so the state is the URL's alone.
    link = [html.A("Export CSV", href=export, className="button quiet", download="")] if export else []
    if not fields and not link:
        return html.Div()
    return html.Form(
        [*fields, html.Button("Apply", type="submit"), *link] if fields else link,
        className="filters",
        action=path,
        method="get",
        role="search",
        **attributes({"data-filters": "true", "aria-label": "Time range and filters"}),
    )


def _range_fields(chosen: TimeRange) -> list[Component]:
    custom = chosen.name == "custom"
    known = [*RANGES] if custom or chosen.name in RANGES else [chosen.name, *RANGES]
    choices = [(name, _RANGE_WORDS.get(name, f"Last {name}")) for name in known]
    if custom:
        choices.append(("custom", "From … to"))
    # The range ends before its last moment: at midnight, the day before is the last one in it.
    last = chosen.until - timedelta(microseconds=1)
    days = (chosen.since, last) if custom else (None, None)
    return [
        _filter(PageFilter(name="range", label="Time", value=chosen.name, choices=choices)),
        *(
            html.Label(
                [
                    label,
                    FormField(type="date", name=name, defaultValue="" if day is None else f"{day:%Y-%m-%d}"),
                ]
            )
            for label, name, day in (("From", "since", days[0]), ("To", "until", days[1]))
        ),
    ]


def _filter(given: PageFilter) -> Component:
    if not given.choices:
        return html.Label(
            [given.label, FormField(type="search", name=given.name, defaultValue=given.value, maxLength=200)]
        )
    return html.Label(
        [
            given.label,
            html.Select(
                [
                    html.Option(words, value=value, selected=True if value == given.value else None)
                    for value, words in given.choices
                ],
                name=given.name,
                # Another choice, made by a link, is another element: a selection is only an initial one.
                key=f"{given.name}={given.value}",
            ),
        ]
    )


def action_form(name: str, children: Sequence[Component], *, submit: str, label: str) -> Component:
    """A form that does something: the shell sends it to `/actions/NAME` and says what came of it.

    Args:
        name: Of the action.
        children: Labels with fields.
        submit: On its button.
        label: What the form is for, for screen readers.
    """
    return html.Form(
        [*children, html.Button(submit, type="submit")],
        className="action",
        action=f"/actions/{name}",
        method="post",
        **attributes({"data-action": name, "aria-label": label}),
    )


def _identifier(title: str) -> str:
    """A fragment that a link can name: of the title's letters, or its digest where it has none."""
    words = "".join(c if c.isascii() and c.isalnum() else "-" for c in title.casefold()).strip("-")
    return words or hashlib.sha256(title.encode()).hexdigest()[:8]
