"""QT-EWMA charts: the run length kept on unchanged streams of one feature and of twelve that hang together.

Time to design.
"""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt

from benchmarks.bench import FULL, Bench, Suite
from benchmarks.row import Row, at_most
from leadscore.drift.sequential.chart import HistogramChart, design_chart
from leadscore.drift.sequential.histograms import HistogramLayout, HistogramPaths, faded, make_histogram

_RUN_LENGTHS = {
    "sequential-arl-50": (50, 6_000),
    "sequential-arl-500": (500, 4_000),
    "sequential-arl-5000": (5_000, 2_500),
}
_CORRELATED = "sequential-arl-correlated"
_DESIGN = "sequential-design-s"
_BINS, _REFERENCE, _ROWS = 8, 10_000, 200
# Correlated: features that share a normal factor, so that any two of them correlate with 0.9.
_FEATURES, _CORRELATION, _SMALL_REFERENCE, _SMALL_ROWS, _FRESH = 12, 0.9, 2_000, 100, 3_000

Floats = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float32]


def _run_length(bench: Bench, wanted: frozenset[str]) -> list[Row]:
    rows = [_one_feature(bench, name, *_RUN_LENGTHS[name]) for name in _RUN_LENGTHS if name in wanted]
    if _CORRELATED in wanted:
        rows.append(_correlated(bench))
    if _DESIGN in wanted:
        rows.append(_design(bench))
    return rows


