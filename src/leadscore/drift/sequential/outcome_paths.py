"""Levels of the chart of late outcomes, simulated from reference leads with outcomes and delays."""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from leadscore.drift.sequential.boundary import MOST_WINDOWS, Floats, StreamNumbers, simulate_boundary
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
    evaluation_rows: int,
    evaluation_days: float,
    run_length: float,
    horizon: int,
    wait: float = np.inf,
    bets: tuple[Bet, ...] = BETS,
    streams: int = _STREAMS,
    most_evaluations: int = MOST_WINDOWS,
) -> OutcomeChart:
    """Simulate the levels for a reference: same arguments, same chart.

    Args:
        reference: Simulated leads are drawn from it.
        evaluation_rows: Leads from one evaluation to the next, on average.
        evaluation_days: Days from one evaluation to the next.
        run_length: Expected evaluations to a false alarm.
        horizon: Evaluations for which an outcome is waited for: as long as it takes for nine of ten to come.
        wait: Days after which an outcome is left out, whatever the horizon.
        bets: What is bet on.
        streams: Simulated; more make the levels steadier.
        most_evaluations: Simulated at most, see `simulate_boundary`.

    Raises:
        BadInputError: The reference has too few conversions, or an evaluation has no leads or no length.
    """
    if evaluation_rows < 1 or not evaluation_days > 0.0:
        raise BadInputError(
            f"{evaluation_rows} leads and {evaluation_days:g} days per evaluation.", hint="Both are above 0."
        )
    null = fit_null(reference.probabilities, reference.converted, reference.days)
    chart = OutcomeChart(null, run_length, horizon, bets)
    rng = np.random.default_rng(_SEED)
    paths = OutcomePaths(chart, reference, evaluation_rows, evaluation_days, streams, rng, wait=wait)
    boundary = simulate_boundary(paths, run_length, rng, most_windows=most_evaluations)
    return msgspec.structs.replace(chart, boundary=boundary)


class OutcomePaths:
    """Streams of leads like the reference's, with their outcomes and delays, for simulated levels.

    A simulated lead is a whole row of the reference: score, outcome, days. Each stream has a truth of its
    own, a bootstrap of the reference (Efron 1979), for what a finite one leaves open about scores and
    calibration. The leads of an evaluation come evenly between its two ends.

    Memory is some `size * (reference + 3 * horizon * evaluation_rows)` bytes, times two where the
    reference has 65,536 rows.

    Args:
        chart: What is watched.
        reference: Leads to draw from.
        evaluation_rows: Leads from one evaluation to the next.
        evaluation_days: Days from one evaluation to the next.
        size: Streams.
        rng: Source of the truths.
        wait: Days after which an outcome is left out.
    """

    def __init__(
        self,
        chart: OutcomeChart,
        reference: OutcomeReference,
        evaluation_rows: int,
        evaluation_days: float,
        size: int,
        rng: np.random.Generator,
        *,
        wait: float = np.inf,
    ) -> None:
        otherwise, won = outcome_ratios(chart, reference.probabilities, reference.days)
        self._outcome = np.where(reference.converted[:, None], won, otherwise).astype(np.float32)
        self._betting = [i for i, bet in enumerate(chart.bets) if bet.leads]
        arrival = arrival_ratios(chart, reference.probabilities)[:, self._betting]
        self._arrival = arrival.astype(np.float32)
        rows = len(reference.probabilities)
        self._lags = np.where(reference.days <= wait, reference.days / evaluation_days, np.inf).astype(
            np.float32
        )
        # Part of the evaluation's span that is left when each of its leads comes.
        self._left = (np.arange(evaluation_rows)[::-1] / evaluation_rows).astype(np.float32)
        small = np.min_scalar_type(rows - 1)
        self._truth = rng.integers(0, rows, (size, rows), dtype=small)
        self._horizon, self._rows, self._evaluation = chart.horizon, evaluation_rows, 0
        # Rings over the last `horizon` evaluations. The place of one is its number modulo the horizon;
        # `horizon` itself is the place of the outcomes that never come.
        ring = (size, chart.horizon, evaluation_rows)
        self._drawn = np.zeros(ring, dtype=small)
        self._due = np.full(ring, chart.horizon, dtype=np.min_scalar_type(chart.horizon))
        self._blocks = np.zeros((size, chart.horizon, len(chart.bets)), dtype=np.float32)
        self._before = np.full((size, len(chart.bets)), -np.inf)

    def step(self, rng: np.random.Generator) -> Floats:
        """Log of each stream's mean e-detector after one more evaluation, (streams,)."""
        size, place = len(self._truth), self._evaluation % self._horizon
        if self._evaluation >= self._horizon:
            self._before = np.logaddexp(self._before, 0.0) + self._blocks[:, place]
        picked = rng.integers(0, self._truth.shape[1], (size, self._rows), dtype=np.int32)
        drawn = np.take_along_axis(self._truth, picked, axis=1)
        lags = np.maximum(np.ceil(self._lags[drawn] - self._left), 0.0)
        inside = lags < self._horizon
        due = (np.where(inside, lags, 0.0).astype(np.int32) + place) % self._horizon
        self._drawn[:, place], self._due[:, place] = drawn, np.where(inside, due, self._horizon)
        self._blocks[:, place] = 0.0
        self._blocks[:, place, self._betting] = self._arrival[drawn].sum(axis=1)
        self._take_in(np.flatnonzero(self._due == place))
        self._evaluation += 1
        return self._statistic()

    def _take_in(self, known: StreamNumbers) -> None:
        """Add outcomes, by their places in the flat rings, to the blocks of their leads."""
        if not len(known):
            return
        blocks = known // self._rows
        first = np.flatnonzero(np.diff(blocks, prepend=-1))
        gained = np.add.reduceat(self._outcome[self._drawn.ravel()[known]], first, axis=0)
        self._blocks.reshape(-1, self._blocks.shape[2])[blocks[first]] += gained

    def _statistic(self) -> Floats:
        kept = min(self._evaluation, self._horizon)
        places = (self._evaluation - 1 - np.arange(kept)) % self._horizon
        since = np.cumsum(self._blocks[:, places], axis=1)
        highest = since.max(axis=(1, 2), keepdims=True)
        total = np.exp(since - highest).sum(axis=(1, 2), dtype=np.float64)
        kept_ones = np.log(total) + highest[:, 0, 0]
        before = np.logaddexp.reduce(self._before + since[:, -1], axis=1)
        return distinct(np.logaddexp(kept_ones, before) - np.log(since.shape[2]))

    def take(self, rows: StreamNumbers) -> None:
        """Make stream i a copy of stream rows[i]."""
        if len(rows) < len(self._truth):
            for name in ("_truth", "_drawn", "_due", "_blocks", "_before"):
                setattr(self, name, getattr(self, name)[rows])
            return
        other = np.flatnonzero(rows != np.arange(len(rows)))
        for values in (self._truth, self._drawn, self._due, self._blocks, self._before):
            values[other] = values[rows[other]]
