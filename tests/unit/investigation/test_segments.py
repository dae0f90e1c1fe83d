"""A complaint about one segment is answered by that segment's leads, and by whether the others are calm."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.unit.investigation.conftest import ASKED_AT, World, request

from leadscore.investigation.document import InvestigationReport
from leadscore.investigation.observed import LeadSample, Observed, SpanObservation
from leadscore.investigation.request import LeadSegment
from leadscore.investigation.run import conclude_investigation
from leadscore.investigation.segments import count_sample, only_segment
from leadscore.monitoring.model_facts import ModelFacts
from leadscore.monitoring.queries.counts import CellCounts

GERMANY = LeadSegment("country", "DE")
COLUMN = 5


def counted(won: int, n: int, *, promised: float = 0.1, open_leads: int = 0) -> CellCounts:
    return CellCounts(
        predictions=n + open_leads, labelled=n, converted=won, sum_probability=promised * (n + open_leads)
    )


def of_germany(sample: LeadSample, most: int | None = None) -> LeadSample:
    chosen = np.flatnonzero(sample.rows[:, COLUMN] == 0.0)[:most]
    return LeadSample(
        sample.rows[chosen], sample.probabilities[chosen], sample.converted[chosen], sample.told[chosen],
        sample.won[chosen], {}, 0,
    )  # fmt: skip


def asked_of_germany(
    seen: Observed, before: tuple[CellCounts, CellCounts], now: tuple[CellCounts, CellCounts],
    most: int | None = None,
) -> Observed:  # fmt: skip
    """The same world, of one segment: counts of it and of the others, and a sample of it."""
    assert seen.facts is not None
    profile = seen.facts.profile

    def limited(span: SpanObservation, segment: CellCounts, others: CellCounts) -> SpanObservation:
        assert span.sample is not None
        only = only_segment(span, of_germany(span.sample, most), profile, GERMANY)
        return replace(only, segment=segment, others=others, segment_leads=segment.predictions)

    return replace(
        seen,
        request=request(segment=GERMANY),
        before=limited(seen.before, *before),
        now=limited(seen.now, *now),
    )


def conclude(
    world: World, before: CellCounts, now: CellCounts, others: tuple[CellCounts, CellCounts] | None = None
) -> InvestigationReport:
    calm = (counted(180, 1_800), counted(185, 1_800)) if others is None else others
    # As many leads as are too few for what the model promised of them.
    return conclude_investigation(
        asked_of_germany(world.observe(), (before, calm[0]), (now, calm[1]), most=100)
    )


def test_a_segment_that_stopped_converting_is_a_cause_limited_to_it(world: World) -> None:
    report = conclude(world, counted(14, 132), counted(0, 165))
    assert report.cause == "concept_drift"
    assert report.certainty == "medium"
    assert "0.0% of 165 converted now, 10.6% of 132 before" in report.headline
    assert "limited to this segment" in report.headline
    assert "too few outcomes" not in report.headline


def test_a_segment_that_is_promised_as_much_less_has_other_leads(world: World) -> None:
    report = conclude(world, counted(60, 300, promised=0.2), counted(12, 300, promised=0.05))
    assert report.cause == "data_drift"


def test_a_change_of_all_leads_is_not_called_one_of_the_segment(world: World) -> None:
    others = (counted(400, 2_000), counted(100, 2_000))
    report = conclude(world, counted(60, 300), counted(12, 300), others)
    assert report.cause == "concept_drift"
    assert "limited" not in report.headline
    assert "The others have changed, too." in report.headline


def test_what_chance_explains_is_no_cause_and_no_acquittal(world: World) -> None:
    report = conclude(world, counted(14, 132), counted(11, 165))
    assert report.cause == "unknown"


def test_losses_that_are_told_late_are_no_change(world: World) -> None:
    report = conclude(world, counted(40, 400), counted(40, 120, open_leads=280))
    assert report.cause == "unknown"


def test_every_step_that_can_be_is_of_the_segment_and_says_so(world: World, facts: ModelFacts) -> None:
    seen = asked_of_germany(
        world.observe(), (counted(60, 600), counted(180, 1_800)), (counted(62, 600), counted(180, 1_800))
    )
    assert seen.now.sample is not None
    total = len(seen.now.sample)
    assert 0 < total < 4_000
    assert {sum(cells) for cells in seen.now.cells.values()} == {total}
    assert seen.now.mature_total.predictions == total
    assert seen.now.cells == count_sample(facts.profile, seen.now.sample.rows)
    health, conversion, data, *_ = conclude_investigation(seen).steps
    assert "the table are of all leads" in health.sentence
    assert ("now, country=DE", "600", "", "1") in health.tables[0].rows
    assert conversion.tables[0].rows[-1] == ("all", "10.0% of 600", "10.3% of 600")
    assert f"a sample of leads with country=DE ({total:,} now" in conversion.sentence
    assert "leads with country=DE look as before" in data.sentence


def test_an_empty_field_of_the_segment_alone_is_the_feed(world: World) -> None:
    def emptied(sample: LeadSample) -> LeadSample:
        rows = sample.rows.copy()
        german = np.flatnonzero(rows[:, COLUMN] == 0.0)
        rows[german[::3], 0] = np.nan
        return replace(sample, rows=rows)

    calm = (counted(60, 600), counted(180, 1_800))
    report = conclude_investigation(asked_of_germany(world.observe(change=emptied), calm, calm))
    assert report.cause == "integration"


def test_a_segment_that_cannot_be_told_apart_is_not_answered_with_all_leads(world: World) -> None:
    seen = world.observe(request=request(segment=GERMANY), facts=None, no_facts="The model cannot be read.")
    blank = {"mature": None, "cells": {}, "sample": None}
    report = conclude_investigation(
        replace(seen, now=replace(seen.now, **blank), before=replace(seen.before, **blank))
    )
    assert report.cause == "unknown"
    assert "Which leads have country=DE is not known." in report.steps[1].sentence


def test_too_few_leads_are_not_said_to_look_as_before(world: World) -> None:
    report = conclude(world, counted(14, 132), counted(13, 132))
    assert report.steps[2].state == "unknown"
    assert "Too few leads with country=DE (100)" in report.steps[2].sentence


@pytest.mark.parametrize(
    ("share", "cause", "certainty"), [(0.2, "unknown", "low"), (0.8, "no_fault", "medium")]
)
def test_a_time_before_that_the_store_does_not_hold_acquits_nobody_for_sure(
    world: World, share: float, cause: str, certainty: str
) -> None:
    before = request().before
    first = before.end - share * before.length
    report = conclude_investigation(world.observe(first_lead=first))
    assert (report.cause, report.certainty) == (cause, certainty)
    assert f"only {share:.0%} of the time before is known" in report.steps[0].sentence


def test_a_cause_is_less_sure_where_the_time_before_is_not_stored(world: World) -> None:
    before = request().before
    assert conclude_investigation(world.observe(factor=0.5)).certainty == "high"
    seen = world.observe(factor=0.5, first_lead=before.end - 0.2 * before.length)
    assert conclude_investigation(seen).certainty == "low"


def test_leads_a_day_are_of_the_days_that_are_stored(world: World) -> None:
    before = request().before
    seen = world.observe(first_lead=before.end - before.length / 7)
    [row, _] = conclude_investigation(seen).steps[0].tables[0].rows
    assert row == ("before", "4,000", "400", "1")


def test_many_more_leads_than_before_are_not_as_before(world: World) -> None:
    seen = world.observe()
    few = {name: replace(counts, predictions=700) for name, counts in seen.before.by_version.items()}
    said = (
        conclude_investigation(replace(seen, before=replace(seen.before, by_version=few))).steps[0].sentence
    )
    assert "57 leads a day arrived, before it was 10" in said
    assert "as before" not in said


def test_where_no_lead_was_scored_nothing_is_as_before(world: World) -> None:
    seen = world.observe(counted_until=ASKED_AT)
    for name in ("now", "before"):
        empty = replace(getattr(seen, name), by_version={}, hours={}, bins={})
        health = conclude_investigation(replace(seen, **{name: empty})).steps[0]  # type: ignore[arg-type]
        assert "arrived as before" not in health.sentence
        assert health.state != "ok"
