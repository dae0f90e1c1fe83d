"""From what was observed to a cause: each fault is named, calm is not blamed, and no data is no verdict."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import msgspec
import numpy as np
import pytest
from tests.unit.investigation.conftest import ASKED_AT, HOUR, SINCE, World, request, told

from leadscore.investigation.observed import LeadSample, RecordedChange, SpanObservation
from leadscore.investigation.run import conclude_investigation
from leadscore.monitoring.model_facts import ModelFacts
from leadscore.monitoring.queries.ranges import HourRange


def test_calm_weeks_are_not_blamed(world: World) -> None:
    named = Counter(conclude_investigation(world.observe(seed)).cause for seed in range(60))
    assert named["no_fault"] >= 59, named


def test_fewer_conversions_of_the_same_leads_are_concept_drift(world: World) -> None:
    report = conclude_investigation(world.observe(factor=0.6))
    assert report.cause == "concept_drift"
    assert any("convert" in f.sentence and "less than leads of the same score" in f.sentence
               for f in report.findings)  # fmt: skip


def test_scores_that_no_longer_rank_are_concept_drift(world: World) -> None:
    def shuffled(sample: LeadSample) -> LeadSample:
        won = np.random.default_rng(5).permutation(sample.won)
        return replace(sample, won=won, converted=won)

    report = conclude_investigation(world.observe(change=shuffled))
    assert report.cause == "concept_drift"
    assert any("AUC" in finding.sentence for finding in report.findings)


@pytest.mark.parametrize("factor", [100.0, 0.001, 60.0])
def test_another_unit_is_the_feed(world: World, factor: float) -> None:
    def scaled(sample: LeadSample) -> LeadSample:
        rows = sample.rows.copy()
        rows[:, 0] *= np.float32(factor)
        return replace(sample, rows=rows)

    report = conclude_investigation(world.observe(change=scaled))
    assert report.cause == "integration"
    assert any("as if its unit had changed" in finding.sentence for finding in report.findings)


def test_a_field_that_arrives_empty_is_the_feed(world: World) -> None:
    def emptied(sample: LeadSample) -> LeadSample:
        rows = sample.rows.copy()
        rows[: len(rows) // 3, 5] = np.nan
        return replace(sample, rows=rows)

    report = conclude_investigation(world.observe(change=emptied))
    assert report.cause == "integration"
    assert any(f.sentence.startswith("Country arrives empty in 4") for f in report.findings)


def test_a_new_category_is_another_market_and_not_an_empty_field(world: World) -> None:
    def new_category(sample: LeadSample) -> LeadSample:
        rows = sample.rows.copy()
        rows[: len(rows) // 3, 5] = np.nan
        return replace(sample, rows=rows, warned={"country:unseen_category": len(rows) // 3})

    report = conclude_investigation(world.observe(change=new_category))
    assert report.cause == "data_drift"
    assert any("does not know" in finding.sentence for finding in report.findings)


def test_leads_of_another_kind_are_data_drift(world: World) -> None:
    def moved(sample: LeadSample) -> LeadSample:
        rows = sample.rows.copy()
        rows[: len(rows) // 2, 4] = 4.0
        return replace(sample, rows=rows)

    assert conclude_investigation(world.observe(change=moved)).cause == "data_drift"


def test_leads_that_arrive_twice_are_the_feed(world: World) -> None:
    report = conclude_investigation(
        world.observe(change=lambda sample: replace(sample, repeated=len(sample) // 4))
    )
    assert report.cause == "integration"
    assert any("more than once" in finding.sentence for finding in report.findings)


def test_outcomes_that_stopped_are_the_feed(world: World) -> None:
    quiet = told(until=(ASKED_AT - timedelta(days=6)).date())
    report = conclude_investigation(world.observe(outcome_days=quiet))
    assert report.cause == "integration"
    assert any("No outcome has been told since 2026-08-26" in f.sentence for f in report.findings)


def test_a_silent_feed_of_leads_is_said_with_its_hours(world: World) -> None:
    seen = world.observe()
    start = SINCE + timedelta(days=3)
    hours = {at: n for at, n in seen.now.hours.items() if not start <= at < start + 30 * HOUR}
    report = conclude_investigation(replace(seen, now=replace(seen.now, hours=hours)))
    assert any(
        "No lead was scored from 2026-06-26 00:00 to 2026-06-27 06:00" in f.sentence for f in report.findings
    )


def test_a_version_that_is_worse_on_the_same_leads_is_the_model(world: World) -> None:
    def inverted(sample: LeadSample) -> LeadSample:
        return replace(sample, probabilities=np.random.default_rng(3).permutation(sample.probabilities))

    seen = world.observe(change=inverted, version="2")
    sound = world.observe().now.sample
    assert sound is not None
    report = conclude_investigation(replace(seen, replayed=sound.probabilities))
    assert report.cause == "model"
    assert "models rollback leads" in " ".join(report.commands)


def test_a_new_version_that_is_as_good_is_not_blamed(world: World) -> None:
    seen = world.observe(version="2")
    assert seen.now.sample is not None
    report = conclude_investigation(replace(seen, replayed=seen.now.sample.probabilities * 0.99))
    assert report.cause == "no_fault"


def test_without_outcomes_nothing_is_acquitted(world: World) -> None:
    def open_leads(sample: LeadSample) -> LeadSample:
        nothing = np.full(len(sample), np.nan)
        return replace(sample, converted=nothing, told=nothing, won=nothing)

    seen = world.observe(change=open_leads)
    report = conclude_investigation(replace(seen, now=replace(seen.now, mature=None)))
    assert report.cause == "unknown"
    assert "is 30 days old yet" in report.headline
    assert report.follow_up_at == ASKED_AT + timedelta(days=30)


def test_without_a_lead_nothing_is_acquitted(world: World) -> None:
    seen = world.observe()
    empty = replace(
        seen.now, version="", by_version={}, hours={}, bins={}, mature=None, cells={}, sample=None
    )
    report = conclude_investigation(replace(seen, now=empty, facts=None, no_facts="No lead was scored."))
    assert report.cause != "no_fault"


def of_another_source(sample: LeadSample) -> LeadSample:
    rows = sample.rows.copy()
    rows[: len(rows) // 2, 4] = 4.0
    return replace(sample, rows=rows)


def few(sample: LeadSample, count: int) -> LeadSample:
    return replace(
        sample, rows=sample.rows[:count], probabilities=sample.probabilities[:count],
        converted=sample.converted[:count], told=sample.told[:count], won=sample.won[:count],
    )  # fmt: skip


@pytest.mark.parametrize(("leads", "sure"), [(4_000, "high"), (700, "medium"), (180, "low")])
def test_an_acquittal_is_as_sure_as_its_leads_are_many_and_says_what_it_would_have_seen(
    world: World, leads: int, sure: str
) -> None:
    seen = world.observe(seed=3)
    assert seen.now.sample is not None
    assert seen.before.sample is not None
    seen = replace(
        seen,
        now=replace(seen.now, sample=few(seen.now.sample, leads)),
        before=replace(seen.before, sample=few(seen.before.sample, leads)),
    )
    report = conclude_investigation(seen)
    assert (report.cause, report.certainty) == ("no_fault", sure)
    assert re.search(r"A fall of conversions by \d\d% or more would have been seen", report.headline)
    assert ("these leads are few" in report.headline) == (sure != "high")
    assert report.resolution[0].startswith("Give a longer time" if sure == "low" else "Nothing needs")
    assert f"Of {leads:,} leads" in report.steps[3].sentence


@pytest.mark.parametrize(("days", "cause"), [(2, "no_fault"), (70, "data_drift")])
def test_the_hour_at_which_leads_came_is_no_other_leads_in_a_time_without_all_hours(
    world: World, facts: ModelFacts, days: int, cause: str
) -> None:
    """A weekday of two days against seven is the calendar's."""
    called = {"source": "created_weekday"}

    def renamed(span: SpanObservation) -> SpanObservation:
        return replace(span, cells={called.get(name, name): cells for name, cells in span.cells.items()})

    seen = world.observe(change=of_another_source)
    features = [msgspec.structs.replace(f, name=called.get(f.name, f.name)) for f in facts.contract.features]
    profiles = [msgspec.structs.replace(f, name=called.get(f.name, f.name)) for f in facts.profile.features]
    seen = replace(
        seen,
        now=renamed(seen.now),
        before=renamed(seen.before),
        facts=replace(
            facts,
            contract=msgspec.structs.replace(facts.contract, features=tuple(features)),
            profile=msgspec.structs.replace(facts.profile, features=tuple(profiles)),
        ),
        request=request(time=HourRange(ASKED_AT - timedelta(days=days), ASKED_AT)),
    )
    assert conclude_investigation(seen).cause == cause


