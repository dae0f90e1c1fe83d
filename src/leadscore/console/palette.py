"""Colours and the common look of charts: told apart with colour-blind eyes, on white and on dark alike."""

from __future__ import annotations

import html
from typing import Final

import plotly.graph_objects as go

# In the order of use; each with a contrast of at least 3 : 1 to both backgrounds (WCAG 2.2, 1.4.11). After
# Okabe and Ito (2008), darkened or lightened where one of the backgrounds asks for it; a test measures.
SERIES: Final = ("#2b7fc4", "#cc6a00", "#00876c", "#b5579d", "#8a7400", "#6b7280")
REFERENCE_GREY: Final = "#7d8590"
# A second sign beside the colour: line patterns and marker shapes in the same order.
DASHES: Final = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
SYMBOLS: Final = ("circle", "square", "diamond", "triangle-up", "x", "cross")


def chart_text(text: str) -> str:
    """Text of somebody else's (a version, a feature, a category) for a chart, which would read it as HTML."""
    return html.escape(text, quote=False)


def series_colour(place: int) -> str:
    """The colour of a chart's n-th line; after the sixth they begin again (with another dash)."""
    return SERIES[place % len(SERIES)]


def new_figure(*, x_title: str = "", y_title: str = "", y_format: str = "", height: int = 300) -> go.Figure:
    """An empty chart in the console's look: no background, text and grid coloured by the stylesheet.

    Args:
        x_title: Below.
        y_title: Beside, with the unit.
        y_format: d3 format of the y axis, such as `.0%`.
        height: Pixels.
    """
    axis = {"gridcolor": REFERENCE_GREY, "zeroline": False, "linecolor": REFERENCE_GREY, "automargin": True}
    figure = go.Figure()
    figure.update_layout(
        template="none",
        height=height,
        margin={"l": 56, "r": 16, "t": 16, "b": 44},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 13, "color": REFERENCE_GREY},
        legend={"orientation": "h", "y": 1.12, "x": 0, "yanchor": "bottom"},
        hovermode="x unified",
        colorway=list(SERIES),
        xaxis={**axis, "title": {"text": x_title}},
        yaxis={**axis, "title": {"text": y_title}, "tickformat": y_format, "rangemode": "tozero"},
    )
    return figure
