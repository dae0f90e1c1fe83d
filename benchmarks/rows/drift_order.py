"""Whether the order of time costs the histogram chart its run length.

Unchanged streams as they come, and with their leads shuffled.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.bench import FULL, Bench, Suite
from benchmarks.drift_charts import MEMORIES, ROWS_OF_RARE, chart_statistics, histogram_levels, levels_of
from benchmarks.drift_delay import Leads, World, run_length
from benchmarks.row import Row
from leadscore.drift.sequential.boundary import Boundary
from leadscore.drift.sequential.histograms import HistogramLayout, histograms_of
from leadscore.drift.watch.season import week_followers

_ROWS = {"sequential-order-628": 628, "sequential-order-4000": 4_000}
# The model and the reference of the delay rows; streams of their own.
_WORLD, _FIRST, _STREAMS, _LEADS = (1_601, 1_602), 450_000, 200, 4_000
_Codes = np.ndarray


def _measure(bench: Bench, wanted: frozenset[str]) -> list[Row]:
    world = World(_WORLD)
    count = _STREAMS if bench.effort is FULL else 10
    bench.say("order: streams")
    streams = [world.codes(world.stream(_LEADS, _FIRST + i)) for i in range(count)]
    leads = np.concatenate(streams)[np.random.default_rng(7).permutation(count * _LEADS)]
    shuffled = np.split(leads, count)
    sample = world.codes(world.reference)
    histograms = histograms_of(world.profile, ROWS_OF_RARE)
    names = [histogram.name for histogram in histograms]
    followers = week_followers(names, sample, _microseconds(world.reference))
    rows: list[Row] = []
    for name, asked in _ROWS.items():
        if name not in wanted:
            continue
        said: dict[str, tuple[float, float]] = {}
        for without in ((), followers):
            bench.say(f"{name}: levels without {', '.join(without) or 'nothing'}")
            columns = [i for i, each in enumerate(names) if each not in without]
            charted = [histograms[i] for i in columns]
            levels, layout = (
                histogram_levels(charted, sample[:, columns], asked),
                HistogramLayout(charted, MEMORIES),
            )
            for order, of in (("in order of time", streams), ("shuffled", shuffled)):
                label = f"{order}{', without them' if without else ''}"
                said[label] = _kept(layout, levels, [codes[:, columns] for codes in of])
        value, _ = said["in order of time, without them"]
        rows.append(
            Row(
                name=name,
                what=(
                    "histogram chart with its own levels, streams in order of time: leads to a "
                    f"false alarm, {asked:,} asked"
                ),
                value=value,
                unit="leads",
                goal=None,
                beside="; ".join(
                    f"{label} {mean:,.0f} ± {error:,.0f}" for label, (mean, error) in said.items()
                ),
                how=(
                    f"{count} unchanged streams of {_LEADS:,} leads, one reference and one model; left out "
                    "are features that follow the week, as `drift watch` leaves them out: "
                    f"{', '.join(followers) or 'none'}"
                ),
            )
        )
    return rows


def _kept(layout: HistogramLayout, levels: Boundary, streams: Sequence[_Codes]) -> tuple[float, float]:
    """Leads to an alarm and their standard error."""
    figures = [chart_statistics(layout, codes) - levels_of(levels, len(codes)) for codes in streams]
    alarms = sum(bool((of > 0.0).any()) for of in figures)
    mean = run_length(figures, 0.0)
    return mean, mean / np.sqrt(max(alarms, 1))


def _microseconds(leads: Leads) -> np.ndarray:
    return leads.time.astype("datetime64[us]").astype(np.int64)


SUITES = (Suite(tuple(_ROWS), _measure),)
