from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from tests.unit.drift.streams import leads, probabilities, reference

from leadscore.drift.runlength import FalseAlarms
from leadscore.drift.watch.design import ChartBaseline, charted, design_watch, fingerprint
from leadscore.drift.watch.outcome_plan import OutcomeSample
from leadscore.drift.watch.plan import OutcomePlan, WatchPlan, budget_leads
from leadscore.errors import BadInputError

SAMPLE = leads(400, 1)
BASELINE = ChartBaseline(reference().profile, SAMPLE, probabilities(SAMPLE))
RNG = np.random.default_rng(4)
WON = RNG.random(400) < BASELINE.probabilities
LABELLED = dataclasses.replace(
    BASELINE, outcomes=OutcomeSample(WON, RNG.exponential(4.0, 400), np.full(400, 90.0))
)


def test_a_budget_in_time_becomes_leads_of_two_digits():
    assert budget_leads(FalseAlarms(expected=1, per_hours=720), 12.34) == 8900
    assert budget_leads(FalseAlarms(expected=2, per_hours=720), 12.34) == 4400


def test_charts_look_often_enough_that_waiting_for_a_look_costs_little():
    assert WatchPlan.of(15_000).every == 60
    assert WatchPlan.of(100).every == 1
    assert WatchPlan.of(15_000, every=7).every == 7


@pytest.mark.parametrize("run_length", [0.0, 1.0, 50.0, float("nan"), float("inf")])
def test_an_alarm_at_every_look_is_refused(run_length):
    with pytest.raises(BadInputError, match="every evaluation"):
        WatchPlan.of(run_length, every=50)


def test_two_charts_share_the_false_alarms():
    late = OutcomePlan.of(10.0, 20.0)
    one, two = WatchPlan.of(1_000, every=10), WatchPlan.of(1_000, every=10, outcomes=late)
    assert (one.evaluations, two.evaluations) == (100, 200)
    design = design_watch(LABELLED, WatchPlan.of(200, every=20, outcomes=late))
    assert design.outcomes is not None
    assert design.leads.boundary.run_length == design.outcomes.chart.run_length == 20


def test_what_is_left_out_is_not_charted():
    histograms, columns = charted(BASELINE, WatchPlan.of(1_000, without=("visits", "score")))
    assert [h.name for h in histograms] == ["budget", "source", "phone"]
    assert columns == [0, 2, 3]
    with pytest.raises(BadInputError, match="no feature visit"):
        charted(BASELINE, WatchPlan.of(1_000, without=("visit",)))


def test_outcomes_without_a_sample_of_predictions_are_refused():
    for baseline in (ChartBaseline(BASELINE.profile), BASELINE):
        with pytest.raises(BadInputError, match="no reference sample"):
            design_watch(baseline, WatchPlan.of(100, every=20, outcomes=OutcomePlan.of(10.0, 20.0)))


def test_other_leads_or_another_plan_are_other_charts():
    plan = WatchPlan.of(1_000)
    others = (
        (ChartBaseline(BASELINE.profile), plan),
        (ChartBaseline(BASELINE.profile, SAMPLE[:-1], BASELINE.probabilities), plan),
        (BASELINE, WatchPlan.of(1_001)),
        (BASELINE, WatchPlan.of(1_000, without=("visits",))),
        (BASELINE, WatchPlan.of(1_000, outcomes=OutcomePlan.of(10.0, 20.0))),
        (LABELLED, WatchPlan.of(1_000, outcomes=OutcomePlan.of(10.0, 20.0))),
        (LABELLED, WatchPlan.of(1_000, outcomes=OutcomePlan.of(11.0, 20.0))),
    )
    known = {fingerprint(BASELINE, plan), *(fingerprint(*other) for other in others)}
    assert len(known) == 8
    # Outcomes do not matter to charts of features.
    assert fingerprint(LABELLED, plan) == fingerprint(BASELINE, plan)
    assert fingerprint(BASELINE, plan) == fingerprint(BASELINE, WatchPlan.of(1_000))
