"""`drift watch --outcomes` on models that the product trained.

Run length, and delay beside the chart that asks all at 30 days.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np

from benchmarks.bench import FULL, Bench, Suite
from benchmarks.calibration_chart import (
    CalibrationChart,
    CalibrationPaths,
    start_calibration,
    watch_calibration,
)
from benchmarks.drift_delay import Floats, first_alarm
from benchmarks.row import Row, Section
from leadscore.data.synthetic import Scenario, ScenarioName, generate, synthetic_contract
from leadscore.data.tables import write_table
from leadscore.drift.sequential import simulate_boundary
from leadscore.drift.watch.outcome_plan import OutcomeDesign, OutcomeSample, design_outcomes, usual_wait
from leadscore.drift.watch.outcome_track import NEVER, Charted, follow_outcomes
from leadscore.drift.watch.plan import OutcomePlan
from leadscore.drift.watch.track import ChartEvaluation
from leadscore.monitoring.references import load_outcomes, load_sample
from leadscore.monitoring.streams import TableStream
from leadscore.scoring.model import ScoringModel
from leadscore.training.options import TrainOptions
from leadscore.training.pipeline import train

_NAME = "drift-watch-outcomes"
# Of a shop with 12,000 leads in nine months; the product's defaults choose six of them.
_TRAINED, _MONTHS, _LEADS_A_DAY = 12_000, 9, 12_000 / 274
_MODELS, _CALM, _CHANGED = 12, 40, 20
# 180 days asked of each chart, since features have the other half of the alarms of one in 90 days.
_BUDGET, _EVERY = 90.0, 250
_BURN_IN, _AFTER = 60, 240
_TRAIN_START, _START = datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 10, 2, tzinfo=UTC)
_SCENARIOS: tuple[tuple[ScenarioName, float], ...] = (
    ("prior_shift", 0.5),
    ("prior_shift", 1.0),
    ("concept_drift", 0.5),
    ("concept_drift", 1.0),
)
_OLD_AGE = 30
_DAY = 86_400_000_000
_NEW, _OLD = "evidence by arrival", "asked at 30 days"


@dataclass(frozen=True, slots=True)
class _Said:
    """What a chart that never starts anew shows of a model's stream.

    Excess over its level, and days from its beginning.
    """

    model: int
    excess: Floats
    days: Floats


def _measure(bench: Bench, wanted: frozenset[str]) -> list[Row]:
    if _NAME not in wanted:
        return []
    models, calm, changed = (_MODELS, _CALM, _CHANGED) if bench.effort is FULL else (1, 4, 2)
    quiet: dict[str, list[_Said]] = {_NEW: [], _OLD: []}
    moved: dict[tuple[str, ScenarioName, float], list[_Said]] = {}
    waits: list[float] = []
    at = _START + timedelta(days=_BURN_IN)
    for number in range(models):
        bench.say(f"{_NAME}: model {number + 1} of {models}")
        pair = _Pair(number, _trained(bench.folder / f"watched-{number}", number), bench.folder)
        waits.append(pair.design.wait)
        for stream in range(calm):
            for name, said in pair.read((), 1_000 * number + stream).items():
                quiet[name].append(said)
        for (scenario, magnitude), stream in itertools.product(_SCENARIOS, range(changed)):
            seed = 500_000 + 1_000 * number + stream
            for name, said in pair.read((Scenario(scenario, at, magnitude),), seed).items():
                moved.setdefault((name, scenario, magnitude), []).append(said)
    bench.sections.append(_delays(quiet, moved))
    kept = {name: _kept(said) for name, said in quiet.items()}
    asked = 2 * _BUDGET
    ratio, error = kept[_NEW][0] / asked, kept[_NEW][1] / asked
    old, old_error = kept[_OLD][0] / asked, kept[_OLD][1] / asked
    return [
        Row(
            name=_NAME,
            what=(
                "`drift watch --outcomes`, models that `train` made: achieved / requested run "
                f"length, {asked:g} days asked"
            ),
            value=ratio,
            unit="",
            goal=None,
            beside=(
                f"standard error over models {error:.3f}; the chart that asks all outcomes at {_OLD_AGE} "
                f"days {old:.3f} ± {old_error:.3f}"
            ),
            how=(
                f"{models} models and references, {calm} calm tables of {_BURN_IN + _AFTER} days each and "
                f"{changed} changed ones per scenario, {_LEADS_A_DAY:.0f} leads a day; outcomes waited for "
                f"{min(waits):g} to {max(waits):g} days"
            ),
        )
    ]


def _delays(
    quiet: Mapping[str, Sequence[_Said]], moved: Mapping[tuple[str, ScenarioName, float], Sequence[_Said]]
) -> Section:
    lines: list[tuple[str, ...]] = []
    cuts = {name: _cut(quiet[name]) for name in quiet}
    for change in (*_SCENARIOS, None):
        cells = ["nothing" if change is None else f"{change[0].replace('_', ' ')} {change[1]:g}"]
        for name in (_NEW, _OLD):
            streams = quiet[name] if change is None else moved[(name, *change)]
            cells += [_delay(streams, 0.0), _delay(streams, cuts[name])]
        lines.append(tuple(cells))
    heads = [f"{name}, {cut}" for name in (_NEW, _OLD) for cut in ("own levels", "equal run length")]
    return Section("Days from a change to the alarm of outcomes", ("change", *heads), tuple(lines))


class _Pair:
    """Both charts of a trained model."""

    def __init__(self, number: int, artefact: Path, folder: Path) -> None:
        self._number, self._model, self._folder = number, ScoringModel.load(artefact), folder
        sample = load_sample(artefact, self._model.contract)
        outcomes = load_outcomes(artefact, self._model.contract)
        assert sample is not None
        assert outcomes is not None
        p = self._model.score_rows(sample)
        self.design = designed(p, outcomes, usual_wait(outcomes))
        # Both charts see all leads.
        assert self.design.share == 1.0
        run_length = 2 * _BUDGET * _LEADS_A_DAY / self._every
        base = float(p.mean())
        old = CalibrationChart(run_length=run_length, centre=float(np.log(base / (1 - base))))
        boundary = simulate_boundary(
            CalibrationPaths(old, p, self._every, 2_000), run_length, np.random.default_rng(1)
        )
        self._old = msgspec.structs.replace(old, boundary=boundary)

    @property
    def _every(self) -> int:
        return int(_BUDGET * _LEADS_A_DAY / _EVERY)

    def read(self, scenarios: Sequence[Scenario], seed: int) -> Mapping[str, _Said]:
        """What both say of a table's leads with their outcomes."""
        days = _BURN_IN + _AFTER
        path = self._folder / "stream.parquet"
        end = _START + timedelta(days=days)
        leads = generate(
            rows=int(days * _LEADS_A_DAY),
            seed=seed,
            start=_START,
            months=days / (365.25 / 12),
            scenarios=scenarios,
            as_of=end,
        )
        write_table(leads, path)
        stream = TableStream(path, self._model)
        leads = stream.outcomes(0, _us(end), self.design.share, self.design.wait)
        return {_NEW: self._by_arrival(leads), _OLD: self._at_age(leads)}

    def _by_arrival(self, leads: Charted) -> _Said:
        endless = msgspec.structs.replace(self.design.chart, boundary=None, run_length=1e300)
        evaluations: list[ChartEvaluation] = []
        follow_outcomes(
            msgspec.structs.replace(self.design, chart=endless), leads, on_evaluation=evaluations.append
        )
        excess = [
            evaluation.statistic - self.design.chart.level(i)
            for i, evaluation in enumerate(evaluations, start=1)
        ]
        days = [(_us(evaluation.at) - _us(_START)) / _DAY for evaluation in evaluations]
        return _Said(self._number, np.array(excess), np.array(days))

    def _at_age(self, leads: Charted) -> _Said:
        kept = (leads.known != NEVER) & (leads.known - leads.at <= _OLD_AGE * _DAY)
        at, p, won = leads.at[kept], leads.probabilities[kept], leads.converted[kept]
        endless = msgspec.structs.replace(self._old, boundary=None, run_length=1e300)
        state, excess, days = start_calibration(endless), list[float](), list[float]()
        for end in range(self._every, len(at) + 1, self._every):
            when = int(at[end - 1]) + _OLD_AGE * _DAY - _us(_START)
            if when > (_BURN_IN + _AFTER) * _DAY:
                break
            piece = slice(end - self._every, end)
            step = watch_calibration(endless, state, won[piece], p[piece])
            state = step.state
            assert self._old.boundary is not None
            excess.append(step.statistic - self._old.boundary.at(state.window))
            days.append(when / _DAY)
        return _Said(self._number, np.array(excess), np.array(days))


