"""Sequential detectors: the run length they keep, and how soon they speak beside alibi-detect, KS and fixed PSI.

Delays are compared at equal achieved run length: alibi-detect's online detector is configured first, its run length
is measured on streams without change, and every other detector's cut is set, on such streams as well, to the same.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks import drift_delay as streams
from benchmarks.bench import FULL, Bench, Suite
from benchmarks.report import Section
from benchmarks.row import Row, at_least, at_most
from leadscore.data.synthetic import ScenarioName

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
_CALM, _CHANGED = 120, 40
# The charts' looks and memories were chosen on seeds 11, 12, 1000 to 1099 and 5000 to 5019: these are others.
_WORLD, _FIRST_CALM, _FIRST_CHANGED = (201, 202), 71_000, 75_000
# In batches: all bootstraps at once take n_bootstraps x (reference + 99)^2 bytes.
_ALIBI = {"ert": 1_000, "window_sizes": [50], "n_bootstraps": 9_500, "batch_size": 6, "seed": 1}
_CERTAIN = 2.0
_OURS, _ALIBI_NAME = "LeadScore", "alibi-detect CVMDriftOnline"
_RUN_LENGTHS = {
    "sequential-arl-50": (50, 6_000),
    "sequential-arl-500": (500, 4_000),
    "sequential-arl-5000": (5_000, 2_500),
}

# Leads from the change to the alarm of each stream; None where the alarm came before the change.
Delays = list[int | None]


def _run_length(bench: Bench, wanted: frozenset[str]) -> list[Row]:
    chosen = [name for name in _RUN_LENGTHS if name in wanted]
    return [_kept(bench, name, *_RUN_LENGTHS[name]) for name in chosen]


def _kept(bench: Bench, name: str, windows: int, fresh: int) -> Row:
    """Fresh continuous references cut at their own quantiles, each with a stream of its own, until each alarms."""
    from leadscore.drift.sequential_chart import design_chart  # noqa: PLC0415
    from leadscore.drift.sequential_histograms import (  # noqa: PLC0415
        HistogramPaths,
        Layout,
        make_histogram,
    )

    bins, reference, rows = 8, 10_000, 200
    if bench.effort is not FULL:
        fresh //= 20
    bench.say(f"{name}: simulating levels")
    started = time.perf_counter()
    histogram = make_histogram("number", (reference // bins,) * bins, rows, ordered=True)
    chart = design_chart([histogram], window_rows=rows, run_length=windows)
    designed = time.perf_counter() - started
    rng = np.random.default_rng(99)
    streams_ = HistogramPaths(Layout(chart.histograms, chart.memories), rows, fresh, rng)
    for index in range(fresh):
        cuts = np.sort(rng.random(reference))[reference // bins :: reference // bins]
        streams_.truth[index] = np.diff(np.concatenate([[0.0], cuts[: bins - 1], [1.0]]))
    watched = alarms = window = 0
    while len(streams_.truth) and window < 6 * windows:
        window += 1
        silent = streams_.step(rng) <= chart.boundary.at(window)
        watched, alarms = watched + len(silent), alarms + int((~silent).sum())
        streams_.take(np.flatnonzero(silent))
        if window % 500 == 0:
            bench.say(f"{name}: window {window:,}, {len(streams_.truth):,} streams are silent")
    ratio = watched / alarms / windows
    return Row(
        name=name,
        what=f"QT-EWMA on unchanged streams: distance of achieved / requested run length from 1, {windows:,} windows",
        value=abs(ratio - 1.0),
        unit="",
        goal=at_most(0.05),
        beside=f"achieved / requested {ratio:.3f}, standard error {1 / np.sqrt(alarms):.3f}",
        how=f"{fresh:,} fresh references of {reference:,} rows, windows of {rows}; levels simulated in {designed:.0f} s",
    )


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
    windows = achieved / streams.WINDOW
    found = {_ALIBI_NAME: alibi}
    by_design = float("nan")
    for name, make in (
        (_OURS, lambda: streams.ours(world, windows)),
        ("KS per window", lambda: streams.ks_per_window(world)),
        ("fixed PSI", lambda: streams.fixed_psi(world)),
    ):
        bench.say(f"delay: {name}")
        detector = make()
        still = [detector(leads) for leads in calm]
        cut = streams.cut_for(still, windows)
        if name == _OURS:
            by_design = streams.run_length(still, 0.0) * streams.WINDOW
        found[name] = {
            scenario: [_windows_late(detector(leads), cut, at) for leads, at in pairs]
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
    from leadscore.drift.alibi import run_alibi  # noqa: PLC0415

    pairs = [pair for name in _SCENARIOS for pair in changed[name]]
    watched = [leads.watched for leads in calm] + [leads.watched for leads, _ in pairs]
    result = run_alibi(
        "CVMDriftOnline", world.contract, world.reference.watched[:2_000], watched, dict(_ALIBI)
    )
    rows = [w.alarm_row for w in result.windows]
    alarms = sum(row is not None for row in rows[: len(calm)])
    achieved = sum(row or _AFTER for row in rows[: len(calm)]) / max(alarms, 1)
    delays = iter(rows[len(calm) :])
    late: dict[ScenarioName, Delays] = {}
    for name in _SCENARIOS:
        late[name] = [_late(next(delays), len(leads.time), at) for leads, at in changed[name]]
    return achieved, late, result.prepare_seconds


def _windows_late(figures: streams.Floats, cut: float, change: int) -> int | None:
    alarm = streams.first_alarm(figures, cut)
    return _late(alarm * streams.WINDOW if alarm else None, len(figures) * streams.WINDOW, change)


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
            f" {streams.LEADS_A_DAY} leads a day, windows of {streams.WINDOW}; only the sequential charts read outcomes,"
            f" when they come. A stream without an alarm counts with its {_AFTER:,} leads; one with an alarm before the"
            " change does not count."
        ),
    )


SUITES = (Suite(tuple(_RUN_LENGTHS), _run_length), Suite(("drift-delay",), _delay))
