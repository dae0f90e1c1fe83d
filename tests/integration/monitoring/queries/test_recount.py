"""Every query gives what a slow recount of the raw leads gives, on both databases."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from tests.support.rollups import ScoredLead, fill_rollups, random_leads
from tests.support.stores import fresh_url

from leadscore.events.store import EventStore
from leadscore.monitoring.queries.business import read_business, read_conversion_series, slice_of_bin
from leadscore.monitoring.queries.counts import read_cells, read_counts
from leadscore.monitoring.queries.freshness import Freshness, read_freshness
from leadscore.monitoring.queries.ranges import HourRange, Selection
from leadscore.monitoring.queries.traffic import read_latency, read_score_distribution, read_traffic
from leadscore.scoring.probability_bins import PROBABILITY_EDGES

NOW = datetime(2026, 11, 29, 12, 20, tzinfo=UTC)
START = NOW - timedelta(days=80)
LEADS = random_leads(START, 79, 3_000, seed=5)


@pytest.fixture(scope="module")
def store(
    backend: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Generator[EventStore]:
    with EventStore(fresh_url(backend, request, tmp_path_factory.mktemp("store"))) as opened:
        fill_rollups(opened, LEADS, caught_up=NOW)
        fill_rollups(opened, random_leads(START, 79, 100, seed=6), model="other", caught_up=NOW)
        yield opened


@pytest.fixture(params=[3, 30, 1_200])
def selection(request: pytest.FixtureRequest) -> Selection:
    end = NOW - timedelta(days=35) if request.param == 3 else NOW
    return Selection(model="crm", time=HourRange.last(timedelta(days=request.param), end))


def chosen(selection: Selection, leads: Sequence[ScoredLead] = LEADS) -> list[ScoredLead]:
    time = selection.time
    return [lead for lead in leads if time.start <= lead.at < time.end and lead.role in selection.roles]


def old(selection: Selection) -> list[ScoredLead]:
    mature = selection.mature(NOW)
    return [] if mature is None else chosen(mature)


def test_traffic_adds_up_to_the_raw_predictions(store: EventStore, selection: Selection) -> None:
    with store.reading() as connection:
        fresh = read_freshness(connection)
        series = read_traffic(connection, selection, fresh)
    raw = chosen(selection)
    assert [s.name for s in series] == sorted({lead.version for lead in raw}, key=int)
    for line in series:
        assert len(line.points) <= 170
        for point in line.points:
            wanted = sum(lead.version == line.name and point.start <= lead.at < point.end for lead in raw)
            assert point.measure.value == point.measure.n == wanted


@pytest.mark.parametrize("by", ["version", "grade", "slice", "bin", "source", None])
def test_business_is_that_of_the_leads_old_enough(
    store: EventStore, selection: Selection, by: str | None
) -> None:
    with store.reading() as connection:
        rows = read_business(connection, selection, read_freshness(connection), by)
    assert sum(row.leads.n for row in rows) == len(chosen(selection))
    for row in rows:
        group = [lead for lead in old(selection) if by is None or name_of(lead, by) == row.name]
        labelled = [lead for lead in group if lead.converted is not None]
        expected = [lead for lead in group if lead.converted is not None or not lead.superseded]
        assert row.conversion.n == len(labelled)
        if not labelled:
            assert row.conversion.value is None
            assert row.conversion.unknown
            continue
        assert row.conversion.value == pytest.approx(np.mean([bool(lead.converted) for lead in labelled]))
        assert row.conversion.completeness == pytest.approx(len(labelled) / len(expected))
        assert row.conversion.low <= row.conversion.value <= row.conversion.high
        assert row.expected.value == pytest.approx(np.mean([lead.probability for lead in labelled]))
        assert row.revenue.value == pytest.approx(sum(lead.value or 0 for lead in labelled) / len(labelled))


def test_conversion_over_time_leaves_young_steps_unknown(store: EventStore, selection: Selection) -> None:
    with store.reading() as connection:
        series = read_conversion_series(connection, selection, read_freshness(connection))
    for line in series:
        for point in line.points:
            inside = [
                lead
                for lead in old(selection)
                if lead.version == line.name
                and point.start <= lead.at < point.end
                and lead.converted is not None
            ]
            assert point.measure.n == len(inside)
            assert (point.measure.value is None) == (not inside)


def test_latency_lies_in_the_bin_of_the_exact_percentile(store: EventStore, selection: Selection) -> None:
    with store.reading() as connection:
        found = read_latency(connection, selection, read_freshness(connection))
    for summary in found:
        raw = sorted(
            lead.latency_us / 1e6
            for lead in chosen(selection)
            if lead.version == summary.version and lead.latency_us is not None
        )
        for measure, quantile in zip(summary.percentiles, (0.5, 0.95, 0.99), strict=True):
            exact = raw[int(np.ceil(quantile * len(raw))) - 1]
            assert measure.n == len(raw)
            assert measure.low < exact <= measure.high
            assert measure.low <= measure.value <= measure.high


def test_scores_are_spread_as_the_raw_ones(store: EventStore, selection: Selection) -> None:
    with store.reading() as connection:
        found = read_score_distribution(connection, selection, read_freshness(connection))
    for distribution in found:
        raw = [lead.probability for lead in chosen(selection) if lead.version == distribution.version]
        bins = np.bincount(np.searchsorted(PROBABILITY_EDGES, raw), minlength=len(distribution.counts))
        assert distribution.counts == tuple(bins)
        assert distribution.mean.value == pytest.approx(np.mean(raw))


def test_cells_add_up_by_feature_and_step(store: EventStore, selection: Selection) -> None:
    with store.reading() as connection:
        rows = read_cells(connection, selection, ["country"], selection.time.step)
    raw = chosen(selection)
    assert sum(row.counts.predictions for row in rows) == len(raw)
    assert {row.feature for row in rows} <= {"country"}
    assert sum(row.counts.selected_converted for row in rows) == sum(
        lead.selected and bool(lead.converted) for lead in raw
    )


def test_a_filter_keeps_its_versions_roles_and_sources(store: EventStore) -> None:
    time = HourRange.last(timedelta(days=90), NOW)
    narrow = Selection(model="crm", time=time, versions=("9",), roles=("shadow",), sources=("batch",))
    with store.reading() as connection:
        rows = read_counts(connection, narrow)
    wanted = [lead for lead in LEADS if (lead.version, lead.role, lead.source) == ("9", "shadow", "batch")]
    assert [row.counts.predictions for row in rows] == [len(wanted)]


def test_nothing_counted_yet_is_unknown_and_not_zero(url: str) -> None:
    selection = Selection(model="crm", time=HourRange.last(timedelta(days=1), NOW))
    with EventStore(url) as empty, empty.reading() as connection:
        fresh = read_freshness(connection)
        assert fresh == Freshness()
        assert "leadscore monitor" in fresh.stale(NOW)
        assert read_traffic(connection, selection, fresh) == ()
        assert read_business(connection, selection, fresh) == ()


def test_hours_after_the_last_count_are_unknown(url: str) -> None:
    with EventStore(url) as store:
        fill_rollups(store, LEADS, caught_up=NOW - timedelta(hours=5))
        selection = Selection(model="crm", time=HourRange.last(timedelta(days=3), NOW))
        with store.reading() as connection:
            fresh = read_freshness(connection)
            series = read_traffic(connection, selection, fresh)
    assert fresh.stale(NOW)
    for line in series:
        unknown = [point.start for point in line.points if point.measure.unknown]
        assert unknown == [p.start for p in line.points if p.start >= NOW - timedelta(hours=5)]


def name_of(lead: ScoredLead, by: str) -> str:
    index = int(np.searchsorted(PROBABILITY_EDGES, lead.probability))
    if by == "slice":
        return slice_of_bin(index)
    if by == "bin":
        edges = (0.0, *PROBABILITY_EDGES, 1.0)
        return f"{edges[index] * 100:g}–{edges[index + 1] * 100:g} %"
    return str(getattr(lead, by))
