"""The drift rows' own arithmetic: what the figures in docs/benchmarks.md rest on."""

import functools

import numpy as np
import pytest
from benchmarks import alibi_answer
from benchmarks.drift_delay import (
    chart_figures,
    cut_for,
    first_alarm,
    ks_p_value,
    outcome_figures,
    run_length,
)
from benchmarks.rows.backtest import placements
from benchmarks.rows.drift_sequential import mean_and_error, surely_sooner
from scipy.stats import ks_2samp

from leadscore.data.synthetic import synthetic_contract
from leadscore.drift.multivariate.alibi import AlibiResult, AlibiWindow
from leadscore.drift.sequential.calibration import CalibrationChart, start_calibration, watch_calibration
from leadscore.drift.sequential.chart import HistogramDetector, design_chart
from leadscore.drift.sequential.histograms import make_histogram


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
    for shift in (0.0, 0.5, 3.0):
        window = np.round(rng.normal(shift, 1.0, 25), digits).astype(np.float32)
        expected = ks_2samp(reference, window, method="asymp").pvalue
        assert ks_p_value(reference, window) == pytest.approx(expected, rel=1e-9)


def test_a_run_length_counts_silent_streams_in_full():
    streams = [np.array([0.0, 2.0, 0.0]), np.array([0.0, 0.0, 0.0])]

    assert first_alarm(streams[0], 1.0) == 2
    assert run_length(streams, 1.0) == 5.0
    assert run_length(streams, 3.0) == float("inf")


def test_a_cut_gives_the_wanted_run_length():
    rng = np.random.default_rng(1)
    streams = [rng.exponential(size=400) for _ in range(200)]

    assert run_length(streams, cut_for(streams, 50.0)) == pytest.approx(50.0, rel=0.02)


def test_figures_after_each_lead_are_those_of_the_detectors_until_they_alarm():
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
    assert chart_figures(chart, codes)[:calm] == pytest.approx([s.statistic - s.level for s in steps[:calm]])

    outcomes = CalibrationChart(run_length=500, centre=-1.4)
    p, judged, said = rng.beta(2, 8, 60), start_calibration(outcomes), []
    converted = rng.random(60) < p
    for one, probability in zip(converted, p, strict=True):
        step = watch_calibration(outcomes, judged, np.array([one]), np.array([probability]))
        judged, said = step.state, [*said, step.statistic - step.level]
    assert max(said) < 0
    assert outcome_figures(outcomes, converted, p) == pytest.approx(said)


def test_alibis_answer_is_asked_once_for_the_same_streams(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    asked = []

    def answer(detector, contract, reference, windows, options):
        asked.append(dict(options))
        return AlibiResult(1.0, 2.0, (AlibiWindow(True, (), (0.5,), 0.4, 7),))

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
