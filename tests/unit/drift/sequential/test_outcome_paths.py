"""Simulated leads with late outcomes.

Their levels keep the run length of streams that they were not simulated with.
"""

from __future__ import annotations

import numpy as np
import pytest

from leadscore.drift.sequential.late_outcomes import (
    Bet,
    NewOutcomes,
    OutcomeChart,
    start_outcomes,
    watch_outcomes,
)
from leadscore.drift.sequential.outcome_paths import OutcomePaths, OutcomeReference, design_outcome_chart
from leadscore.errors import BadInputError

EVALUATION_ROWS, EVALUATION_DAYS = 10, 0.5


def leads(rows: int, seed: int) -> OutcomeReference:
    """Well predicted leads whose wins come in sooner."""
    rng = np.random.default_rng(seed)
    p = rng.beta(2, 8, rows)
    converted = rng.random(rows) < p
    return OutcomeReference(p, converted, np.exp(rng.normal(size=rows) + np.where(converted, 1.0, 1.3)))


@pytest.fixture(scope="module")
def chart() -> OutcomeChart:
    return design_outcome_chart(
        leads(4_000, 1),
        evaluation_rows=EVALUATION_ROWS,
        evaluation_days=EVALUATION_DAYS,
        run_length=25,
        horizon=40,
    )


def test_same_arguments_give_the_same_chart(chart: OutcomeChart) -> None:
    again = design_outcome_chart(
        leads(4_000, 1),
        evaluation_rows=EVALUATION_ROWS,
        evaluation_days=EVALUATION_DAYS,
        run_length=25,
        horizon=40,
    )
    assert again == chart


def test_achieved_run_length_is_the_requested_one(chart: OutcomeChart) -> None:
    rng = np.random.default_rng(2)
    streams = OutcomePaths(chart, leads(4_000, 1), EVALUATION_ROWS, EVALUATION_DAYS, 4_000, rng)
    watched = alarms = 0
    for evaluation in range(1, 101):
        silent = streams.step(rng) <= chart.level(evaluation)
        watched, alarms = watched + len(silent), alarms + int((~silent).sum())
        streams.take(np.flatnonzero(silent))
    assert watched / alarms == pytest.approx(25, rel=0.06)


def test_a_simulated_stream_is_read_as_the_chart_reads_it(chart: OutcomeChart) -> None:
    reference = leads(400, 3)
    rng = np.random.default_rng(4)
    paths = OutcomePaths(chart, reference, EVALUATION_ROWS, EVALUATION_DAYS, 1, rng)
    state = start_outcomes(chart)
    quiet = OutcomeChart(chart.null, 1e9, chart.horizon, chart.bets)
    drawn, due = [], []
    # Each lead has yet to wait so long for the end of its evaluation.
    left = np.arange(EVALUATION_ROWS)[::-1] / EVALUATION_ROWS
    for evaluation in range(1, 61):
        statistic = paths.step(rng)[0]
        # What the step has drawn: the newest place of its rings (private, and the only way to see it).
        rows = paths._drawn[0, (evaluation - 1) % chart.horizon]  # pyright: ignore[reportPrivateUsage]
        drawn.append(rows)
        due.append(evaluation + np.maximum(np.ceil(reference.days[rows] / EVALUATION_DAYS - left), 0))
        all_rows, all_due = np.concatenate(drawn), np.concatenate(due)
        arrived = np.repeat(np.arange(1, evaluation + 1), EVALUATION_ROWS)
        new = all_due == evaluation
        picked = all_rows[new]
        known = NewOutcomes(
            arrived[new],
            reference.probabilities[picked],
            reference.converted[picked],
            reference.days[picked],
        )
        step = watch_outcomes(quiet, state, reference.probabilities[rows], known)
        state = step.state
        assert statistic == pytest.approx(step.statistic, rel=1e-4, abs=2e-4)


def test_a_chart_of_outcomes_alone_is_silent_until_one_is_known() -> None:
    # Without a bet on scores all streams are equal until the first outcome: that is no alarm.
    reference = leads(2_000, 5)
    late = OutcomeReference(reference.probabilities, reference.converted, reference.days + 3.0)
    bets = (Bet("fewer conversions than predicted", -0.5),)
    chart = design_outcome_chart(
        late,
        evaluation_rows=EVALUATION_ROWS,
        evaluation_days=EVALUATION_DAYS,
        run_length=25,
        horizon=40,
        bets=bets,
        streams=500,
    )
    state, nothing = start_outcomes(chart), NewOutcomes(np.zeros(0, np.intp), *([np.zeros(0)] * 3))
    for _ in range(6):
        step = watch_outcomes(chart, state, reference.probabilities[:10], nothing)
        assert not step.alarm
        state = step.state


def test_a_look_without_leads_is_refused() -> None:
    with pytest.raises(BadInputError, match="0 leads"):
        design_outcome_chart(leads(400, 1), evaluation_rows=0, evaluation_days=1.0, run_length=25, horizon=40)
