"""E-detector of calibration: do outcomes still come as often as the probabilities say, window after window?

Each alternative (fewer or more conversions, flatter or steeper probabilities) bets against the
predictions with a likelihood ratio, whose expectation is at most 1 while the predictions are right
within a tolerance. Its Shiryaev-Roberts sum M_t = (M_{t-1} + 1) L_t is an e-detector: stopping when the
weighted mean over alternatives reaches A has an expected run length of at least A, whatever the leads,
the window sizes and their dependence on the past (Shin, Ramdas & Rinaldo 2023, "E-detectors: a
nonparametric framework for sequential change detection"). That bound is safe, not tight. Where the
probabilities to come are alike those of a known sample, the level can be simulated as for every other
chart and the run length is then the one asked for.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from leadscore.drift.sequential.boundary import LOG_OF_NOTHING, Boundary, Floats, StreamNumbers
from leadscore.drift.statistics.odds import log_odds
from leadscore.errors import BadInputError
from leadscore.intervals import Flags


class Alternative(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One way to be wrong: the log-odds are truly `shift + centre + slope * (logit - centre)`.

    Attributes:
        name: In words.
        shift: Added to the log-odds.
        slope: Of the true log-odds over the predicted ones, about `centre`.
    """

    name: str
    shift: float
    slope: float


ALTERNATIVES: Final = (
    Alternative("far fewer conversions than predicted", -0.9, 1.0),
    Alternative("fewer conversions than predicted", -0.35, 1.0),
    Alternative("more conversions than predicted", 0.35, 1.0),
    Alternative("far more conversions than predicted", 0.9, 1.0),
    Alternative("the score separates leads less than it did", 0.0, 0.6),
    Alternative("the score no longer separates leads", 0.0, 0.15),
    Alternative("the score separates leads more than it did", 0.0, 1.5),
)


class CalibrationChart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is watched.

    Attributes:
        run_length: Expected windows to a false alarm.
        centre: Log-odds about which slopes turn: the base rate's.
        tolerance: Miscalibration of the log-odds that is not worth an alarm; for shifts only, where the bet
            is made against the nearest tolerated probability.
        alternatives: What is bet on, with equal weights.
        boundary: Simulated levels of the log e-detector; None for the level that always holds,
            log(run_length).
    """

    run_length: float
    centre: float
    tolerance: float = 0.0
    alternatives: tuple[Alternative, ...] = ALTERNATIVES
    boundary: Boundary | None = None

    def __post_init__(self) -> None:
        if not self.run_length > 1.0 or self.tolerance < 0.0 or not self.alternatives:
            raise ValueError(
                "a calibration chart needs a run length above 1, a tolerance >= 0 and alternatives"
            )


class CalibrationState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the chart stands between windows.

    Attributes:
        window: Windows seen since the start or the last alarm.
        logs: Log of each alternative's Shiryaev-Roberts sum.
        since: Window after which each alternative's evidence last began to grow from nothing.
    """

    window: int
    logs: tuple[float, ...]
    since: tuple[int, ...]


class CalibrationStep(msgspec.Struct, frozen=True):
    """The chart's answer to a window.

    Attributes:
        state: To go on with.
        statistic: Log of the mean e-detector.
        level: An alarm is above it.
        alarm: Whether it is.
        alternative: The bet that has won most.
        since: Window since which it has been winning.
    """

    state: CalibrationState
    statistic: float
    level: float
    alarm: bool
    alternative: str
    since: int


def start_calibration(chart: CalibrationChart) -> CalibrationState:
    """The state before any window."""
    count = len(chart.alternatives)
    return CalibrationState(0, (LOG_OF_NOTHING,) * count, (1,) * count)


def watch_calibration(
    chart: CalibrationChart, state: CalibrationState, converted: Flags, probabilities: Floats
) -> CalibrationStep:
    """Take in a window of outcomes, in the order in which they became known.

    Args:
        chart: What is watched.
        state: From `start_calibration` or the last step.
        converted: Outcomes (n,).
        probabilities: What had been predicted for the same leads (n,).
    """
    if len(converted) != len(probabilities):
        raise BadInputError(f"{len(converted)} outcomes for {len(probabilities)} probabilities.")
    window = state.window + 1
    before = np.array(state.logs)
    otherwise, won = log_ratios(chart, probabilities)
    gained = np.where(converted[:, None], won, otherwise).sum(axis=0)
    logs = np.logaddexp(before, 0.0) + gained
    # The sum began anew where the past weighed less than the 1 that every window adds.
    since = tuple(window if past <= 0.0 else first for past, first in zip(before, state.since, strict=True))
    statistic = float(mean_log(logs))
    level = float(np.log(chart.run_length)) if chart.boundary is None else chart.boundary.at(window)
    best = int(np.argmax(logs))
    alarm = statistic >= level
    after = (
        start_calibration(chart) if alarm else CalibrationState(window, tuple(float(x) for x in logs), since)
    )
    return CalibrationStep(after, statistic, level, alarm, chart.alternatives[best].name, since[best])


def log_ratios(chart: CalibrationChart, probabilities: Floats) -> tuple[Floats, Floats]:
    """Log likelihood ratios of single leads, if not converted and if converted; each (n, alternatives)."""
    logit = log_odds(probabilities)[:, None]
    shift = np.array([bet.shift for bet in chart.alternatives])
    slope = np.array([bet.slope for bet in chart.alternatives])
    tolerated = logit + np.sign(shift) * chart.tolerance
    gain = shift + (slope - 1.0) * (logit - chart.centre)
    otherwise = np.logaddexp(0.0, tolerated) - np.logaddexp(0.0, tolerated + gain)
    return otherwise, otherwise + gain


def mean_log(logs: Floats) -> Floats:
    """Log of the mean of exp(logs) along the last axis."""
    return np.logaddexp.reduce(logs, axis=-1) - np.log(logs.shape[-1])


class CalibrationPaths:
    """Streams of outcomes that come as predicted, for simulated levels.

    Args:
        chart: What is watched.
        probabilities: A sample of predictions, (n,): windows are drawn from it.
        window_rows: Outcomes per window.
        size: Streams.
    """

    def __init__(self, chart: CalibrationChart, probabilities: Floats, window_rows: int, size: int) -> None:
        self.sample, self.window_rows = probabilities, window_rows
        # Rows of leads that do not convert, then of the same leads converted.
        self.table = np.concatenate(log_ratios(chart, probabilities))
        self.logs = np.full((size, len(chart.alternatives)), -np.inf)

    def step(self, rng: np.random.Generator) -> Floats:
        """Log of each stream's mean e-detector after one more window, (streams,)."""
        drawn = rng.integers(0, len(self.sample), (len(self.logs), self.window_rows))
        drawn += len(self.sample) * (rng.random(drawn.shape) < self.sample[drawn])
        self.logs = np.logaddexp(self.logs, 0.0) + self.table[drawn].sum(axis=1)
        return mean_log(self.logs)

    def take(self, rows: StreamNumbers) -> None:
        """Make stream i a copy of stream rows[i]."""
        self.logs = self.logs[rows]