def designed(probabilities: Floats, outcomes: OutcomeSample, wait: float) -> OutcomeDesign:
    """The chart of outcomes as `drift watch` designs it."""
    run_length = _BUDGET * _LEADS_A_DAY
    return design_outcomes(
        probabilities,
        outcomes,
        OutcomePlan.of(wait, _LEADS_A_DAY),
        run_length=2 * run_length,
        every=int(run_length / _EVERY),
    )


def _trained(folder: Path, seed: int) -> Path:
    leads = generate(rows=_TRAINED, seed=90_000 + seed, start=_TRAIN_START, months=_MONTHS, scenarios=())
    options = TrainOptions(name="crm", trials=1, folds=2, min_records=1_000, seed=seed, threads=1)
    return train(leads, synthetic_contract(), options, out=folder).directory


def _kept(streams: Sequence[_Said]) -> tuple[float, float]:
    """Days watched per alarm, each stream up to its first, and the standard error.

    Streams of one model share its reference, whose errors they all inherit: the error is that of models drawn
    anew (the delete-one-model jackknife), not of as many independent streams.
    """
    watched: defaultdict[int, float] = defaultdict(float)
    hits: defaultdict[int, int] = defaultdict(int)
    for said in streams:
        alarm = first_alarm(said.excess, 0.0)
        watched[said.model] += float(said.days[-1] if alarm is None else said.days[alarm - 1])
        hits[said.model] += alarm is not None
    models = sorted(watched)
    days, alarms = np.array([watched[m] for m in models]), np.array([hits[m] for m in models])
    without = (days.sum() - days) / np.maximum(alarms.sum() - alarms, 1)
    error = np.sqrt((len(models) - 1) * np.var(without)) if len(models) > 1 else float("nan")
    return float(days.sum() / max(alarms.sum(), 1)), float(error)


def _cut(streams: Sequence[_Said]) -> float:
    """What must be added to the levels to achieve the run length that was asked for."""
    low, high = -20.0, 60.0
    for _ in range(40):
        middle = (low + high) / 2
        shifted = [dataclasses.replace(said, excess=said.excess - middle) for said in streams]
        low, high = (middle, high) if _kept(shifted)[0] < 2 * _BUDGET else (low, middle)
    return high


def _delay(streams: Sequence[_Said], cut: float) -> str:
    """Mean days from the change to the alarm, with standard error.

    Those with an alarm before count for nothing: how many are left.
    """
    delays: list[float] = []
    for said in streams:
        alarm = first_alarm(said.excess, cut)
        day = float(said.days[alarm - 1]) if alarm else float(_BURN_IN + _AFTER)
        if day > _BURN_IN:
            delays.append(day - _BURN_IN)
    if not delays:
        return "–"
    return f"{np.mean(delays):.0f} ± {np.std(delays) / np.sqrt(len(delays)):.0f} ({len(delays)})"


def _us(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


SUITES = (Suite((_NAME,), _measure),)
