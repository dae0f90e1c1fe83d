"""Run lengths, measured on streams that the levels were not simulated with; alarms, states and verdicts."""

from __future__ import annotations

import numpy as np
import pytest

from leadscore.drift.sequential.chart import (
    HistogramChart,
    HistogramDetector,
    HistogramState,
    design_chart,
)
from leadscore.drift.sequential.histograms import MEMORIES, HistogramLayout, faded, make_histogram
from leadscore.errors import BadInputError

BINS, REFERENCE, WINDOW = 8, 2_000, 200
ONE = make_histogram("budget", (REFERENCE // BINS,) * BINS, WINDOW, ordered=True)


@pytest.fixture(scope="module")
def chart() -> HistogramChart:
    return design_chart([ONE], window_rows=WINDOW, run_length=50)


def mean_run_length(chart: HistogramChart, streams: int, windows: int) -> float:
    """Windows per false alarm of fresh continuous references cut at their quantiles, each with a stream."""
    rng = np.random.default_rng(77)
    layout = HistogramLayout(chart.histograms, chart.memories)
    reference = np.sort(rng.random((streams, REFERENCE)), axis=1)
    cuts = reference[:, REFERENCE // BINS :: REFERENCE // BINS]
    ends = np.ones((streams, 1))
    truth = np.diff(np.concatenate([ends * 0, cuts, ends], axis=1), axis=1)
    means = np.broadcast_to(layout.shares, (streams, len(chart.memories), BINS)).copy()
    spread, watched, alarms = np.zeros(len(chart.memories)), 0, 0
    for window in range(1, windows + 1):
        shares = rng.multinomial(WINDOW, truth) / WINDOW
        means, spread = faded(means, spread, shares, WINDOW, layout.memories)
        silent = layout.surprise(means, spread).max(axis=(1, 2)) <= chart.boundary.at(window)
        watched += len(silent)
        alarms += int((~silent).sum())
        means, truth = means[silent], truth[silent]
    return watched / alarms


def test_achieved_run_length_is_the_requested_one(chart: HistogramChart) -> None:
    # 6,000 streams: standard error 1.3 %.
    assert mean_run_length(chart, streams=6_000, windows=250) == pytest.approx(50, rel=0.05)


def test_correlated_features_keep_the_run_length_when_leads_are_drawn_from_the_sample() -> None:
    # Levels for independent features would give half as much again.
    rng = np.random.default_rng(11)
    factor = 0.95

    def leads(*shape: int) -> np.ndarray:
        common = rng.standard_normal((*shape, 1))
        return factor * common + (1 - factor**2) ** 0.5 * rng.standard_normal((*shape, 12))

    ranks, rows = np.array([500, 1_000, 1_500]), 50
    histograms = [make_histogram(f"f{i}", (500,) * 4, rows, ordered=True) for i in range(12)]
    reference = leads(2_000)
    sample = (reference[:, None] >= np.sort(reference, axis=0)[ranks]).sum(axis=1)
    chart = design_chart(histograms, window_rows=rows, run_length=20, sample=sample)
    layout = HistogramLayout(chart.histograms, chart.memories)
    cuts = np.stack([np.sort(leads(2_000), axis=0)[ranks] for _ in range(700)])
    means = np.broadcast_to(layout.shares, (700, len(chart.memories), 48)).copy()
    spread, watched, alarms, window = np.zeros(len(chart.memories)), 0, 0, 0
    while len(cuts):
        window += 1
        cells = (leads(len(cuts), rows)[:, :, None] >= cuts[:, None]).sum(axis=2)
        shares = (cells[..., None] == np.arange(4)).mean(axis=1).reshape(len(cuts), -1)
        means, spread = faded(means, spread, shares, rows, layout.memories)
        silent = layout.loudest(means, spread) <= chart.boundary.at(window)
        watched, alarms = watched + len(silent), alarms + int((~silent).sum())
        means, cuts = means[silent], cuts[silent]
    # 700 streams: standard error 3.8 %.
    assert watched / alarms == pytest.approx(20, rel=0.12)


def test_same_seed_gives_the_same_levels(chart: HistogramChart) -> None:
    assert design_chart([ONE], window_rows=WINDOW, run_length=50) == chart


def test_a_moved_feature_is_found_and_named(chart: HistogramChart) -> None:
    detector = HistogramDetector(chart)
    state = detector.start()
    for _ in range(3):
        moved = [WINDOW // BINS - 8] * 4 + [WINDOW // BINS + 8] * 4
        step = detector.watch(state, [moved])
        state = step.state
        if step.alarm:
            break
    assert step.alarm
    (surprise,), (distance,) = step.surprises, step.distances
    assert surprise == step.statistic > step.level
    assert distance > 0.05
    assert step.memory in chart.memories
    assert step.state == detector.start()


def test_state_survives_a_restart_of_the_job(chart: HistogramChart) -> None:
    import msgspec

    detector = HistogramDetector(chart)
    counts = [[20, 30] * 4]
    one = detector.watch(detector.start(), counts)
    kept = msgspec.json.decode(msgspec.json.encode(one.state), type=HistogramState)
    again = HistogramDetector(msgspec.json.decode(msgspec.json.encode(chart), type=HistogramChart))
    assert again.watch(kept, counts) == detector.watch(one.state, counts)


def test_windows_of_other_sizes_are_weighed_by_their_rows(chart: HistogramChart) -> None:
    detector = HistogramDetector(chart)
    shape = np.array([30, 20] * 4)
    small = detector.watch(detector.start(), [shape.tolist()])
    large = detector.watch(detector.start(), [(10 * shape).tolist()])
    assert large.statistic > small.statistic


def test_a_new_category_alarms_and_is_named_as_such() -> None:
    histogram = make_histogram("source", (5_000, 5_000, 0), 100, ordered=False)
    detector = HistogramDetector(design_chart([histogram], window_rows=100, run_length=200))
    calm = detector.watch(detector.start(), [[52, 48, 0]])
    assert not calm.alarm
    step = detector.watch(calm.state, [[49, 46, 5]])
    assert step.alarm
    assert step.kinds == ("unseen",)


def test_a_window_without_rows_is_refused_and_not_taken_for_no_drift(chart: HistogramChart) -> None:
    detector = HistogramDetector(chart)
    with pytest.raises(BadInputError, match="at least one row"):
        detector.watch(detector.start(), [[0] * BINS])
    with pytest.raises(BadInputError, match="2 histograms"):
        detector.watch(detector.start(), [[1] * BINS] * 2)


def test_memories_outside_their_range_are_refused() -> None:
    with pytest.raises(BadInputError, match="memories"):
        design_chart([ONE], window_rows=WINDOW, run_length=50, memories=(0.0,))
    with pytest.raises(BadInputError, match="alarm at every window"):
        design_chart([ONE], window_rows=WINDOW, run_length=1.0, memories=MEMORIES)
