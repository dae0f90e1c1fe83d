"""Sequential detectors: how soon they speak beside alibi-detect, KS and fixed PSI, at equal run length.

A detector that alarms more often is always sooner, so every detector's cut is set to the same run length
on streams without change. What is compared is a grid: the run length that alibi-detect achieved when
asked for 1,000 leads (314), one at which people could live with the alarms (2,000 leads: a hundred days),
and each scenario at half and at full magnitude.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks import drift_charts, drift_contenders
from benchmarks import drift_delay as streams
from benchmarks.alibi_answer import alibi_answer
from benchmarks.bench import FULL, Bench, Suite
from benchmarks.errors import BenchError
from benchmarks.row import Row, Section, at_least
from leadscore.data.synthetic import ScenarioName
from leadscore.drift.multivariate.alibi import Options

_SCENARIOS: tuple[ScenarioName, ...] = (
    "covariate_shift",
    "new_categories",
    "missingness",
    "prior_shift",
    "concept_drift",
    "pipeline_bug",
)
_CONTROL = "nothing (control)"
# Fixed before any of them was looked at on the seeds below.
_GRID: dict[str, tuple[int, float]] = {
    "drift-delay": (314, 0.5),
    "drift-delay-strong": (314, 1.0),
    "drift-delay-2000": (2_000, 0.5),
    "drift-delay-2000-strong": (2_000, 1.0),
}
_MAGNITUDES = (0.5, 1.0)
_AFTER, _CALM_ROWS = 2_000, 4_000
_CALM, _CHANGED = 200, 60
# The charts were developed on worlds 11, 12, 201, 202, 401, 402 and streams from 1000 to 97_100, 310_000 and
# 330_000 on: these are others, and were looked at once.
_WORLD, _FIRST_CALM, _FIRST_CHANGED = (1_601, 1_602), 410_000, 430_000
# Enough for alarms to come at all: only its statistic is compared with ours.
_ALIBI: Options = {"ert": 150, "window_sizes": [50], "n_bootstraps": 1_500, "batch_size": 6, "seed": 1}
_ALIKE, _ASKED = 1e-3, 10
_CERTAIN = 2.0
_OURS, _ALIBI_NAME = "LeadScore", "alibi-detect CVMDriftOnline"

# Leads from the change to the alarm of each stream; None where the alarm came before the change.
Delays = list[int | None]
Changed = list[tuple[streams.Leads, int]]
Key = tuple[str, float]


def _delay(bench: Bench, wanted: frozenset[str]) -> list[Row]:
    world = streams.World(_WORLD)
    calm_count, changed_count = (_CALM, _CHANGED) if bench.effort is FULL else (20, 3)
    bench.say("delay: streams")
    calm = [world.stream(_CALM_ROWS, _FIRST_CALM + i) for i in range(calm_count)]
    changed = {
        (name, magnitude): [
            world.changed(name, magnitude, _AFTER, _FIRST_CHANGED + i) for i in range(changed_count)
        ]
        for magnitude in _MAGNITUDES
        for name in _SCENARIOS
    }
    agreed = _same_as_alibi(bench, world, calm)
    found = {
        name: _figures(bench, name, make(world), calm, changed)
        for name, make in (
            (_ALIBI_NAME, drift_contenders.alibi_statistic),
            ("KS per window", drift_contenders.ks_per_window),
            ("fixed PSI", drift_contenders.fixed_psi),
        )
    }
    bench.say(f"delay: {_OURS}")
    charts = drift_charts.Charts(world)
    still = [charts.statistics(leads) for leads in calm]
    said = {key: [charts.statistics(leads) for leads, _ in pairs] for key, pairs in changed.items()}
    rows: list[Row] = []
    for run_length in sorted({length for length, _ in _GRID.values()}):
        points = {name: at for name, at in _GRID.items() if at[0] == run_length and name in wanted}
        if not points:
            continue
        bench.say(f"delay: levels for a run length of {run_length:,} leads")
        levels = charts.levels(run_length)
        own = (
            [drift_charts.excess(one, levels) for one in still],
            {key: [drift_charts.excess(one, levels) for one in several] for key, several in said.items()},
        )
        by_design = streams.run_length(own[0], 0.0)
        delays = {
            name: _delays(figures, run_length, changed) for name, figures in {_OURS: own, **found}.items()
        }
        for name, (_, magnitude) in points.items():
            bench.sections.append(_section(delays, run_length, magnitude))
            how = (
                f"{changed_count} streams per scenario and {calm_count} calm ones, of seeds that nothing "
                f"was chosen on; alibi-detect's statistic agrees with its own code to {agreed:.0e}"
            )
            rows.append(_row(name, delays, (run_length, magnitude), by_design, how))
    return rows


def _figures(
    bench: Bench,
    name: str,
    detector: streams.Detector,
    calm: Sequence[streams.Leads],
    changed: Mapping[Key, Changed],
) -> tuple[list[streams.Floats], dict[Key, list[streams.Floats]]]:
    """The detector's figures on unchanged streams, and on changed ones."""
    bench.say(f"delay: {name}")
    still = [detector(leads) for leads in calm]
    return still, {key: [detector(leads) for leads, _ in pairs] for key, pairs in changed.items()}


