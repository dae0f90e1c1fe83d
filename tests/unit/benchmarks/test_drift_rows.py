"""The drift rows' own arithmetic: what the figures in docs/research/drift.md rest on."""

import functools

import numpy as np
import pytest
from benchmarks import alibi_answer
from benchmarks.drift_charts import OUTCOME_ROWS, chart_statistics, evaluations_of, outcome_statistics
from benchmarks.drift_contenders import ALIBI_WINDOW, WINDOW, counts_of, cvm_statistics, ks_statistics
from benchmarks.drift_delay import Leads, cut_for, first_alarm, run_length
from benchmarks.rows import drift_watch_outcomes
from benchmarks.rows.backtest import placements
from benchmarks.rows.drift_sequential import mean_and_error, surely_sooner
from scipy.stats import cramervonmises_2samp, ks_2samp

from leadscore.data.synthetic import synthetic_contract
from leadscore.drift.multivariate.alibi import AlibiResult, AlibiWindow
from leadscore.drift.sequential.chart import HistogramDetector, design_chart
from leadscore.drift.sequential.histograms import HistogramLayout, make_histogram
from leadscore.drift.sequential.late_outcomes import (
    NewOutcomes,
    OutcomeChart,
    OutcomeNull,
    start_outcomes,
    watch_outcomes,
)


def test_every_placement_of_a_retraining_is_in_force_from_the_next_month_on():
    worth = np.array([[0.5, 0.5, 0.5], [np.nan, 0.6, 0.7], [np.nan, np.nan, 0.9]])

    assert placements(worth, 0) == pytest.approx([0.5])
    assert placements(worth, 1) == pytest.approx([(0.5 + 0.6 + 0.7) / 3, (0.5 + 0.5 + 0.9) / 3])
    assert placements(worth, 2) == pytest.approx([(0.5 + 0.6 + 0.9) / 3])


def test_a_month_without_auc_counts_for_no_placement():
    worth = np.array([[np.nan, 0.5, 0.6], [np.nan, 0.7, 0.8], [np.nan, np.nan, 1.0]])

    assert placements(worth, 1) == pytest.approx([0.75, 0.75])


@pytest.mark.parametrize("digits", [0, 1, 6])
def test_ks_of_a_sorted_reference_is_scipys_with_ties_or_without(digits):
    rng = np.random.default_rng(digits)
    reference = np.sort(np.round(rng.normal(size=2_000), digits)).astype(np.float32)
    windows = np.stack([np.round(rng.normal(shift, 1.0, WINDOW), digits) for shift in (0.0, 0.5, 3.0)])
    expected = [ks_2samp(reference, window.astype(np.float32)).statistic for window in windows]
    assert ks_statistics(reference, windows.astype(np.float32)) == pytest.approx(expected, rel=1e-9)


def test_cramer_von_mises_of_a_sliding_window_is_scipys():
    rng = np.random.default_rng(8)
    reference = np.sort(rng.normal(size=300)).astype(np.float32)
    stream = rng.normal(0.3, 1.0, 60).astype(np.float32)
    ours = cvm_statistics(reference, stream)
    n, m = len(reference), ALIBI_WINDOW
    expected = [
        cramervonmises_2samp(reference.astype(float), stream[i : i + m].astype(float)).statistic
        for i in range(11)
    ]
    mean = 1 / 6 + 1 / (6 * (n + m))
    variance = (n + m + 1) * (4 * n * m * (n + m) - 3 * (n * n + m * m) - 2 * n * m)
    scale = (variance / (45 * (n + m) ** 2 * 4 * n * m)) ** 0.5
    assert ours == pytest.approx((np.array(expected) - mean) / scale)


def test_cramer_von_mises_counts_ties_as_at_most():
    rng = np.random.default_rng(9)
    reference = np.sort(rng.integers(0, 5, 200)).astype(np.float32)
    window = rng.integers(0, 6, ALIBI_WINDOW).astype(np.float32)
    both = np.concatenate([reference, window])
    gaps = (reference[:, None] <= both).mean(axis=0) - (window[:, None] <= both).mean(axis=0)
    n, m = 200, ALIBI_WINDOW
    mean = 1 / 6 + 1 / (6 * (n + m))
    variance = (n + m + 1) * (4 * n * m * (n + m) - 3 * (n * n + m * m) - 2 * n * m)
    scale = (variance / (45 * (n + m) ** 2 * 4 * n * m)) ** 0.5
    expected = ((gaps**2).sum() * n * m / (n + m) ** 2 - mean) / scale
    assert cvm_statistics(reference, window) == pytest.approx([expected])


