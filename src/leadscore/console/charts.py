"""Charts of measures: lines over time and bars by group, each with its intervals and its table. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import plotly.graph_objects as go
from dash.development.base_component import Component

from leadscore.console.blocks import PageTable, chart_block
from leadscore.console.numbers import interval_text, value_text
from leadscore.console.page import Money, NumberName, NumberUnit
from leadscore.console.palette import DASHES, REFERENCE_GREY, SYMBOLS, chart_text, new_figure, series_colour
from leadscore.monitoring.measures import Measure, MeasureSeries

_FORMATS: Final[Mapping[NumberName, str]] = {
    "count": ",d", "share": ".0%", "number": "~g", "index": "~g", "times": "~g",
    "milliseconds": ",~r", "per_second": "~g",
}  # fmt: skip

# A threshold that many times above all values would make them a flat line.
_FLATTENS: Final = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartWords:
    """What a chart is called and what it says.

    Attributes:
        title: Heading.
        says: What one sees, in a sentence.
        y_title: Beside the axis, with the unit.
        unit: How to write its numbers.
        name: Of its CSV file.
        empty: What is said where there is nothing to draw.
    """

    title: str
    says: str
    y_title: str
    unit: NumberUnit
    name: str
    empty: str = "There is nothing in this time range."


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredGroup:
    """A group of a bar chart: its name and one measure for each kind of bar."""

    name: str
    measures: Sequence[Measure]


def time_chart(
    words: ChartWords,
    series: Sequence[MeasureSeries],
    *,
    of: str = "version",
    thresholds: Sequence[tuple[float, str]] = (),
    floor: float = 0.0,
) -> Component:
    """Lines over time with their intervals as bands; unknown points are gaps.

    Args:
        words: What it is called.
        series: One line each; at most six are told apart.
        of: What the series are, such as `version`; the table's column.
        thresholds: Horizontal lines, with what they mean; those far above all values are left out.
        floor: Where the axis begins if no value is lower.
    """
    figure = new_figure(y_title=words.y_title, y_format=_axis_format(words.unit))
    for place, line in enumerate(series):
        _band(figure, line, place)
        _line(figure, line, place, words.unit, f"{of} {line.name}" if of == "version" else line.name)
    values = [p.measure.value for line in series for p in line.points if p.measure.value is not None]
    shown = _thresholds(figure, thresholds, values)
    _fit(figure, [*values, *shown], [p.measure for line in series for p in line.points], floor)
    header = ("from (UTC)", of, words.y_title, "low", "high", "n", "outcomes known", "why unknown")
    rows = [
        (
            point.start,
            line.name,
            point.measure.value,
            point.measure.low,
            point.measure.high,
            point.measure.n,
            point.measure.completeness,
            point.measure.unknown,
        )
        for line in series
        for point in line.points
        if point.measure.value is not None or point.measure.n
    ]
    return chart_block(
        words.title, figure, _table(words, header, (words.y_title, "low", "high"), rows), says=words.says
    )


def group_chart(
    words: ChartWords,
    groups: Sequence[MeasuredGroup],
    kinds: Sequence[str],
    *,
    of: str,
    reference: str = "",
    thresholds: Sequence[tuple[float, str]] = (),
) -> Component:
    """Bars by group, one beside the other for each kind, with their intervals as whiskers.

    Args:
        words: What it is called.
        groups: In the order in which they are shown.
        kinds: What the measures of a group are, such as now and before.
        of: What the groups are; the table's first column.
        reference: The kind that the others are compared with; it is grey.
        thresholds: Horizontal lines, with what they mean; those far above all values are left out.
    """
    known = [group for group in groups if any(measure.value is not None for measure in group.measures)]
    figure = new_figure(x_title=of, y_title=words.y_title, y_format=_axis_format(words.unit))
    # Names such as 21–40 or true stay names.
    figure.update_xaxes(type="category")
    figure.update_layout(barmode="group", bargap=0.3)
    for place, kind in enumerate(kinds):
        measures = [group.measures[place] for group in known]
        values = [measure.value for measure in measures]
        # A kind without a number would move the bars of the others off their names.
        if not any(value is not None for value in values):
            continue
        figure.add_bar(
            x=[chart_text(group.name) for group in known],
            y=values,
            name=chart_text(kind),
            showlegend=len(kinds) > 1,
            marker={"color": REFERENCE_GREY if kind == reference else series_colour(place)},
            error_y={
                "visible": any(measure.low is not None for measure in measures),
                "type": "data",
                "symmetric": False,
                "array": [_reach(m.high, m.value) for m in measures],
                "arrayminus": [_reach(m.value, m.low) for m in measures],
                "color": "#7d8590",
                "thickness": 1.5,
                "width": 4,
            },
            customdata=[_hover(measure, words.unit) for measure in measures],
            hovertemplate="%{customdata}",
        )
    _thresholds(figure, thresholds, [m.value for g in known for m in g.measures if m.value is not None])
    # What is unknown stays in the table, with its reason.
    header = (of, *(title for kind in kinds for title in _titles(kind, kinds)), "why unknown")
    rows = [
        (
            group.name,
            *(
                cell
                for measure in group.measures
                for cell in (measure.value, measure.low, measure.high, measure.n)
            ),
            next((measure.unknown for measure in group.measures if measure.unknown), ""),
        )
        for group in groups
    ]
    numbers = [title for kind in kinds for title in _titles(kind, kinds)[:3]]
    counts = [_titles(kind, kinds)[3] for kind in kinds]
    table = PageTable(
        header=header,
        rows=rows if known else (),
        units={**dict.fromkeys(numbers, words.unit), **dict.fromkeys(counts, "count")},
        name=words.name,
        empty=words.empty,
    )
    return chart_block(words.title, figure, table, says=words.says)


def _axis_format(unit: NumberUnit) -> str:
    return ",~r" if isinstance(unit, Money) else _FORMATS[unit]


def _titles(kind: str, kinds: Sequence[str]) -> tuple[str, str, str, str]:
    if len(kinds) == 1:
        return (kind, "low", "high", "n")
    return (kind, f"{kind}: low", f"{kind}: high", f"{kind}: n")


def _table(
    words: ChartWords, header: Sequence[str], numbers: Sequence[str], rows: Sequence[Sequence[object]]
) -> PageTable:
    units: dict[str, NumberUnit] = {
        **dict.fromkeys(numbers, words.unit),
        "n": "count",
        "outcomes known": "share",
    }
    return PageTable(header=header, rows=rows, units=units, name=words.name, empty=words.empty)


def _line(figure: go.Figure, line: MeasureSeries, place: int, unit: NumberUnit, name: str) -> None:
    # A lone point between two unknown ones would be no line at all.
    few = sum(point.measure.value is not None for point in line.points) <= 60
    figure.add_scatter(
        x=[point.start for point in line.points],
        y=[point.measure.value for point in line.points],
        name=chart_text(name),
        mode="lines+markers" if few else "lines",
        connectgaps=False,
        line={"color": series_colour(place), "dash": DASHES[place % len(DASHES)], "width": 2},
        marker={"symbol": SYMBOLS[place % len(SYMBOLS)], "size": 5},
        customdata=[_hover(point.measure, unit) for point in line.points],
        hovertemplate="%{customdata}",
        showlegend=True,
    )


def _band(figure: go.Figure, line: MeasureSeries, place: int) -> None:
    """The interval, in one polygon for each run of points that have one."""
    runs: list[list[Any]] = [[]]
    for point in line.points:
        if point.measure.low is None or point.measure.high is None:
            runs.append([])
        else:
            runs[-1].append((point.start, point.measure.low, point.measure.high))
    for run in runs:
        if len(run) < 2:
            continue
        figure.add_scatter(
            x=[at for at, _, _ in run] + [at for at, _, _ in reversed(run)],
            y=[high for _, _, high in run] + [low for _, low, _ in reversed(run)],
            fill="toself",
            fillcolor=f"{series_colour(place)}22",
            line={"width": 0},
            mode="lines",
            hoverinfo="skip",
            showlegend=False,
        )


def _thresholds(
    figure: go.Figure, thresholds: Sequence[tuple[float, str]], values: Sequence[float]
) -> list[float]:
    """Draw those that do not flatten all values; return them."""
    top = max(values, default=0.0)
    shown = [(value, label) for value, label in thresholds if value <= _FLATTENS * top]
    for value, label in shown:
        figure.add_hline(
            y=value,
            line={"color": REFERENCE_GREY, "dash": "dot", "width": 1},
            annotation={"text": chart_text(label), "font": {"size": 11}, "yanchor": "bottom"},
        )
    return [value for value, _ in shown]


def _fit(figure: go.Figure, values: Sequence[float], measures: Sequence[Measure], floor: float) -> None:
    """End the axis where lines end: the wide interval of a step with few leads may reach beyond."""
    if not values:
        return
    highs = [measure.high for measure in measures if measure.high is not None]
    lows = [measure.low for measure in measures if measure.low is not None]
    top = min(max([*highs, *values]), max(values) + (max(values) - min([*values, floor])))
    bottom = min(floor, max(min([*lows, *values]), 2 * min(values) - max(values)))
    figure.update_yaxes(range=[max(bottom, 0.0), top * 1.05 if top > 0 else 1.0])


def _hover(measure: Measure, unit: NumberUnit) -> str:
    interval = interval_text(measure, unit)
    return f"{value_text(measure.value, unit)}{f' ({interval})' if interval else ''}, n = {measure.n:,}"


def _reach(upper: float | None, lower: float | None) -> float:
    return 0.0 if upper is None or lower is None else max(upper - lower, 0.0)