def test_without_counts_nothing_is_acquitted(world: World) -> None:
    report = conclude_investigation(
        replace(world.observe(), counted_until=None, stale="Nothing has been counted yet.")
    )
    assert report.cause == "unknown"
    assert "Nothing has been counted yet." in report.steps[0].sentence


def test_records_of_the_time_are_named_with_their_ids(world: World) -> None:
    change = RecordedChange(SINCE + HOUR, "Version 2 became the one that answers, by anna.", "d-17", True)
    report = conclude_investigation(world.observe(changes=(change,)))
    [found] = [f for f in report.findings if f.evidence]
    assert found.evidence == ("d-17",)
    assert found.points_to is None
    assert "2026-06-23 01:00 UTC" in found.sentence


def test_the_span_before_has_the_same_weekdays_and_length() -> None:
    asked = request()
    assert asked.before.length == asked.time.length
    assert asked.before.end <= asked.time.start
    assert (asked.time.start - asked.before.start) % timedelta(weeks=1) == timedelta(0)


def test_other_leads_and_other_outcomes_together_are_told_apart_by_what_moved_more(world: World) -> None:
    def moved(sample: LeadSample) -> LeadSample:
        rows = sample.rows.copy()
        rows[: len(rows) // 2, 4] = 4.0
        return replace(sample, rows=rows)

    assert conclude_investigation(world.observe(change=moved, factor=0.35)).cause == "concept_drift"

    def poorer(sample: LeadSample) -> LeadSample:
        p = sample.probabilities * 0.4
        won = (np.random.default_rng(4).random(len(p)) < 0.75 * p).astype(np.float64)
        return replace(moved(sample), probabilities=p, won=won, converted=won)

    assert conclude_investigation(world.observe(change=poorer)).cause == "data_drift"


def test_six_steps_are_said_in_order(world: World) -> None:
    report = conclude_investigation(world.observe())
    assert [step.title for step in report.steps] == [
        "Health and recent changes", "Conversion by score", "Data quality and drift",
        "The model against its promises", "Root cause", "Proposed resolution",
    ]  # fmt: skip
    assert {step.state for step in report.steps} == {"ok"}
