"""LeadScore's two charts on streams of the synthetic CRM.

Figures of whole streams at once, equal to the detectors' own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from benchmarks.drift_delay import LEADS_A_DAY, Floats, Leads, World
from leadscore.drift.sequential.boundary import Boundary
from leadscore.drift.sequential.chart import design_chart
from leadscore.drift.sequential.histograms import Histogram, HistogramLayout, histograms_of
from leadscore.drift.sequential.late_outcomes import (
    OutcomeChart,
    arrival_ratios,
    distinct,
    fit_null,
    outcome_ratios,
)
from leadscore.drift.sequential.outcome_paths import OutcomeReference, design_outcome_chart

# The histogram chart is evaluated after every lead: grouping leads only delays what each of them says
# (Reynolds & Stoumbos 2004, "Should observations be grouped for effective process monitoring?").
# Outcomes take weeks, so half a day costs nothing.
EVALUATION_ROWS, OUTCOME_ROWS = 1, 10
# Cochran's rule: Pearson's statistic is chi-square only where cells expect a lead or more. The rarest cell
# that a test of the shape takes in has 1 % (a quarter of a lead in 25), so the shortest memory is 100
# leads; a second is four times as long. A memory of `n` effective leads has weight
# 2 / (n / EVALUATION_ROWS + 1).
MEMORIES = tuple(2 / (leads / EVALUATION_ROWS + 1) for leads in (100, 400))
ROWS_OF_RARE = 25
# An outcome is waited for 75 days, in which 95 % come.
_HORIZON = 75 * LEADS_A_DAY // OUTCOME_ROWS
# Levels are simulated until they have settled: some of the longest memories, some of the longest waits.
_MOST_EVALUATIONS, _MOST_OUTCOME_EVALUATIONS = 800, 400


@dataclass(frozen=True, slots=True)
class Statistics:
    """What the two charts say of a stream; it does not depend on the run length, their levels do.

    Attributes:
        leads: QT-EWMA's, after each lead.
        outcomes: The e-detector's, after every tenth.
    """

    leads: Floats
    outcomes: Floats


class Charts:
    """QT-EWMA on the columns beside the e-detector of leads and late outcomes, half of the alarms each."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._histograms = histograms_of(world.profile, ROWS_OF_RARE)
        self._layout = HistogramLayout(self._histograms, MEMORIES)
        self._reference = reference_of(world.reference)
        null = fit_null(self._reference.probabilities, self._reference.converted, self._reference.days)
        self._outcomes = OutcomeChart(null, run_length=2.0, horizon=_HORIZON)

    def statistics(self, leads: Leads) -> Statistics:
        """Of a whole stream; a chart that would speak is not started anew, so that any level can be tried."""
        return Statistics(
            chart_statistics(self._layout, self._world.codes(leads)),
            outcome_statistics(self._outcomes, leads),
        )

    def levels(self, run_length: float) -> tuple[Boundary, Boundary]:
        """Of both charts, each for twice the run length, which is in leads."""
        leads = histogram_levels(self._histograms, self._world.codes(self._world.reference), 2 * run_length)
        outcomes = design_outcome_chart(
            self._reference,
            evaluation_rows=OUTCOME_ROWS,
            evaluation_days=OUTCOME_ROWS / LEADS_A_DAY,
            run_length=2 * run_length / OUTCOME_ROWS,
            horizon=_HORIZON,
            most_evaluations=_MOST_OUTCOME_EVALUATIONS,
        )
        assert outcomes.boundary is not None
        return leads, outcomes.boundary


def histogram_levels(
    histograms: Sequence[Histogram], sample: npt.NDArray[np.intp], run_length: float
) -> Boundary:
    """Levels of a chart of these histograms alone, for a run length in leads.

    `sample` has their cells, (leads, histograms).
    """
    return design_chart(
        histograms,
        window_rows=EVALUATION_ROWS,
        run_length=run_length / EVALUATION_ROWS,
        sample=sample,
        memories=MEMORIES,
        most_windows=_MOST_EVALUATIONS,
    ).boundary


