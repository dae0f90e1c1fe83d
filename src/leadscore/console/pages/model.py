"""Model: does it still rank leads, and mean its probabilities?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from dash.development.base_component import Component

from leadscore.console.blocks import PageTable, chart_block, section_block, table_block
from leadscore.console.charts import ChartWords, MeasuredGroup, group_chart, time_chart
from leadscore.console.numbers import index_text, interval_text, share_text
from leadscore.console.page import (
    ConsolePage,
    NumberTile,
    PageContent,
    PageRequest,
    PageVerdict,
)
from leadscore.console.palette import REFERENCE_GREY, new_figure, series_colour
from leadscore.console.reading import SHELF, maturity_filter, selection_of, versions_by_traffic
from leadscore.drift.options import PerformanceThresholds
from leadscore.events.records import SHADOW_ROLE
from leadscore.monitoring.measures import Measure, MeasureSeries
from leadscore.monitoring.model_facts import ModelFacts
from leadscore.monitoring.queries.counts import read_counts
from leadscore.monitoring.queries.freshness import Freshness, read_freshness
from leadscore.monitoring.queries.quality import CalibrationRow, ModelQuality, read_auc_series, read_quality

CHAMPION_ROLE: Final = "champion"
# Relative distance of converted from promised that is worth a warning, as detectors have it.
MISCALIBRATED: Final = PerformanceThresholds().miscalibration


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityNumbers:
    """What the page shows.

    Attributes:
        fresh: How far the counts are.
        main: The version that answered most callers; None if none did.
        qualities: Every version in every role.
        series: AUC over time by version.
    """

    fresh: Freshness
    main: ModelQuality | None
    qualities: tuple[ModelQuality, ...]
    series: tuple[MeasureSeries, ...]


def build(request: PageRequest) -> PageContent:
    """Make the page."""
    return show_model(_read(request), request)


def _read(request: PageRequest) -> QualityNumbers:
    selection = selection_of(request, roles=(CHAMPION_ROLE, SHADOW_ROLE))
    with request.store.reading() as connection:
        fresh = read_freshness(connection)
        rows = read_counts(connection, selection, ("version", "role"))
    versions = versions_by_traffic(rows)
    answered = versions_by_traffic(tuple(row for row in rows if row.role == CHAMPION_ROLE))
    main = next(iter(answered), "")
    facts: dict[str, ModelFacts] = {}
    for version in versions:
        found, _ = SHELF.find(request.home, request.model, version)
        if found is not None:
            facts[version] = found
    with request.store.reading() as connection:
        qualities = read_quality(connection, selection, fresh, facts)
        series = read_auc_series(connection, selection, fresh)
    shown = next((q for q in qualities if (q.version, q.role) == (main, CHAMPION_ROLE)), None)
    return QualityNumbers(fresh=fresh, main=shown, qualities=qualities, series=series)


def show_model(numbers: QualityNumbers, request: PageRequest) -> PageContent:
    """Lay the numbers out."""
    main = numbers.main
    days = selection_of(request).maturity / timedelta(days=1)
    return PageContent(
        verdict=quality_verdict(numbers, request),
        tiles=() if main is None else _tiles(main),
        body=[
            time_chart(
                ChartWords(
                    title="Ranking over time",
                    says="AUC by the day or week in which leads were scored: 1 is perfect, 0.5 is chance. "
                    f"Leads of the last {days:g} days are not in it: their outcomes are still coming.",
                    y_title="AUC",
                    unit="index",
                    name="auc",
                    empty="No day or week has enough outcomes.",
                ),
                numbers.series,
                floor=0.5,
                thresholds=[]
                if main is None or main.holdout_auc.value is None
                else [(main.holdout_auc.value, f"in training, version {main.version}")],
            ),
            *(() if main is None else (_calibration_chart(main), _lift_chart(main))),
            section_block("Versions beside each other", [_versions_table(numbers.qualities)]),
        ],
        filters=[maturity_filter(request)],
        as_of=numbers.fresh.caught_up,
    )


def quality_verdict(numbers: QualityNumbers, request: PageRequest) -> PageVerdict:
    """Say whether the version that answers ranks as in training, and means its probabilities."""
    main = numbers.main
    if main is None or main.auc.value is None:
        why = numbers.fresh.stale(request.now) or "No lead was scored in this time."
        promised = ""
        if main is not None:
            why = main.auc.unknown
            if main.expected_auc.value is not None:
                promised = f" Its scores alone promise an AUC of {index_text(main.expected_auc.value)}."
        return PageVerdict(
            level="unknown", sentence=f"How good the model is now is not known. {why}{promised}"
        )
    auc, holdout = main.auc, main.holdout_auc
    text = f"Version {main.version} ranks with an AUC of {index_text(main.auc.value)}"
    if holdout.value is not None:
        text += f" ({index_text(holdout.value)} in training)"
    if holdout.low is not None and auc.high is not None and auc.high < holdout.low:
        return PageVerdict(level="warning", sentence=f"{text}: worse than in training, beyond chance.")
    off = _miscalibration(main)
    if off:
        return PageVerdict(level="warning", sentence=f"{text}. {off}")
    if holdout.value is None:
        return PageVerdict(
            level="info", sentence=f"{text}; what it had in training is not known. {holdout.unknown}"
        )
    return PageVerdict(level="good", sentence=f"{text}, and its probabilities hold.")


def _miscalibration(main: ModelQuality) -> str:
    came, said = main.conversion, main.promised
    if came.value is None or said.value is None or came.low is None or came.high is None:
        return ""
    # A distance that outcomes can show need not be one that matters.
    if came.low <= said.value <= came.high or abs(came.value / said.value - 1) < MISCALIBRATED:
        return ""
    direction = "too high" if said.value > came.value else "too low"
    return (
        f"Its probabilities are {direction}: they promised {share_text(said.value)}, "
        f"and {share_text(came.value)} converted."
    )


def _tiles(main: ModelQuality) -> list[NumberTile]:
    resolution = (
        "" if main.resolution is None else f"counted in bins: exact to ± {index_text(main.resolution)}"
    )
    return [
        NumberTile(label="AUC, measured", measure=main.auc, unit="index", note=resolution),
        NumberTile(
            label="AUC, promised by scores",
            measure=main.expected_auc,
            unit="index",
            note="no outcome needed",
        ),
        NumberTile(label="AUC in training", measure=main.holdout_auc, unit="index"),
        NumberTile(label="Precision", measure=main.precision, unit="share", note="called likely, converted"),
        NumberTile(label="Recall", measure=main.recall, unit="share", note="converted, called likely"),
        NumberTile(label="Brier score", measure=main.brier, unit="index", note="0 is perfect"),
    ]


def _calibration_chart(main: ModelQuality) -> Component:
    rows = main.calibration
    figure = new_figure(x_title="promised", y_title="converted", y_format=".0%")
    top = max((max(row.said, row.came.value or 0.0) for row in rows), default=1.0)
    figure.add_scatter(
        x=[0, top],
        y=[0, top],
        mode="lines",
        name="as promised",
        line={"color": REFERENCE_GREY, "dash": "dot"},
        hoverinfo="skip",
    )
    figure.add_scatter(
        x=[row.said for row in rows],
        y=[row.came.value for row in rows],
        mode="lines+markers",
        name="measured",
        marker={"size": 7},
        line={"color": series_colour(0)},
        error_y=_whiskers(rows),
        customdata=[
            f"{row.name}: promised {share_text(row.said)}, {share_text(row.came.value or 0)} converted, "
            f"n = {row.came.n:,}"
            for row in rows
        ],
        hovertemplate="%{customdata}<extra></extra>",
    )
    figure.update_layout(hovermode="closest", xaxis={"tickformat": ".0%"})
    table = PageTable(
        header=("probability", "promised", "converted", "low", "high", "outcomes", "lift"),
        rows=[
            (row.name, row.said, row.came.value, row.came.low, row.came.high, row.came.n, row.lift)
            for row in rows
        ],
        units={
            **dict.fromkeys(("promised", "converted", "low", "high"), "share"),
            "outcomes": "count",
            "lift": "times",
        },
        name="calibration",
        empty="No outcome is known of leads that are old enough.",
    )
    return chart_block(
        "Promised against converted",
        figure,
        table,
        says="Each point is the leads of one range of probability. On the dotted line the model means what "
        "it says; below it, it promised too much.",
    )


def _whiskers(rows: Sequence[CalibrationRow]) -> dict[str, object]:
    values = [(row.came.low, row.came.value, row.came.high) for row in rows]
    return {
        "type": "data",
        "symmetric": False,
        "array": [0.0 if v is None or h is None else h - v for _, v, h in values],
        "arrayminus": [0.0 if v is None or low is None else v - low for low, v, _ in values],
        "color": "#7d8590",
        "thickness": 1.2,
        "width": 3,
    }


def _lift_chart(main: ModelQuality) -> Component:
    return group_chart(
        ChartWords(
            title="Lift by probability",
            says="How many times as often leads of a range convert as all leads do; 1 is average.",
            y_title="lift",
            unit="times",
            name="lift",
            empty="No lead that is old enough has converted.",
        ),
        [
            MeasuredGroup(
                name=row.name.removesuffix(" %"),
                measures=(Measure(value=row.lift, n=row.came.n, as_of=row.came.as_of),),
            )
            for row in main.calibration
            if row.lift is not None
        ],
        ("lift",),
        of="probability in %",
    )


def _versions_table(qualities: Sequence[ModelQuality]) -> Component:
    rows = [
        (
            *(q.version, q.role, q.auc.value, interval_text(q.auc, "index"), q.expected_auc.value),
            *(q.holdout_auc.value, q.precision.value, q.recall.value, q.f1.value, q.brier.value),
            *(q.conversion.value, q.promised.value, q.auc.n),
        )
        for q in qualities
    ]
    numbers = ("AUC", "promised AUC", "AUC in training", "F1", "Brier")
    return table_block(
        PageTable(
            header=(
                *("version", "role", "AUC", "95 %", "promised AUC", "AUC in training"),
                *("precision", "recall", "F1", "Brier", "converted", "promised", "outcomes"),
            ),
            rows=rows,
            units={
                **dict.fromkeys(numbers, "index"),
                **dict.fromkeys(("precision", "recall", "converted", "promised"), "share"),
                "outcomes": "count",
            },
            name="versions",
            empty="No version scored a lead in this time.",
        ),
        caption="Champion and shadow versions beside each other",
    )


PAGE: Final = ConsolePage(
    path="/model",
    title="Model",
    group="Model",
    question="Does the model still rank leads, and mean its probabilities?",
    build=build,
    span="90d",
)