def _one_feature(bench: Bench, name: str, windows: int, fresh: int) -> Row:
    """Fresh continuous references cut at their own quantiles, each with its own stream, until each alarms."""
    if bench.effort is not FULL:
        fresh //= 20
    bench.say(f"{name}: simulating levels")
    started = time.perf_counter()
    histogram = make_histogram("number", (_REFERENCE // _BINS,) * _BINS, _ROWS, ordered=True)
    sample = np.repeat(np.arange(_BINS), _REFERENCE // _BINS)[:, None]
    chart = design_chart([histogram], window_rows=_ROWS, run_length=windows, sample=sample)
    designed = time.perf_counter() - started
    rng = np.random.default_rng(99)
    streams = HistogramPaths(HistogramLayout(chart.histograms, chart.memories), _ROWS, fresh, rng)
    for index in range(fresh):
        cuts = np.sort(rng.random(_REFERENCE))[_REFERENCE // _BINS :: _REFERENCE // _BINS]
        streams.truth[index] = np.diff(np.concatenate([[0.0], cuts[: _BINS - 1], [1.0]]))
    watched = alarms = window = 0
    while len(streams.truth) and window < 6 * windows:
        window += 1
        silent = streams.step(rng) <= chart.boundary.at(window)
        watched, alarms = watched + len(silent), alarms + int((~silent).sum())
        streams.take(np.flatnonzero(silent))
        if window % 500 == 0:
            bench.say(f"{name}: window {window:,}, {len(streams.truth):,} streams are silent")
    what = (
        "QT-EWMA on unchanged streams: distance of achieved / requested run length "
        f"from 1, {windows:,} windows"
    )
    how = (
        f"{fresh:,} fresh references of {_REFERENCE:,} rows, windows of {_ROWS}; levels "
        f"simulated in {designed:.0f} s"
    )
    return _row(name, what, watched / alarms / windows, alarms, how)


def _correlated(bench: Bench) -> Row:
    """Fresh references and streams of raw numbers, every lead drawn.

    Nothing here is shared with the simulation.
    """
    windows, fresh = 50, _FRESH if bench.effort is FULL else _FRESH // 20
    bench.say(f"{_CORRELATED}: simulating levels")
    rng = np.random.default_rng(98)
    ranks = _SMALL_REFERENCE * np.arange(1, _BINS) // _BINS
    counts = np.diff([0, *ranks.tolist(), _SMALL_REFERENCE]).tolist()
    histograms = [make_histogram(f"number_{i}", counts, _SMALL_ROWS, ordered=True) for i in range(_FEATURES)]
    reference = _leads(rng, _SMALL_REFERENCE)
    cuts = np.sort(reference, axis=0)[ranks]
    sample = (reference[:, None, :] >= cuts).sum(axis=1)
    options = {"window_rows": _SMALL_ROWS, "run_length": windows}
    started = time.perf_counter()
    chart = design_chart(histograms, sample=sample, **options)
    designed = time.perf_counter() - started
    independent = design_chart(histograms, **options)
    bench.say(
        f"{_CORRELATED}: {fresh:,} streams under the levels of the sample, then of independent features"
    )
    watched, alarms = _watched(chart, ranks, fresh)
    without = _watched(independent, ranks, fresh)
    return _row(
        _CORRELATED,
        f"the same for {_FEATURES} features of which any two correlate with "
        f"{_CORRELATION}, {windows} windows",
        watched / alarms / windows,
        alarms,
        f"{fresh:,} fresh references of {_SMALL_REFERENCE:,} rows, windows of {_SMALL_ROWS}; levels "
        f"simulated in {designed:.0f} s; levels for independent features achieve "
        f"{without[0] / without[1] / windows:.3f}",
    )


def _design(bench: Bench) -> Row:
    """Levels for as many features as a CRM has, half of them categories down to four leads in 10,000."""
    features, windows, rows = 28, 60, 500
    bench.say(f"{_DESIGN}: simulating levels")
    rng = np.random.default_rng(96)
    leads = 0.6 * rng.normal(size=(_REFERENCE, 1)) + 0.8 * rng.normal(size=(_REFERENCE, features))
    even, uneven = np.arange(1, 10) / 10, 1 - np.geomspace(0.7, 0.0004, 9)
    codes = np.empty(leads.shape, dtype=np.intp)
    histograms = []
    for i, column in enumerate(leads.T):
        codes[:, i] = np.searchsorted(np.quantile(column, even if i % 2 else uneven), column)
        counts = [*np.bincount(codes[:, i], minlength=10).tolist(), 0]
        histograms.append(make_histogram(f"number_{i}", counts, rows, ordered=bool(i % 2), missing=True))
    started, worked = time.perf_counter(), time.process_time()
    design_chart(histograms, window_rows=rows, run_length=windows, sample=codes)
    took, worked = time.perf_counter() - started, time.process_time() - worked
    return Row(
        name=_DESIGN,
        what=f"seconds to simulate a chart's levels from a reference sample, {features} features",
        value=took,
        unit="s",
        goal=at_most(30.0),
        beside=f"{worked:.1f} s of processor time",
        how=f"run length {windows} windows of {rows} rows, 2,000 streams, {_REFERENCE:,} reference rows",
    )


def _watched(chart: HistogramChart, ranks: npt.NDArray[np.intp], fresh: int) -> tuple[int, int]:
    """Windows watched and alarms of streams with a reference each, until all have alarmed."""
    rng = np.random.default_rng(97)
    layout = HistogramLayout(chart.histograms, chart.memories)
    cuts = np.stack([np.sort(_leads(rng, _SMALL_REFERENCE), axis=0)[ranks] for _ in range(fresh)])
    means = np.broadcast_to(layout.shares, (fresh, len(layout.memories), len(layout.shares))).copy()
    spread, watched, alarms, window = np.zeros(len(layout.memories)), 0, 0, 0
    while len(cuts):
        window += 1
        leads = _leads(rng, len(cuts), _SMALL_ROWS)
        above = np.stack([(leads >= cuts[:, i, None, :]).sum(axis=1) for i in range(cuts.shape[1])], axis=2)
        ends = [np.full((*above.shape[:2], 1), _SMALL_ROWS), above, np.zeros((*above.shape[:2], 1))]
        shares = -np.diff(np.concatenate(ends, axis=2), axis=2).reshape(len(cuts), -1) / _SMALL_ROWS
        means, spread = faded(means, spread, shares, _SMALL_ROWS, layout.memories)
        silent = layout.loudest(means, spread) <= chart.boundary.at(window)
        watched, alarms = watched + len(silent), alarms + int((~silent).sum())
        means, cuts = means[silent], cuts[silent]
    return watched, alarms


def _leads(rng: np.random.Generator, *shape: int) -> Matrix:
    """Normal features with a common factor, (*shape, features)."""
    factor = rng.standard_normal((*shape, 1), dtype=np.float32)
    own = rng.standard_normal((*shape, _FEATURES), dtype=np.float32)
    return np.float32(_CORRELATION**0.5) * factor + np.float32((1 - _CORRELATION) ** 0.5) * own


def _row(name: str, what: str, ratio: float, alarms: int, how: str) -> Row:
    return Row(
        name=name,
        what=what,
        value=abs(ratio - 1.0),
        unit="",
        goal=at_most(0.05),
        beside=f"achieved / requested {ratio:.3f}, standard error {1 / np.sqrt(alarms):.3f}",
        how=how,
    )


SUITES = (Suite((*_RUN_LENGTHS, _CORRELATED, _DESIGN), _run_length),)
