"""Levels of the chart of late outcomes, simulated from leads of the reference with their outcomes and delays."""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from leadscore.drift.sequential.boundary import MOST_WINDOWS, Floats, Rows, simulate_boundary
from leadscore.drift.sequential.late_outcomes import (
    BETS,
    Bet,
    OutcomeChart,
    arrival_ratios,
    distinct,
    fit_null,
    outcome_ratios,
)
from leadscore.errors import BadInputError
from leadscore.intervals import Flags

_STREAMS: Final = 2_000
_SEED: Final = 20_260_102


class OutcomeReference(msgspec.Struct, frozen=True):
    """Mature leads that the model was not trained on, and what became of them.

    Attributes:
        probabilities: Their scores (n,).
        converted: Outcomes (n,).
        days: From the lead to its outcome (n,).
    """

    probabilities: Floats
    converted: Flags
    days: Floats


def design_outcome_chart(
    reference: OutcomeReference,
    *,
    look_rows: int,
    look_days: float,
    run_length: float,
    horizon: int,
    bets: tuple[Bet, ...] = BETS,
    streams: int = _STREAMS,
    seed: int = _SEED,
    most_looks: int = MOST_WINDOWS,
) -> OutcomeChart:
    """Simulate the levels for a reference: same arguments, same chart.

    Args:
        reference: Simulated leads are drawn from it.
        look_rows: Leads from one look to the next, on average.
        look_days: Days from one look to the next.
        run_length: Expected looks to a false alarm.
        horizon: Looks for which an outcome is waited for: as long as it takes for nine of ten to come.
        bets: What is bet on.
        streams: Simulated; more make the levels steadier.
        seed: Of the simulation.
        most_looks: Simulated at most, see `simulate_boundary`.

    Raises:
        BadInputError: The reference has too few conversions, or a look has no leads or no length.
    """
    if look_rows < 1 or not look_days > 0.0:
        raise BadInputError(f"A look of {look_rows} leads and {look_days:g} days.", hint="Both are above 0.")
    null = fit_null(reference.probabilities, reference.converted, reference.days)
    chart = OutcomeChart(null, run_length, horizon, bets)
    rng = np.random.default_rng(seed)
    paths = OutcomePaths(chart, reference, look_rows, look_days, streams, rng)
    boundary = simulate_boundary(paths, run_length, rng, most_windows=most_looks)
    return msgspec.structs.replace(chart, boundary=boundary)


class OutcomePaths:
    """Streams of leads like the reference's, with their outcomes and delays, for simulated levels.

    A simulated lead is a whole row of the reference: score, outcome, days. Each stream has a truth of its own, a bootstrap
    of the reference (Efron 1979), for what a finite one leaves open about scores and calibration.

    Args:
        chart: What is watched.
        reference: Leads to draw from.
        look_rows: Leads from one look to the next.
        look_days: Days from one look to the next.
        size: Streams.
        rng: Source of the truths.
    """

    def __init__(
        self,
        chart: OutcomeChart,
        reference: OutcomeReference,
        look_rows: int,
        look_days: float,
        size: int,
        rng: np.random.Generator,
    ) -> None:
        otherwise, won = outcome_ratios(chart, reference.probabilities, reference.days)
        self._outcome = np.where(reference.converted[:, None], won, otherwise).astype(np.float32)
        self._arrival = arrival_ratios(chart, reference.probabilities).astype(np.float32)
        # An outcome of the look's own leads is known at the next one at the soonest.
        lags = np.maximum(np.ceil(reference.days / look_days), 1)
        self._lags = np.where(lags < chart.horizon, lags, -1).astype(np.int16)
        rows = len(reference.probabilities)
        self._truth = rng.integers(0, rows, (size, rows), dtype=np.int32)
        self._horizon, self._rows, self._look = chart.horizon, look_rows, 0
        # Rings over the last `horizon` looks: a look's place is its number modulo the horizon.
        self._drawn = np.zeros((size, chart.horizon, look_rows), dtype=np.int32)
        self._due = np.full((size, chart.horizon, look_rows), -1, dtype=np.int16)
        self._blocks = np.zeros((size, chart.horizon, len(chart.bets)), dtype=np.float32)
        self._before = np.full((size, len(chart.bets)), -np.inf)

    def step(self, rng: np.random.Generator) -> Floats:
        """Log of each stream's mean e-detector after one more look, (streams,)."""
        size, place = len(self._truth), self._look % self._horizon
        if self._look >= self._horizon:
            self._before = np.logaddexp(self._before, 0.0) + self._blocks[:, place]
        picked = rng.integers(0, self._truth.shape[1], (size, self._rows))
        drawn = np.take_along_axis(self._truth, picked, axis=1)
        self._drawn[:, place], self._due[:, place] = drawn, self._lags[drawn]
        self._blocks[:, place] = self._arrival[drawn].sum(axis=1)
        # Due in so many looks: at 0 the outcome is known.
        stream, block, lead = np.nonzero(self._due == 0)
        if len(stream):
            gained = self._outcome[self._drawn[stream, block, lead]]
            np.add.at(self._blocks, (stream, block), gained)
        self._due -= 1
        self._look += 1
        return self._statistic()

    def _statistic(self) -> Floats:
        kept = min(self._look, self._horizon)
        places = (self._look - 1 - np.arange(kept)) % self._horizon
        since = np.cumsum(self._blocks[:, places], axis=1)
        highest = since.max(axis=(1, 2), keepdims=True)
        total = np.exp(since - highest).sum(axis=(1, 2), dtype=np.float64)
        kept_ones = np.log(total) + highest[:, 0, 0]
        before = np.logaddexp.reduce(self._before + since[:, -1], axis=1)
        return distinct(np.logaddexp(kept_ones, before) - np.log(since.shape[2]))

    def take(self, rows: Rows) -> None:
        """Make stream i a copy of stream rows[i]."""
        if len(rows) < len(self._truth):
            for name in ("_truth", "_drawn", "_due", "_blocks", "_before"):
                setattr(self, name, getattr(self, name)[rows])
            return
        other = np.flatnonzero(rows != np.arange(len(rows)))
        for values in (self._truth, self._drawn, self._due, self._blocks, self._before):
            values[other] = values[rows[other]]