def excess(said: Statistics, levels: tuple[Boundary, Boundary]) -> Floats:
    """The larger excess over the two charts' levels after each lead, (leads,): its cut is 0 by design."""
    figures = said.leads - levels_of(levels[0], len(said.leads))
    late = said.outcomes - levels_of(levels[1], len(said.outcomes))
    at = np.arange(1, len(late) + 1) * OUTCOME_ROWS - 1
    figures[at] = np.maximum(figures[at], late)
    return figures


def levels_of(boundary: Boundary, evaluations: int) -> Floats:
    """The level of each evaluation, (evaluations,)."""
    return np.array([boundary.at(evaluation) for evaluation in range(1, evaluations + 1)])


def reference_of(leads: Leads) -> OutcomeReference:
    """Leads with their outcomes as the chart of outcomes is designed from."""
    return OutcomeReference(leads.watched[:, -1].astype(np.float64), leads.converted, _days(leads))


def chart_statistics(layout: HistogramLayout, codes: npt.NDArray[np.intp]) -> Floats:
    """Statistic after each lead, (leads,): what `HistogramDetector` gives until it alarms.

    Args:
        layout: Of a chart of windows of one lead.
        codes: From `cell_codes`, (leads, histograms).
    """
    rows = np.arange(1, len(codes) + 1)
    held = np.zeros((len(codes), len(layout.shares)))
    np.put_along_axis(held, codes + np.array([piece.start for piece in layout.slices]), 1.0, axis=1)
    held -= layout.shares
    faded = [lfilter([m], [1.0, m - 1.0], held, axis=0) for m in layout.memories]
    means = np.stack(faded, axis=1) + layout.shares
    left = (1.0 - layout.memories) ** (2.0 * rows[:, None])
    spread = layout.memories / (2.0 - layout.memories) * (1.0 - left)
    return layout.loudest(means, spread)


def outcome_statistics(chart: OutcomeChart, leads: Leads) -> Floats:
    """Statistic after every tenth lead, (leads // 10,): what `watch_outcomes` gives until it alarms."""
    evaluations = len(leads.time) // OUTCOME_ROWS
    rows = evaluations * OUTCOME_ROWS
    arrived, known = evaluations_of(leads)
    scores = leads.watched[:rows, -1].astype(np.float64)
    otherwise, won = outcome_ratios(chart, scores, _days(leads)[:rows])
    gained = np.where(leads.converted[:rows, None], won, otherwise)
    order = np.argsort(known, kind="stable")
    order = order[(known[order] <= evaluations) & (known[order] - arrived[order] < chart.horizon)]
    bounds = np.searchsorted(known[order], np.arange(1, evaluations + 2))
    blocks = arrival_ratios(chart, scores).reshape(evaluations, OUTCOME_ROWS, -1).sum(axis=1)
    before, figures = np.full(len(chart.bets), -np.inf), np.empty(evaluations)
    for evaluation in range(1, evaluations + 1):
        new = order[bounds[evaluation - 1] : bounds[evaluation]]
        np.add.at(blocks, arrived[new] - 1, gained[new])
        first = max(evaluation - chart.horizon, 0)
        if first:
            before = np.logaddexp(before, 0.0) + blocks[first - 1]
        since = blocks[first:evaluation][::-1].cumsum(axis=0)
        highest = since.max()
        kept = np.log(np.exp(since - highest).sum(axis=0)) + highest
        total = np.logaddexp.reduce(np.logaddexp(kept, before + since[-1]))
        figures[evaluation - 1] = total - np.log(len(chart.bets))
    return distinct(figures)


def evaluations_of(leads: Leads) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Evaluation at which each lead arrived, and at which its outcome is known, from 1.

    Leads of whole evaluations only.
    """
    rows = len(leads.time) // OUTCOME_ROWS * OUTCOME_ROWS
    arrived = np.arange(rows) // OUTCOME_ROWS + 1
    ends = leads.time[OUTCOME_ROWS - 1 : rows : OUTCOME_ROWS]
    return arrived, np.searchsorted(ends, leads.known[:rows], side="left") + 1


def _days(leads: Leads) -> Floats:
    return (leads.known - leads.time) / np.timedelta64(1, "D")