def _delays(
    figures: tuple[list[streams.Floats], dict[Key, list[streams.Floats]]],
    run_length: int,
    changed: Mapping[Key, Changed],
) -> dict[Key, Delays]:
    """Delays with the cut that gives the run length.

    Those of the control are of unchanged streams from the burn-in on.
    """
    calm, others = figures
    evaluation = streams.WINDOW if len(calm[0]) * streams.WINDOW <= _CALM_ROWS else 1
    cut = streams.cut_for(calm, run_length / evaluation)
    found: dict[Key, Delays] = {
        key: [
            _leads_late(f, cut, evaluation, at) for f, (_, at) in zip(of_streams, changed[key], strict=True)
        ]
        for key, of_streams in others.items()
    }
    rows = (_AFTER + streams.BURN_IN) // evaluation
    control = [_leads_late(f[:rows], cut, evaluation, streams.BURN_IN) for f in calm]
    return {**found, **{(_CONTROL, magnitude): control for magnitude in _MAGNITUDES}}


def _same_as_alibi(bench: Bench, world: streams.World, calm: Sequence[streams.Leads]) -> float:
    """Largest difference of our form of alibi-detect's statistic from its own, at its alarms.

    Raises:
        BenchError: They are not the same.
    """
    bench.say("delay: asking alibi-detect for its own figures")
    detector = drift_contenders.alibi_statistic(world)
    asked = calm[:_ASKED]
    reference = world.reference.watched[: drift_contenders.ALIBI_REFERENCE]
    answer, _ = alibi_answer(
        "CVMDriftOnline", world.contract, reference, [leads.watched for leads in asked], _ALIBI
    )
    worst = 0.0
    for leads, said in zip(asked, answer.windows, strict=True):
        row = (said.alarm_row or len(leads.time)) - 1
        worst = max(worst, abs(float(detector(leads)[row]) - max(said.distances)))
    if not worst < _ALIKE:
        raise BenchError(f"alibi-detect's statistic differs from ours by {worst:g}.")
    return worst


def _row(
    name: str,
    delays: Mapping[str, Mapping[Key, Delays]],
    point: tuple[int, float],
    by_design: float,
    how: str,
) -> Row:
    run_length, magnitude = point
    means = {d: {s: mean_and_error(of[s, magnitude])[0] for s in _SCENARIOS} for d, of in delays.items()}
    others = [d for d in delays if d != _OURS]
    won = [s for s in _SCENARIOS if all(means[_OURS][s] < means[d][s] for d in others)]
    own = delays[_OURS]
    certain = [
        s for s in won if all(surely_sooner(own[s, magnitude], delays[d][s, magnitude]) for d in others)
    ]
    return Row(
        name=name,
        what=(
            "scenarios of six in which the sequential charts are first, at equal run length:"
            f" {run_length:,} leads, magnitude {magnitude}"
        ),
        value=float(len(won)),
        unit="",
        goal=at_least(5),
        beside=(
            f"first in {', '.join(won) or 'none'}; by more than {_CERTAIN:.0f} standard errors in "
            f"{len(certain)}; with the charts' own levels the run length is {by_design:,.0f} leads"
        ),
        how=how,
    )


def _leads_late(figures: streams.Floats, cut: float, evaluation: int, change: int) -> int | None:
    alarm = streams.first_alarm(figures, cut)
    return _late(alarm * evaluation if alarm else None, len(figures) * evaluation, change)


def _late(alarm: int | None, length: int, change: int) -> int | None:
    """Leads from the change to the alarm; the rest of the stream without one; None for an alarm before it."""
    row = alarm or length
    return row - change if row > change else None


def mean_and_error(delays: Delays) -> tuple[float, float]:
    """Mean and its standard error over the streams that were silent until the change."""
    counted = np.array([delay for delay in delays if delay is not None], dtype=np.float64)
    if len(counted) < 2:
        return float("nan"), float("nan")
    return float(counted.mean()), float(counted.std(ddof=1) / np.sqrt(len(counted)))


def surely_sooner(ours: Delays, theirs: Delays) -> bool:
    """Whether the first is sooner by more than chance, on streams on which both were silent until then."""
    gained = [b - a for a, b in zip(ours, theirs, strict=True) if a is not None and b is not None]
    mean, error = mean_and_error(list(gained))
    return mean > _CERTAIN * error


def _section(delays: Mapping[str, Mapping[Key, Delays]], run_length: int, magnitude: float) -> Section:
    def cell(of: Delays) -> str:
        mean, error = mean_and_error(of)
        return f"{mean:,.0f} ± {error:,.0f}"

    names = tuple(delays)
    return Section(
        title=f"Leads from a change to the alarm: run length {run_length:,} leads, magnitude {magnitude}",
        columns=("scenario", *names),
        lines=tuple((s, *(cell(delays[n][s, magnitude]) for n in names)) for s in (*_SCENARIOS, _CONTROL)),
        note=(
            f"Mean ± standard error. Eight features and the score, {streams.LEADS_A_DAY} leads a day, "
            f"windows of {streams.WINDOW} for KS and PSI, alibi-detect and the charts are evaluated "
            "after every lead; only the charts read outcomes, when they come. A stream without an alarm "
            f"counts with its {_AFTER:,} leads; one with an alarm before the change does not count. "
            "Control: the same clock on streams that do not change."
        ),
    )


SUITES = (Suite(tuple(_GRID), _delay),)
