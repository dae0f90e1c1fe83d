"""The plots of a model card, as PNG bytes that depend on the figures alone."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, SubFigure

from leadscore.intervals import Flags, Floats
from leadscore.reliability import CalibrationBin
from leadscore.scoring.artefact import CARD_CURVES, CARD_DRIVERS
from leadscore.training.drivers import Driver, Shape
from leadscore.training.window import MonthCount

_TOP = 12
_BLUE, _RED, _GREY = "#2b6cb0", "#c53030", "#a0aec0"


def draw_plots(
    drivers: Sequence[Driver],
    shapes: Sequence[Shape],
    *,
    converted: Flags,
    probabilities: Floats,
    bins: Sequence[CalibrationBin],
    months: Sequence[MonthCount],
) -> Mapping[str, bytes]:
    """All plots by file name.

    Args:
        drivers: Strongest first.
        shapes: Of the strongest features.
        converted: Labels of the hold-out window (n,), both outcomes among them.
        probabilities: What the model says of these leads (n,).
        bins: What was said and what came, by rising probability.
        months: Leads and labels per month; empty without times.
    """
    return {
        CARD_DRIVERS: _drivers(drivers, shapes),
        CARD_CURVES: _curves(converted, probabilities, bins, months),
    }


def roc_points(converted: Flags, probabilities: Floats) -> tuple[Floats, Floats]:
    """False and true positive rates at each distinct probability, falling, from (0, 0) to (1, 1)."""
    hits, called = _down_the_list(converted, probabilities)
    positives = float(hits[-1])
    others = float(called[-1]) - positives
    return np.append(0.0, (called - hits) / others), np.append(0.0, hits / positives)


def pr_points(converted: Flags, probabilities: Floats) -> tuple[Floats, Floats]:
    """Recall and precision at each distinct probability, falling."""
    hits, called = _down_the_list(converted, probabilities)
    return hits / float(hits[-1]), hits / called


def _down_the_list(converted: Flags, probabilities: Floats) -> tuple[Floats, Floats]:
    """Converted leads and leads down to each distinct probability, falling.

    Leads of equal probability come together.
    """
    order = np.argsort(-probabilities, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(probabilities[order])), len(order) - 1)
    return np.cumsum(converted[order]).astype(np.float64)[ends], (ends + 1).astype(np.float64)


def _drivers(drivers: Sequence[Driver], shapes: Sequence[Shape]) -> bytes:
    figure = Figure(figsize=(10, 7), dpi=80, layout="constrained")
    left, right = cast("list[SubFigure]", figure.subfigures(1, 2, width_ratios=(2, 3)))
    bars = left.subplots()
    top = list(reversed(drivers[:_TOP]))
    bars.barh([d.feature for d in top], [d.mean_abs for d in top], color=_BLUE)
    bars.set_title("Mean |SHAP| (log-odds)", fontsize=10)
    bars.tick_params(labelsize=8)
    rows = max(1, (len(shapes) + 1) // 2)
    panels = cast("list[Axes]", list(np.ravel(right.subplots(rows, 2, squeeze=False))))
    for panel, shape in zip(panels, shapes, strict=False):
        places = range(len(shape.labels))
        panel.bar(places, shape.effects, color=[_RED if e < 0 else _BLUE for e in shape.effects])
        panel.axhline(0, color=_GREY, linewidth=0.8)
        panel.set_xticks(list(places), shape.labels, rotation=60, ha="right", fontsize=6)
        panel.tick_params(axis="y", labelsize=7)
        panel.set_title(shape.feature, fontsize=9)
    for panel in panels[len(shapes) :]:
        panel.set_axis_off()
    return _png(figure)


def _curves(
    converted: Flags, probabilities: Floats, bins: Sequence[CalibrationBin], months: Sequence[MonthCount]
) -> bytes:
    figure = Figure(figsize=(10, 7), dpi=80, layout="constrained")
    panels = cast("list[Axes]", list(np.ravel(figure.subplots(2, 2))))
    roc, pr, calibration, monthly = panels
    roc.plot(*roc_points(converted, probabilities), color=_BLUE)
    roc.plot([0, 1], [0, 1], color=_GREY, linestyle=":")
    _label(roc, "ROC", "share of the others called", "share of the converted called")
    pr.plot(*pr_points(converted, probabilities), color=_BLUE)
    pr.axhline(float(converted.mean()), color=_GREY, linestyle=":")
    _label(pr, "Precision and recall", "recall", "precision")
    said, came = [b.predicted for b in bins], [b.observed for b in bins]
    top = max([*said, *came, 1e-3])
    calibration.plot(said, came, color=_BLUE, marker="o")
    calibration.plot([0, top], [0, top], color=_GREY, linestyle=":")
    _label(calibration, "Calibration", "said", "came")
    _monthly(monthly, months)
    return _png(figure)


def _monthly(panel: Axes, months: Sequence[MonthCount]) -> None:
    if not months:
        panel.set_axis_off()
        return
    places = list(range(len(months)))
    panel.bar(places, [m.leads for m in months], color=_GREY, label="leads")
    panel.bar(places, [m.labelled for m in months], color=_BLUE, label="outcome known")
    panel.set_xticks(places, [m.month for m in months], rotation=60, ha="right", fontsize=7)
    panel.legend(fontsize=7, loc="upper left")
    rates = panel.twinx()
    rates.plot(places, [np.nan if m.rate is None else m.rate for m in months], color=_RED, marker=".")
    rates.set_ylim(bottom=0)
    rates.set_ylabel("converted, of the known", fontsize=8, color=_RED)
    rates.tick_params(labelsize=7)
    panel.tick_params(axis="y", labelsize=7)
    panel.set_title("Months", fontsize=10)


def _label(panel: Axes, title: str, x: str, y: str) -> None:
    panel.set_title(title, fontsize=10)
    panel.set_xlabel(x, fontsize=8)
    panel.set_ylabel(y, fontsize=8)
    panel.tick_params(labelsize=7)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    # The version of the library, which is the default, would change the artefact's digest and says nothing.
    metadata: dict[str, Any] = {"Software": None}
    FigureCanvasAgg(figure).print_png(buffer, metadata=metadata)
    return buffer.getvalue()
