"""Sequential detectors: how soon they speak beside alibi-detect, KS and fixed PSI.

Delays are compared at equal achieved run length: alibi-detect's online detector is configured first, its run length
is measured on streams without change, and every other detector's cut is set, on such streams as well, to the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks import drift_delay as streams
from benchmarks.alibi_answer import alibi_answer
from benchmarks.bench import FULL, Bench, Suite
from benchmarks.report import Section
from benchmarks.row import Row, at_least
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
_MAGNITUDE = 0.5
_AFTER = 1_000
_CALM, _CHANGED = 300, 100
# The charts were developed on seeds 11, 12, 201, 202, 1000 to 1099, 5000 to 5019, 31_000 to 32_500, 71_000 to 71_799 and
# 75_000 to 75_039: these are others.
_WORLD, _FIRST_CALM, _FIRST_CHANGED = (401, 402), 91_000, 97_000
# In batches: all bootstraps at once take n_bootstraps x (reference + 99)^2 bytes.
_ALIBI: Options = {"ert": 1_000, "window_sizes": [50], "n_bootstraps": 9_500, "batch_size": 6, "seed": 1}
_CERTAIN = 2.0
_OURS, _ALIBI_NAME = "LeadScore", "alibi-detect CVMDriftOnline"

# Leads from the change to the alarm of each stream; None where the alarm came before the change.
Delays = list[int | None]


def _delay(bench: Bench, wanted: frozenset[str]) -> list[Row]:
    del wanted
    world = streams.World(_WORLD)
    calm_count, changed_count = (_CALM, _CHANGED) if bench.effort is FULL else (20, 3)
    calm = [world.stream(_AFTER, _FIRST_CALM + i) for i in range(calm_count)]
    changed = {
        name: [world.changed(name, _MAGNITUDE, _AFTER, _FIRST_CHANGED + i) for i in range(changed_count)]
        for name in _SCENARIOS
    }
    bench.say("delay: configuring and running alibi-detect's CVMDriftOnline")
    achieved, alibi, seconds = _alibi(world, calm, changed)
    found = {_ALIBI_NAME: alibi}
    by_design = float("nan")
    for name, look, make in (
        (_OURS, streams.LOOK, lambda: streams.ours(world, achieved)),
        ("KS per window", streams.WINDOW, lambda: streams.ks_per_window(world)),
        ("fixed PSI", streams.WINDOW, lambda: streams.fixed_psi(world)),
    ):
        bench.say(f"delay: {name}")
        detector = make()
        still = [detector(leads) for leads in calm]
        cut = streams.cut_for(still, achieved / look)
        if name == _OURS:
            by_design = streams.run_length(still, 0.0) * look
        found[name] = {
            scenario: [_looks_late(detector(leads), cut, look, at) for leads, at in pairs]
            for scenario, pairs in changed.items()
        }
    means = {name: {s: mean_and_error(d)[0] for s, d in delays.items()} for name, delays in found.items()}
    others = [name for name in found if name != _OURS]
    won = [s for s in _SCENARIOS if all(means[_OURS][s] < means[name][s] for name in others)]
    certain = [s for s in won if all(surely_sooner(found[_OURS][s], found[name][s]) for name in others)]
    bench.sections.append(_section(found, achieved))
    return [
        Row(
            name="drift-delay",
            what="scenarios of six in which the sequential charts are first, at equal achieved run length",
            value=float(len(won)),
            unit="",
            goal=at_least(5),
            beside=(
                f"first in {', '.join(won) or 'none'}; by more than {_CERTAIN:.0f} standard errors in {len(certain)};"
                f" with the charts' own levels the run length is {by_design:,.0f} leads"
            ),
            how=(
                f"{changed_count} streams per scenario and {calm_count} calm ones, of seeds that nothing was chosen on;"
                f" run length {achieved:,.0f} leads (alibi-detect was asked for {_ALIBI['ert']} and took"
                f" {seconds:.0f} s to configure)"
            ),
        )
    ]


def _alibi(
    world: streams.World,
    calm: Sequence[streams.Leads],
    changed: Mapping[ScenarioName, Sequence[tuple[streams.Leads, int]]],
) -> tuple[float, dict[ScenarioName, Delays], float]:
    """Achieved run length in leads, delays, and the seconds of its configuration."""
    pairs = [pair for name in _SCENARIOS for pair in changed[name]]
    watched = [leads.watched for leads in calm] + [leads.watched for leads, _ in pairs]
    result, _ = alibi_answer(
        "CVMDriftOnline", world.contract, world.reference.watched[:2_000], watched, _ALIBI
    )
    rows = [w.alarm_row for w in result.windows]
    alarms = sum(row is not None for row in rows[: len(calm)])
    achieved = sum(row or _AFTER for row in rows[: len(calm)]) / max(alarms, 1)
    delays = iter(rows[len(calm) :])
    late: dict[ScenarioName, Delays] = {}
    for name in _SCENARIOS:
        late[name] = [_late(next(delays), len(leads.time), at) for leads, at in changed[name]]
    return achieved, late, result.prepare_seconds


def _looks_late(figures: streams.Floats, cut: float, look: int, change: int) -> int | None:
    alarm = streams.first_alarm(figures, cut)
    return _late(alarm * look if alarm else None, len(figures) * look, change)


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
    """Whether the first is sooner by more than chance, on the streams in which both were silent until the change."""
    gained = [b - a for a, b in zip(ours, theirs, strict=True) if a is not None and b is not None]
    mean, error = mean_and_error(list(gained))
    return mean > _CERTAIN * error


def _section(found: Mapping[str, Mapping[ScenarioName, Delays]], achieved: float) -> Section:
    def cell(delays: Delays) -> str:
        mean, error = mean_and_error(delays)
        return f"{mean:,.0f} ± {error:,.0f}"

    names = tuple(found)
    return Section(
        title=f"Leads from a change to the alarm, all detectors at a run length of {achieved:,.0f} leads",
        columns=("scenario", *names),
        lines=tuple((s, *(cell(found[n][s]) for n in names)) for s in _SCENARIOS),
        note=(
            f"Mean ± standard error. Scenarios at magnitude {_MAGNITUDE}, eight features and the score,"
            f" {streams.LEADS_A_DAY} leads a day, windows of {streams.WINDOW} for KS and PSI, the others look after every lead; only the sequential charts read outcomes,"
            f" when they come. A stream without an alarm counts with its {_AFTER:,} leads; one with an alarm before the"
            " change does not count."
        ),
    )


SUITES = (Suite(("drift-delay",), _delay),)
