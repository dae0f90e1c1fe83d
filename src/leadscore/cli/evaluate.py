"""`leadscore evaluate`: how good a model is on labelled leads, as a whole or month by month."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table

from leadscore.cli.options import JsonOption
from leadscore.cli.output import emit, table
from leadscore.settings import Home

if TYPE_CHECKING:
    from leadscore.intervals import Estimate
    from leadscore.training.monthly import PeriodMetrics, PeriodPerformance

_COLUMNS = ("period", "leads", "converted", "said", "came", "AUC", "Brier", "ECE", "lift", "capture", "note")


def evaluate(
    data: Annotated[
        Path, typer.Option("--data", help="Labelled leads: CSV, Parquet, Arrow or a Delta folder.")
    ],
    model: Annotated[str, typer.Option("--model", help="NAME, NAME@champion, NAME/7 or an artefact folder.")],
    by: Annotated[Literal["month"] | None, typer.Option("--by", help="Also per month.")] = None,
    capacity: Annotated[
        float, typer.Option(min=0.001, max=0.9, help="Share of leads that counts as the top.")
    ] = 0.10,
    as_json: JsonOption = False,
) -> None:
    """Measure a model on labelled leads: ranking, calibration, lift, with 95 % intervals."""
    from leadscore.data.tables import read_table
    from leadscore.registry.store import ModelRegistry
    from leadscore.scoring.artefact import MANIFEST
    from leadscore.scoring.model import ScoringModel
    from leadscore.training.monthly import measure_performance

    folder = Path(model)
    if not (folder / MANIFEST).is_file():
        folder = ModelRegistry(Home.from_environment()).fetch(model)
    scorer = ScoringModel.load(folder)
    performance = measure_performance(
        scorer,
        read_table(data),
        by_month=by == "month",
        capacity=capacity,
        trained_until=_trained_until(folder),
    )
    document = {"model": model, "digest": scorer.digest, "capacity": capacity, "performance": performance}
    emit(document, _view(model, performance), as_json=as_json)


def _trained_until(folder: Path) -> str | None:
    """Where the training window of an artefact ends.

    None if it does not say, or was trained on later leads, too.
    """
    from leadscore.scoring.artefact import METRICS
    from leadscore.training.evidence import TrainingEvidence

    path = folder / METRICS
    if not path.is_file():
        return None
    window = TrainingEvidence.from_json(path.read_bytes()).window
    return None if window.recent else window.calibration_start


def _view(model: str, performance: PeriodPerformance) -> Table:
    rows = [_row(period) for period in (*performance.periods, performance.overall)]
    aside = " of months not trained on" if any(p.trained_on for p in performance.periods) else ""
    mean = "" if performance.mean_auc is None else f", mean monthly AUC{aside} {performance.mean_auc:.3f}"
    return table(f"{model}{mean}", _COLUMNS, rows, right=_COLUMNS[1:-1])


def _row(period: PeriodMetrics) -> tuple[object, ...]:
    counts = (period.period, f"{period.leads:,}", f"{period.positives:,}")
    found = period.evaluation
    if found is None:
        return (*counts, *[None] * 7, period.note)
    without = f"{period.leads - period.labelled:,} without outcome" if period.labelled < period.leads else ""
    note = period.note or without
    figures = found.estimates
    return (
        *counts,
        f"{found.mean_probability:.1%}",
        f"{found.base_rate:.1%}",
        _interval(figures.auc),
        f"{figures.brier.value:.4f}",
        f"{figures.ece.value:.3f}",
        f"{figures.lift.value:.2f}",
        f"{figures.capture.value:.1%}",
        note,
    )


def _interval(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} ({estimate.low:.3f}-{estimate.high:.3f})"
