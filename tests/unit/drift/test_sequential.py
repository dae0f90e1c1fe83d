"""Run lengths, measured on streams that the levels were not simulated with."""

from __future__ import annotations

import numpy as np
import pytest

from leadscore.drift.sequential import Boundary, simulate_boundary, upper_quantile
from leadscore.drift.sequential_calibration import (
    CalibrationChart,
    CalibrationPaths,
    start_calibration,
    watch_calibration,
)
from leadscore.drift.sequential_chart import (
    HistogramChart,
    HistogramDetector,
    HistogramState,
    chart_verdict,
    design_chart,
)
from leadscore.drift.sequential_histograms import MEMORIES, Layout, Look, faded, histograms_of, make_histogram
from leadscore.drift.sequential_sample import WindowPool, drawn_truths, flat_cells
from leadscore.drift.verdict import as_utc
from leadscore.errors import BadInputError
from leadscore.scoring.profile import FeatureProfile, ReferenceProfile

BINS, REFERENCE, WINDOW = 8, 2_000, 200
ONE = make_histogram("budget", (REFERENCE // BINS,) * BINS, WINDOW, ordered=True)


@pytest.fixture(scope="module")
def chart() -> HistogramChart:
    return design_chart([ONE], window_rows=WINDOW, run_length=50)


def mean_run_length(chart: HistogramChart, streams: int, windows: int) -> float:
    """Windows per false alarm of fresh continuous references cut at their quantiles, each with its own stream."""
    rng = np.random.default_rng(77)
    layout = Layout(chart.histograms, chart.memories)
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
    layout = Layout(chart.histograms, chart.memories)
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


@pytest.mark.parametrize("rows", [3, 25, 700])
def test_pooled_windows_have_the_sample_s_shares_and_covariance(rows: int) -> None:
    rng = np.random.default_rng(12)
    first = rng.choice(3, 500, p=[0.7, 0.2, 0.1])
    second = np.where(rng.random(500) < 0.8, first, rng.choice(3, 500))
    cells = np.stack([first, second + 3], axis=1)
    windows = WindowPool(cells, 6, rows, rng).draw(60_000, rng)
    single = np.zeros((500, 6))
    np.put_along_axis(single, cells, 1.0, axis=1)
    assert (windows[:, :3].sum(axis=1) == rows).all()
    assert windows.mean(axis=0) / rows == pytest.approx(single.mean(axis=0), abs=0.01)
    assert np.cov(windows.T) / rows == pytest.approx(np.cov(single.T, bias=True), abs=0.01)


def test_what_the_reference_leaves_open_is_drawn_as_wide_as_its_rows_allow() -> None:
    # The sample is a part of the reference: the truth errs by the reference's rows, about the reference's shares.
    histogram = make_histogram("source", (12_000, 8_000, 0), 100, ordered=False)
    layout = Layout([histogram], MEMORIES)
    sample = np.array([0] * 550 + [1] * 450)[:, None]
    truth = drawn_truths(layout, flat_cells(layout, sample), 4_000, np.random.default_rng(13))
    assert truth[:, :2].mean(axis=0) == pytest.approx([0.6, 0.4], abs=0.001)
    assert truth[:, 0].std() == pytest.approx((0.55 * 0.45 / 20_000) ** 0.5, rel=0.05)
    assert (truth[:, 2] == 0.0).all()


def test_cells_never_seen_have_the_share_of_cells_seen_once() -> None:
    never = Layout([make_histogram("source", (900, 100, 0, 0), 100, ordered=False)], MEMORIES)
    assert never.weights.tolist() == [900.5, 100.5, 0.0, 0.0]
    once = Layout([make_histogram("source", (998, 1, 1, 0, 0), 100, ordered=False)], MEMORIES)
    assert once.weights.tolist() == [998.5, 1.5, 1.5, 1.0, 1.0]


def test_the_loudest_surprise_is_the_largest_of_all() -> None:
    histograms = [
        make_histogram("number", (250,) * 4, 100, ordered=True, missing=False),
        make_histogram("source", (600, 380, 15, 5, 0, 0), 10, ordered=False, missing=True),
    ]
    layout = Layout(histograms, MEMORIES)
    rng = np.random.default_rng(14)
    parts = [rng.dirichlet(50 * layout.shares[piece], (40, len(MEMORIES))) for piece in layout.slices]
    means, spread = np.concatenate(parts, axis=-1), np.array([0.0002, 0.001, 0.01])
    all_of_them = layout.surprise(means, spread).max(axis=(1, 2))
    assert layout.loudest(means, spread) == pytest.approx(all_of_them, rel=1e-12)


def test_a_mean_rank_finds_a_creeping_feature_that_its_shape_hides() -> None:
    layout = Layout([make_histogram("budget", (1_000,) * 10, 500, ordered=True)], (1.0,))
    creeping = layout.shares * (1 + 0.15 * np.linspace(-1, 1, 10))
    shape, shift = layout.surprise(creeping[None, :], np.array([1 / 500]))[0]
    assert [look.kind for _, look in layout.looks] == ["shape", "shift"]
    assert shift > 1.5 * shape


def test_a_sample_that_does_not_fit_the_chart_is_refused() -> None:
    with pytest.raises(BadInputError, match="1 histograms"):
        design_chart([ONE], window_rows=WINDOW, run_length=50, sample=np.zeros((500, 2), dtype=np.intp))
    with pytest.raises(BadInputError, match="do not have"):
        design_chart([ONE], window_rows=WINDOW, run_length=50, sample=np.full((500, 1), BINS))


def test_calibration_chart_with_simulated_levels_keeps_its_run_length() -> None:
    rng = np.random.default_rng(1)
    sample = rng.beta(2, 8, 2_000)
    chart = CalibrationChart(run_length=25, centre=-1.4)
    boundary = simulate_boundary(CalibrationPaths(chart, sample, 50, 3_000), 25, rng)
    streams = CalibrationPaths(chart, sample, 50, 4_000)
    watched = alarms = 0
    for window in range(1, 126):
        silent = streams.step(rng) <= boundary.at(window)
        watched, alarms = watched + len(silent), alarms + int((~silent).sum())
        streams.take(np.flatnonzero(silent))
    assert watched / alarms == pytest.approx(25, rel=0.06)


def test_e_detector_without_simulation_never_alarms_more_often_than_asked() -> None:
    rng = np.random.default_rng(2)
    chart = CalibrationChart(run_length=20, centre=-1.4)
    streams = CalibrationPaths(chart, rng.beta(2, 8, 2_000), 50, 2_000)
    watched = alarms = 0
    for _ in range(100):
        silent = streams.step(rng) < np.log(20)
        watched, alarms = watched + len(silent), alarms + int((~silent).sum())
        streams.take(np.flatnonzero(silent))
    assert watched / alarms >= 20


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
    verdict = chart_verdict(
        chart, step, model=("leads", "3"), start=as_utc(0), end=as_utc(3_600_000_000), rows=WINDOW
    )
    assert verdict.drifted
    assert verdict.worst[0].feature == "budget"
    assert verdict.severity != "none"
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


def test_rare_unseen_and_missing_cells_are_looked_at_by_themselves() -> None:
    feature = FeatureProfile(name="source", kind="categorical", counts=(800, 90, 1, 0), missing=109)
    profile = ReferenceProfile(
        rows=1000, features=(feature,), score_edges=(0.5,), score_counts=(600, 400), quantiles=(0.5,) * 101
    )
    source, score = histograms_of(profile, window_rows=100)
    assert source.looks == (
        Look("shape", (0, 1, -1, -1, 2)),
        Look("missing", (0, 0, 0, 0, 1)),
        Look("rare", (-1, -1, 0, -1, -1)),
        Look("unseen", (-1, -1, -1, 0, -1)),
    )
    assert score.looks == (Look("shape", (0, 1)),)


def test_a_new_category_alarms_and_is_named_as_such() -> None:
    histogram = make_histogram("source", (5_000, 5_000, 0), 100, ordered=False)
    detector = HistogramDetector(design_chart([histogram], window_rows=100, run_length=200))
    calm = detector.watch(detector.start(), [[52, 48, 0]])
    assert not calm.alarm
    step = detector.watch(calm.state, [[49, 46, 5]])
    assert step.alarm
    assert step.looks == ("unseen",)


def test_a_window_without_rows_is_refused_not_calm(chart: HistogramChart) -> None:
    detector = HistogramDetector(chart)
    with pytest.raises(BadInputError, match="at least one row"):
        detector.watch(detector.start(), [[0] * BINS])
    with pytest.raises(BadInputError, match="2 histograms"):
        detector.watch(detector.start(), [[1] * BINS] * 2)


def test_level_of_a_window_is_the_one_of_its_block() -> None:
    boundary = Boundary(50, (1, 3, 10), (1.0, 2.0, 3.0))
    assert [boundary.at(t) for t in (1, 2, 3, 9, 10, 10_000)] == [1.0, 1.0, 2.0, 2.0, 3.0, 3.0]
    with pytest.raises(BadInputError):
        boundary.at(0)


def test_exponential_tail_is_extended_beyond_the_sample() -> None:
    draws = np.random.default_rng(3).exponential(size=200_000)
    assert upper_quantile(draws, 0.01) == pytest.approx(np.log(100), rel=0.02)
    extended = np.mean([upper_quantile(part, 1e-4) for part in np.split(draws, 100)])
    assert extended == pytest.approx(np.log(1e4), rel=0.03)


def test_probabilities_that_became_too_high_are_found_with_the_window_it_began_in() -> None:
    rng = np.random.default_rng(4)
    chart = CalibrationChart(run_length=500, centre=-1.4)
    state = start_calibration(chart)
    step = None
    for window in range(1, 41):
        p = rng.beta(2, 8, 100)
        step = watch_calibration(chart, state, rng.random(100) < (p if window <= 20 else 0.5 * p), p)
        state = step.state
        if step.alarm:
            break
    assert step is not None
    assert step.alarm
    assert 21 <= window <= 27
    assert "fewer conversions" in step.alternative
    assert 18 <= step.since <= 23


def test_miscalibration_within_the_tolerance_is_not_bet_on() -> None:
    rng = np.random.default_rng(5)
    chart = CalibrationChart(run_length=100, centre=-1.4, tolerance=0.3)
    state = start_calibration(chart)
    for _ in range(60):
        p = rng.beta(2, 8, 100)
        truth = 1 / (1 + np.exp(-(np.log(p / (1 - p)) - 0.2)))
        step = watch_calibration(chart, state, rng.random(100) < truth, p)
        assert not step.alarm
        state = step.state


def test_memories_outside_their_range_are_refused() -> None:
    with pytest.raises(BadInputError, match="memories"):
        design_chart([ONE], window_rows=WINDOW, run_length=50, memories=(0.0,))
    with pytest.raises(BadInputError, match="alarm at every window"):
        design_chart([ONE], window_rows=WINDOW, run_length=1.0, memories=MEMORIES)
