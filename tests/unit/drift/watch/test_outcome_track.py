"""A stream's outcomes: each counts for its lead's block, in any order, however often they are read."""

from __future__ import annotations

import dataclasses
from functools import cache

import msgspec
import numpy as np
import pytest

from leadscore.drift.sequential import NewOutcomes, OutcomeChart, start_outcomes, watch_outcomes
from leadscore.drift.sequential.late_outcomes import OutcomeNull
from leadscore.drift.watch.outcome_plan import OutcomeDesign, OutcomeSample, design_outcomes
from leadscore.drift.watch.outcome_track import NEVER, Charted, follow_outcomes, joined
from leadscore.drift.watch.plan import OutcomePlan
from leadscore.drift.watch.track import ChartEvaluation

DAY = 86_400_000_000
BEGIN = 1_780_000_000_000_000
EVERY, WAIT = 10, 20.0
# A lead every hour and a half: an evaluation takes ten of them.
STEP = DAY // 16
QUIET = OutcomeDesign(
    chart=OutcomeChart(OutcomeNull(0.0, 1.0, -0.1, 0.2), run_length=1e9, horizon=40),
    share=1.0,
    every=EVERY,
    wait=WAIT,
    timed=True,
)


def stream(rows: int, seed: int, *, loses_from: int | None = None) -> Charted:
    """Calibrated leads with outcomes after some days; from lead `loses_from` on nobody buys."""
    rng = np.random.default_rng(seed)
    p = rng.beta(2, 8, rows)
    won = rng.random(rows) < p
    if loses_from is not None:
        won[loses_from:] = False
    at = BEGIN + np.arange(rows, dtype=np.int64) * STEP
    took = np.exp(rng.normal(1.0, 0.8, rows)) * DAY
    return Charted(np.arange(1, rows + 1), at, p, at + took.astype(np.int64), won, np.zeros(rows, dtype=bool))


@cache
def simulated() -> OutcomeDesign:
    rng = np.random.default_rng(0)
    p = rng.beta(2, 8, 4_000)
    won = rng.random(4_000) < p
    days = np.exp(rng.normal(1.0, 0.8, 4_000))
    sample = OutcomeSample(won, days, np.full(4_000, 365.0))
    return design_outcomes(p, sample, OutcomePlan.of(WAIT, 16.0), run_length=800, every=EVERY)


def evaluations_of(design: OutcomeDesign, leads: Charted) -> list[ChartEvaluation]:
    evaluations: list[ChartEvaluation] = []
    follow_outcomes(design, leads, on_evaluation=evaluations.append)
    return evaluations


def later(leads: Charted, until: int) -> Charted:
    """What those know of the stream who ask at `until`."""
    here = leads.at < until
    known = np.where(leads.known < until, leads.known, NEVER)
    said = dataclasses.replace(leads, known=known, converted=leads.converted & (known != NEVER))
    return Charted(*(getattr(said, f.name)[here] for f in dataclasses.fields(said)))


def test_an_outcome_counts_for_the_look_of_its_lead_when_it_is_known():
    # One lead of the first evaluation converts; its outcome comes with the fourth.
    leads = stream(40, 1)
    known = np.full(40, NEVER)
    known[3] = leads.at[34]
    won = np.arange(40) == 3
    found = evaluations_of(QUIET, dataclasses.replace(leads, known=known, converted=won))
    state, said = start_outcomes(QUIET.chart), []
    for evaluation in range(1, 5):
        new = NewOutcomes(
            np.array([1] if evaluation == 4 else [], dtype=np.intp),
            *(x[3:4] if evaluation == 4 else x[:0] for x in (leads.probabilities, won)),
            np.array([31 / 16] if evaluation == 4 else []),
        )
        step = watch_outcomes(
            QUIET.chart, state, leads.probabilities[(evaluation - 1) * 10 : evaluation * 10], new
        )
        state, said = step.state, [*said, step.statistic]
    assert [evaluation.statistic for evaluation in found] == said
    # As an outcome of the newest evaluation it would be worth something else.
    wrong = NewOutcomes(np.array([4]), leads.probabilities[3:4], won[3:4], np.array([31 / 16]))
    state = start_outcomes(QUIET.chart)
    for evaluation in range(1, 5):
        nothing = NewOutcomes(np.zeros(0, np.intp), np.zeros(0), np.zeros(0, np.bool_), np.zeros(0))
        arrived = leads.probabilities[(evaluation - 1) * 10 : evaluation * 10]
        step = watch_outcomes(QUIET.chart, state, arrived, wrong if evaluation == 4 else nothing)
        state = step.state
    assert found[-1].statistic != step.statistic


def test_outcomes_are_the_same_in_whichever_order_the_store_gives_leads_of_a_moment():
    # A bulk request: all leads of two evaluations were scored in one microsecond. An outcome is known by the
    # first of these evaluations, but never before its own lead's.
    leads = stream(60, 2)
    at = leads.at.copy()
    at[10:30] = at[10]
    leads = dataclasses.replace(leads, at=at, known=np.maximum(leads.known, at))
    first = leads.known.copy()
    first[25] = at[25]
    found = evaluations_of(QUIET, dataclasses.replace(leads, known=first))
    assert len(found) == 6
    told = follow_outcomes(QUIET, dataclasses.replace(leads, known=first))
    assert told.known + told.waiting + told.unknown == told.followed == 60


