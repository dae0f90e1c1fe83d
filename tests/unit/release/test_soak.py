"""A soak reports a real fall, and hardly ever an unchanged business, however often it is evaluated."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from tests.support.release_world import DIGEST, START

from leadscore.release.cohorts import Cohort
from leadscore.release.soak import KpiReport, SoakPlan, SoakRequest, evaluate_soak

ABOUT = SoakRequest(
    model="leads", version=7, digest=DIGEST, previous=6, since=START, until=START, exposure_hours=24.0
)
PLAN = SoakPlan()


def leads(seed: int, n: int, rate: float) -> Cohort:
    rng = np.random.default_rng(seed)
    converted = (rng.random(n) < rate).astype(float)
    return Cohort(
        at=np.arange(n, dtype=np.int64),
        second=np.ones(n, dtype=bool),
        converted=converted,
        value=converted * np.exp(7 + rng.normal(size=n)),
        grade_a=np.zeros(n, dtype=bool),
        immature=3,
        crossed=0,
    )


def grades(seed: int, n: int, share: float) -> npt.NDArray[np.float64]:
    return (np.random.default_rng(seed).random(n) < share).astype(float)


def reported(now: Cohort, share: float = 0.1, before: Cohort | None = None) -> KpiReport:
    base = leads(1000, 20_000, 0.1) if before is None else before
    return evaluate_soak(base, now, (grades(1, 20_000, 0.1), grades(2, 2000, share)), PLAN, ABOUT)


def test_an_unchanged_business_passes_at_every_hour() -> None:
    for seed in range(4):
        whole = leads(seed, 4800, 0.1)
        for n in range(800, 4801, 800):
            part = Cohort(
                whole.at[:n], whole.second[:n], whole.converted[:n], whole.value[:n], whole.grade_a[:n], 0, 0
            )
            assert reported(part).passed


def test_a_business_that_lost_half_is_found_and_named() -> None:
    found = reported(leads(3, 3000, 0.05))
    assert not found.passed
    assert "conversion fell from" in found.summary
    assert "with leads/6" in found.summary


def test_a_fall_within_the_margin_is_tolerated() -> None:
    found = reported(leads(3, 50_000, 0.095))
    assert found.passed


def test_grades_speak_before_any_outcome_does() -> None:
    nothing = leads(3, 0, 0.1)
    found = reported(nothing, share=0.01)
    assert not found.passed
    assert "share of grade A fell" in found.summary
    assert "conversion fell" not in found.summary


def test_a_judgement_is_one_where_a_loss_of_all_conversions_would_have_been_found() -> None:
    """Whether it is depends on how many converted before, not on what was seen since."""
    assert [reported(leads(3, n, 0.1)).judged for n in (0, 100, 200, 2000)] == [False, False, True, True]
    rare = leads(1000, 20_000, 0.01)
    assert [reported(leads(3, n, 0.01), before=rare).judged for n in (200, 1000, 2000)] == [
        False,
        False,
        True,
    ]
    assert not reported(leads(3, 2000, 0.1), before=leads(3, 0, 0.1)).judged
    nobody = leads(3, 200, 0.0)
    assert not reported(nobody).passed


def test_what_is_too_little_is_not_called_no_fall() -> None:
    found = reported(leads(3, 100, 0.1))
    assert found.passed
    assert found.summary.startswith("Too little seen to find any fall: 100 leads with 24 h of exposure")
    assert reported(leads(3, 2000, 0.1)).summary.startswith("No supported fall: 2,000 leads")


def test_a_fall_is_a_judgement_even_if_only_grades_show_it() -> None:
    assert reported(leads(3, 0, 0.1), share=0.01).judged


def test_without_any_lead_it_passes_and_says_that_it_knows_nothing() -> None:
    nothing = leads(3, 0, 0.1)
    found = evaluate_soak(nothing, nothing, (grades(1, 0, 0.1), grades(2, 0, 0.1)), PLAN, ABOUT)
    assert (found.passed, found.judged, found.leads) == (True, False, 0)
    assert found.summary.count("too little seen") == 3
