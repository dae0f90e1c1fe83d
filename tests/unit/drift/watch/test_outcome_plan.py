from __future__ import annotations

import numpy as np
import pytest

from leadscore.drift.watch.outcome_plan import (
    OutcomeSample,
    design_outcomes,
    is_charted,
    mature_reference,
    usual_wait,
)
from leadscore.drift.watch.plan import OutcomePlan
from leadscore.errors import BadInputError

ROWS = 2_000
# Of the leads L00000000 to L00000099.
CHARTED = [1, 5, 7, 10, 12, 18, 23, 26, 30, 63, 82, 85, 92]


def sample(*, age: float = 365.0, rows: int = ROWS) -> tuple[np.ndarray, OutcomeSample]:
    """Scores of a calibrated model, and what became of its leads; wins come in sooner."""
    rng = np.random.default_rng(1)
    p = rng.beta(2, 8, rows)
    converted = rng.random(rows) < p
    days = np.exp(rng.normal(size=rows) + np.where(converted, 1.0, 1.3))
    return p, OutcomeSample(converted, days, np.full(rows, age))


def test_outcomes_are_waited_for_as_long_as_nineteen_of_twenty_took():
    _, found = sample()
    wait = usual_wait(found)
    assert (found.days <= wait).mean() == pytest.approx(0.95, abs=0.01)


def test_outcomes_are_waited_for_no_longer_than_half_of_the_reference_was_followed():
    assert usual_wait(sample(age=4.0)[1]) == 4.0


def test_where_nothing_tells_how_long_outcomes_take_it_is_thirty_days():
    _, found = sample()
    unsaid = OutcomeSample(found.converted, np.full(ROWS, np.nan), found.age)
    assert {usual_wait(None), usual_wait(OutcomeSample(found.converted)), usual_wait(unsaid)} == {30.0}


def test_leads_that_were_too_young_when_the_model_was_trained_are_no_reference():
    p, found = sample()
    # Of the young leads only the early outcomes are known, most of them wins.
    young = np.arange(ROWS) >= 1_500
    mixed = OutcomeSample(found.converted, found.days, np.where(young, 5.0, 60.0))
    kept = mature_reference(p, mixed, 20.0)
    assert np.array_equal(kept.probabilities, p[:1_500])
    assert np.array_equal(kept.days, found.days[:1_500])


def test_without_dates_all_outcomes_of_the_reference_are_asked_at_one_age():
    p, found = sample()
    kept = mature_reference(p, OutcomeSample(found.converted), 20.0)
    assert set(kept.days) == {20.0}
    assert len(kept.days) == ROWS
    design = design_outcomes(
        p, OutcomeSample(found.converted), OutcomePlan.of(20.0, 20.0), run_length=100, every=4
    )
    assert not design.timed
    # How long an outcome took says nothing where all took the same.
    assert design.chart.null.timing == 0.0


def test_so_many_leads_are_charted_as_can_be_simulated():
    p, found = sample()
    few = design_outcomes(p, found, OutcomePlan.of(15.0, 100.0), run_length=300, every=1)
    assert (few.share, few.every) == (1.0, 38)
    many = design_outcomes(p, found, OutcomePlan.of(15.0, 10_000.0), run_length=30_000, every=120)
    assert many.share == pytest.approx(10_000 / 150_000, rel=0.02)
    # Charted leads are evaluated as often in the time that an outcome is waited for.
    assert many.every / many.share / 10_000 == pytest.approx(few.every / 100, rel=0.05)
    assert few.chart.horizon == many.chart.horizon == 61
    assert many.chart.run_length == pytest.approx(few.chart.run_length, rel=0.05)


def test_a_small_reference_has_few_leads_charted_beside_it():
    p, found = sample(rows=500)
    design = design_outcomes(p, found, OutcomePlan.of(15.0, 1_000.0), run_length=3_000, every=12)
    assert design.share * 15_000 == pytest.approx(8 * 500, rel=0.02)


def test_a_reference_without_old_enough_leads_says_what_to_do():
    p, found = sample(age=10.0)
    with pytest.raises(BadInputError, match="15 days old") as caught:
        design_outcomes(p, found, OutcomePlan.of(15.0, 100.0), run_length=3_000, every=12)
    assert "--maturity" in (caught.value.hint or "")


def test_alarms_that_are_to_come_faster_than_outcomes_are_looked_at_are_refused():
    p, found = sample()
    with pytest.raises(BadInputError, match="tested every"):
        design_outcomes(p, found, OutcomePlan.of(60.0, 100.0), run_length=300, every=1)


def test_a_few_leads_more_per_day_plan_the_same_chart():
    assert OutcomePlan.of(30.0, 123.4) == OutcomePlan.of(30.0, 118.0)


def test_the_charted_leads_are_a_share_of_all_and_always_the_same():
    ids = [f"L{n:08d}" for n in range(20_000)]
    tenth = is_charted(ids, 0.1)
    assert tenth.mean() == pytest.approx(0.1, abs=0.01)
    backwards = is_charted(ids[::-1], 0.1)[::-1]
    assert np.array_equal(tenth, backwards)
    # More of them: those from before, and others.
    assert not (tenth & ~is_charted(ids, 0.2)).any()
    assert is_charted(ids, 1.0).all()
    # The same in every process and release: a chart's past does not change.
    assert [n for n in range(100) if tenth[n]] == CHARTED