def test_a_stream_read_again_later_says_of_earlier_looks_what_it_said():
    leads = stream(600, 3)
    whole = evaluations_of(QUIET, leads)
    for rows in (5, 10, 155, 420):
        before = later(leads, int(leads.at[rows]))
        assert evaluations_of(QUIET, before) == whole[: rows // EVERY]


def test_a_stream_in_parts_is_the_stream():
    leads = stream(300, 4)
    parts = [
        Charted(*(getattr(leads, f.name)[piece] for f in dataclasses.fields(leads)))
        for piece in (slice(0, 1), slice(1, 137), slice(137, 300))
    ]
    assert follow_outcomes(QUIET, joined(parts)) == follow_outcomes(QUIET, leads)


def test_a_corrected_outcome_counts_instead_of_the_first():
    leads = stream(400, 5)
    lost = np.flatnonzero(~leads.converted)[:50]
    won = leads.converted.copy()
    won[lost] = True
    before, after = (
        follow_outcomes(QUIET, each) for each in (leads, dataclasses.replace(leads, converted=won))
    )
    assert before.evaluation.statistic != after.evaluation.statistic
    assert "more conversions" in after.evaluation.signs[0].how or "higher" in after.evaluation.signs[0].how


def test_leads_are_known_waited_for_unknown_or_replaced():
    leads = stream(645, 6)
    known = np.where(np.arange(645) % 10 == 0, NEVER, leads.at + DAY)
    # Of the rest one in ten comes late, and one in ten of those without an outcome was scored again.
    known = np.where(np.arange(645) % 10 == 1, leads.at + int(25 * DAY), known)
    replaced = np.arange(645) % 100 == 0
    said = follow_outcomes(QUIET, dataclasses.replace(leads, known=known, replaced=replaced))
    assert (said.followed, said.pending) == (640, 5)
    # Two of ten leads of the last 20 days (320 leads) may still get an outcome in time;
    # those of the late ones that have none yet.
    last = int(leads.at[639])
    young = last - leads.at[:640] <= WAIT * DAY
    assert said.replaced == 7
    assert said.known == int(((known - leads.at <= DAY) & (known <= last))[:640].sum())
    never = known[:640] == NEVER
    day = ~never & (known[:640] - leads.at[:640] <= DAY) & (known[:640] > last)
    assert said.waiting == int((young & never & ~replaced[:640]).sum()) + int(day.sum())
    assert said.known + said.waiting + said.unknown + said.replaced == 640


def test_outcomes_that_stop_coming_as_predicted_alarm_and_say_since_when():
    leads = stream(1_600, 13, loses_from=800)
    said = follow_outcomes(simulated(), leads)
    first = said.alarms.first
    assert first is not None
    assert "conversion" in first.signs[0].how
    assert "few" in first.signs[0].how or "lower" in first.signs[0].how
    assert 800 < first.lead < 1_300
    # The lead with which it began is told to within some evaluations, although its outcome came days later.
    assert first.since_lead == pytest.approx(800, abs=100)
    assert first.since is not None
    assert first.since < first.at


def test_unchanged_streams_alarm_about_as_often_as_was_asked():
    evaluations = 480 // simulated().every
    alarmed = sum(
        follow_outcomes(simulated(), stream(480, seed)).alarms.count > 0 for seed in range(100, 160)
    )
    expected = 60 * (1 - (1 - 1 / simulated().chart.run_length) ** evaluations)
    assert abs(alarmed - expected) < 3.5 * np.sqrt(expected)


def test_the_chart_begins_anew_after_an_alarm_and_takes_no_outcome_of_leads_from_before():
    loud = msgspec.structs.replace(
        QUIET, chart=msgspec.structs.replace(QUIET.chart, run_length=float(np.exp(3.0)))
    )
    leads = stream(1_000, 8, loses_from=0)
    said = follow_outcomes(loud, leads)
    assert said.alarms.count > 1
    evaluations = evaluations_of(loud, leads)
    alarm = next(i for i, evaluation in enumerate(evaluations) if evaluation.statistic > evaluation.level)
    # The evaluation after the alarm knows of one block of leads only.
    assert evaluations[alarm + 1].statistic < 1.0


def test_without_dates_an_outcome_is_asked_at_one_age_and_later_ones_never_are():
    leads = stream(640, 9)
    early, late = leads.at + DAY, leads.at + int(21 * DAY)
    asked = msgspec.structs.replace(QUIET, timed=False)
    said = follow_outcomes(asked, dataclasses.replace(leads, known=early))
    # 320 leads are 20 days old when the last was scored.
    assert said.known == pytest.approx(320, abs=EVERY)
    assert said.unknown == 0
    none = follow_outcomes(asked, dataclasses.replace(leads, known=late))
    assert none.known == 0


def test_a_stream_shorter_than_a_look_says_nothing():
    said = follow_outcomes(QUIET, stream(9, 10))
    assert (said.followed, said.pending, said.evaluation, said.alarms.count) == (0, 9, None, 0)