def test_windows_are_counted_one_by_one():
    codes = np.array([0] * WINDOW + [2] * WINDOW + [1] * 3)
    assert counts_of(codes, 3).tolist() == [[WINDOW, 0, 0], [0, 0, WINDOW]]


def test_a_run_length_counts_silent_streams_in_full():
    streams = [np.array([0.0, 2.0, 0.0]), np.array([0.0, 0.0, 0.0])]

    assert first_alarm(streams[0], 1.0) == 2
    assert run_length(streams, 1.0) == 5.0
    assert run_length(streams, 3.0) == float("inf")


def test_a_cut_gives_the_wanted_run_length():
    rng = np.random.default_rng(1)
    streams = [rng.exponential(size=400) for _ in range(200)]

    assert run_length(streams, cut_for(streams, 50.0)) == pytest.approx(50.0, rel=0.02)


def test_statistics_after_each_lead_are_those_of_the_detector_until_it_alarms():
    rng = np.random.default_rng(2)
    histograms = [make_histogram("budget", (250,) * 4, 25, ordered=True)]
    chart = design_chart(histograms, window_rows=1, run_length=200, memories=(0.02, 0.1), streams=200)
    codes = rng.integers(0, 4, (60, 1))
    detector, steps = HistogramDetector(chart), []
    state = detector.start()
    for code in codes[:, 0]:
        steps.append(detector.watch(state, [np.bincount([code], minlength=4).tolist()]))
        state = steps[-1].state
    calm = next((i for i, step in enumerate(steps) if step.alarm), len(steps))
    assert calm > 20
    found = chart_statistics(HistogramLayout(chart.histograms, chart.memories), codes)
    assert found[:calm] == pytest.approx([step.statistic for step in steps[:calm]])


def test_statistics_of_late_outcomes_are_those_of_the_chart_until_it_alarms():
    rng = np.random.default_rng(3)
    rows = 30 * OUTCOME_ROWS
    time = np.datetime64("2025-03-01", "ms") + (np.arange(rows) * 0.05 * 86_400_000).astype("timedelta64[ms]")
    days = np.exp(rng.normal(0.5, 1.0, rows))
    known = time + (days * 86_400_000).astype("timedelta64[ms]")
    scores = rng.beta(2, 8, rows).astype(np.float32)
    leads = Leads(scores[:, None], rng.random(rows) < scores, time, known)
    chart = OutcomeChart(OutcomeNull(0.1, 0.9, -0.2, 0.2), run_length=1e6, horizon=12)
    arrived, seen = evaluations_of(leads)
    state, said = start_outcomes(chart), []
    p, waited = scores.astype(np.float64), (known - time) / np.timedelta64(1, "D")
    for evaluation in range(1, 31):
        new = seen == evaluation
        step = watch_outcomes(
            chart,
            state,
            p[arrived == evaluation],
            NewOutcomes(arrived[new], p[new], leads.converted[new], waited[new]),
        )
        state, said = step.state, [*said, step.statistic]
    assert len(state.blocks) == 12
    assert outcome_statistics(chart, leads) == pytest.approx(said)


def test_alibis_answer_is_asked_once_for_the_same_streams(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    asked = []

    def answer(detector, contract, reference, windows, options):
        asked.append(dict(options))
        return AlibiResult((AlibiWindow(True, (), (0.5,), 0.4, 7),))

    monkeypatch.setattr(alibi_answer, "run_alibi", answer)
    ask = functools.partial(
        alibi_answer.alibi_answer, "CVMDriftOnline", synthetic_contract(), np.zeros((3, 2))
    )
    first, kept_first = ask([np.ones((2, 2))], {"seed": 1})
    again, kept = ask([np.ones((2, 2))], {"seed": 1})
    ask([np.zeros((2, 2))], {"seed": 1})
    ask([np.ones((2, 2))], {"seed": 2})

    assert (kept_first, kept) == (False, True)
    assert again == first
    assert len(asked) == 3


def test_streams_with_an_alarm_before_the_change_count_for_neither():
    assert mean_and_error([10, None, 30])[0] == 20.0
    assert surely_sooner([10, None, 10, 11], [30, 1, 32, 31])
    assert not surely_sooner([10, 40, 10, 40], [30, 20, 32, 21])


def test_the_error_of_a_run_length_is_that_of_models_not_of_their_streams():
    """Ten streams each of a hasty model and of a slow one: they tell no more than two models do."""
    excess, days = np.array([-1.0, -1.0, 1.0]), np.array([10.0, 20.0, 30.0])
    hasty = [drift_watch_outcomes._Said(0, excess, days)] * 10
    slow = [drift_watch_outcomes._Said(1, excess, 3 * days)] * 10
    assert drift_watch_outcomes._kept([*hasty, *slow]) == pytest.approx((60.0, 30.0))
