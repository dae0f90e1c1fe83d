"""The chart of late outcomes: the run length kept on unchanged streams, each with a reference of its own."""

from __future__ import annotations

import time

import msgspec
import numpy as np

from benchmarks.bench import FULL, Bench, Suite
from benchmarks.drift_charts import OUTCOME_LOOK, levels_of, outcome_statistics, reference_of
from benchmarks.drift_delay import LEADS_A_DAY, START, Leads, run_length
from benchmarks.row import Row, at_most
from leadscore.drift.sequential.late_outcomes import fit_null
from leadscore.drift.sequential.outcome_paths import design_outcome_chart

_ROWS = {"sequential-arl-outcomes-50": (50, 3_000), "sequential-arl-outcomes-500": (500, 2_000)}
_REFERENCE, _HORIZON, _WATCHED = 10_000, 150, 3


def _measure(bench: Bench, wanted: frozenset[str]) -> list[Row]:
    return [_row(bench, name, *_ROWS[name]) for name in _ROWS if name in wanted]


def _row(bench: Bench, name: str, looks: int, fresh: int) -> Row:
    """Levels from one reference; every stream is read with a null fitted to another."""
    if bench.effort is not FULL:
        fresh //= 20
    bench.say(f"{name}: simulating levels")
    rng = np.random.default_rng(95)
    started = time.perf_counter()
    chart = design_outcome_chart(
        reference_of(_leads(rng, _REFERENCE)),
        look_rows=OUTCOME_LOOK,
        look_days=OUTCOME_LOOK / LEADS_A_DAY,
        run_length=looks,
        horizon=_HORIZON,
    )
    designed = time.perf_counter() - started
    assert chart.boundary is not None
    levels = levels_of(chart.boundary, _WATCHED * looks)
    figures = []
    for number in range(fresh):
        reference = reference_of(_leads(rng, _REFERENCE))
        null = fit_null(reference.probabilities, reference.converted, reference.days)
        stream = _leads(rng, _WATCHED * looks * OUTCOME_LOOK)
        figures.append(outcome_statistics(msgspec.structs.replace(chart, null=null), stream) - levels)
        if number % 200 == 0:
            bench.say(f"{name}: {number:,} of {fresh:,} streams")
    alarms = sum(bool((of > 0.0).any()) for of in figures)
    ratio = run_length(figures, 0.0) / looks
    return Row(
        name=name,
        what=f"chart of late outcomes, unchanged: distance of achieved / requested run length from 1, {looks:,} looks",
        value=abs(ratio - 1.0),
        unit="",
        goal=at_most(0.05),
        beside=f"achieved / requested {ratio:.3f}, standard error {ratio / np.sqrt(alarms):.3f}",
        how=(
            f"{fresh:,} fresh references of {_REFERENCE:,} leads with a stream each, looks of {OUTCOME_LOOK} leads, a model"
            f" that is not calibrated, delays of a median of two weeks; levels simulated in {designed:.0f} s"
        ),
    )


def _leads(rng: np.random.Generator, rows: int) -> Leads:
    """Leads of a model whose log-odds are a little off, and whose wins come in sooner; 20 a day, evenly."""
    logit = rng.normal(-2.3, 1.3, rows)
    converted = rng.random(rows) < 1 / (1 + np.exp(-logit))
    days = 14.0 * np.exp(rng.normal(size=rows)) * np.where(converted, 0.85, 1.025)
    said = 1 / (1 + np.exp(-(0.15 + 0.9 * logit)))
    at = np.datetime64(START.replace(tzinfo=None), "ms") + _milliseconds(np.arange(rows) / LEADS_A_DAY)
    return Leads(said[:, None].astype(np.float32), converted, at, at + _milliseconds(days))


def _milliseconds(days: np.ndarray) -> np.ndarray:
    return (days * 86_400_000).astype("timedelta64[ms]")


SUITES = (Suite(tuple(_ROWS), _measure),)
