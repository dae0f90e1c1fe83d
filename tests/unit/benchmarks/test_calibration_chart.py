"""The e-detector of calibration keeps its run length, and finds probabilities that went wrong."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from benchmarks.calibration_chart import (
    CalibrationChart,
    CalibrationPaths,
    CalibrationState,
    start_calibration,
    watch_calibration,
)

from leadscore.drift.sequential.boundary import simulate_boundary


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


def test_state_survives_a_restart_of_the_job_from_the_first_window_on() -> None:
    chart = CalibrationChart(run_length=50, centre=-1.4)
    state = start_calibration(chart)
    kept = msgspec.json.decode(msgspec.json.encode(state), type=CalibrationState)
    converted, p = np.array([True, False]), np.array([0.2, 0.3])
    assert watch_calibration(chart, kept, converted, p) == watch_calibration(chart, state, converted, p)
