"""The chart of outcomes of `drift watch`.

The run length kept on unchanged streams, each with a reference of its own.
"""

from __future__ import annotations

import time

import msgspec
import numpy as np

from benchmarks.bench import FULL, Bench, Suite
from benchmarks.row import Row, at_most
from leadscore.drift.sequential.late_outcomes import fit_null
from leadscore.drift.watch.outcome_plan import OutcomeSample, design_outcomes, mature_reference, usual_wait
from leadscore.drift.watch.outcome_track import Charted, follow_outcomes
from leadscore.drift.watch.plan import OutcomePlan

# Evaluations of a run length, streams, and leads a day: of 20 all are charted, of 2,000 a share.
_ROWS = {
    "sequential-arl-outcomes-50": (50, 3_000, 20.0),
    "sequential-arl-outcomes-500": (500, 600, 20.0),
    "sequential-arl-outcomes-share": (50, 1_000, 2_000.0),
}
_REFERENCE, _WATCHED, _EVALUATIONS_PER_WAIT = 10_000, 3, 40
_DAY = 86_400_000_000


def _measure(bench: Bench, wanted: frozenset[str]) -> list[Row]:
    return [_row(bench, name, *_ROWS[name]) for name in _ROWS if name in wanted]


def _row(bench: Bench, name: str, evaluations: int, fresh: int, leads_per_day: float) -> Row:
    """Levels from one reference; every stream is read with a null fitted to another."""
    if bench.effort is not FULL:
        fresh //= 20
    bench.say(f"{name}: simulating levels")
    rng = np.random.default_rng(95)
    started = time.perf_counter()
    probabilities, sample = _reference(rng)
    plan = OutcomePlan.of(usual_wait(sample), leads_per_day)
    design = design_outcomes(
        probabilities,
        sample,
        plan,
        run_length=evaluations * plan.wait * leads_per_day / _EVALUATIONS_PER_WAIT,
        every=1,
    )
    designed = time.perf_counter() - started
    asked = design.chart.run_length
    watched, alarms = 0, 0
    for number in range(fresh):
        reference = mature_reference(*_reference(rng), plan.wait)
        null = fit_null(reference.probabilities, reference.converted, reference.days)
        chart = msgspec.structs.replace(design.chart, null=null)
        leads = _charted(rng, int(_WATCHED * asked) * design.every, leads_per_day * design.share)
        first = follow_outcomes(msgspec.structs.replace(design, chart=chart), leads).alarms.first
        watched += (len(leads.at) if first is None else first.lead) // design.every
        alarms += first is not None
        if number % 100 == 0:
            bench.say(f"{name}: {number:,} of {fresh:,} streams")
    ratio = watched / max(alarms, 1) / asked
    return Row(
        name=name,
        what=(
            "chart of outcomes, unchanged: distance of achieved / requested run length "
            f"from 1, {asked:,.0f} evaluations"
        ),
        value=abs(ratio - 1.0),
        unit="",
        goal=at_most(0.05),
        beside=f"achieved / requested {ratio:.3f}, standard error {ratio / np.sqrt(max(alarms, 1)):.3f}",
        how=(
            f"as `drift watch` designs and follows it: {fresh:,} fresh references of {_REFERENCE:,} leads "
            f"with a stream each, {leads_per_day:,.0f} leads a day of which {design.share:.2%} are "
            f"charted, evaluated every {design.every} leads, outcomes waited for {plan.wait:g} days, a model "
            f"that is not calibrated; levels simulated in {designed:.0f} s"
        ),
    )


def _reference(rng: np.random.Generator) -> tuple[np.ndarray, OutcomeSample]:
    said, converted, days = _leads(rng, _REFERENCE)
    return said, OutcomeSample(converted, days, np.full(_REFERENCE, 1_000.0))


def _charted(rng: np.random.Generator, rows: int, per_day: float) -> Charted:
    """Charted leads come evenly; the others are not made."""
    said, converted, days = _leads(rng, rows)
    at = (np.arange(rows) / per_day * _DAY).astype(np.int64)
    known = at + (days * _DAY).astype(np.int64)
    return Charted(np.arange(1, rows + 1), at, said, known, converted, np.zeros(rows, dtype=bool))


def _leads(rng: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores of a model whose log-odds are a little off, outcomes, and their delays: wins come in sooner."""
    logit = rng.normal(-2.3, 1.3, rows)
    converted = rng.random(rows) < 1 / (1 + np.exp(-logit))
    days = 14.0 * np.exp(rng.normal(size=rows)) * np.where(converted, 0.85, 1.025)
    return 1 / (1 + np.exp(-(0.15 + 0.9 * logit))), converted, days


SUITES = (Suite(tuple(_ROWS), _measure),)
