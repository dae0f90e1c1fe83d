"""Quality, drift and fairness are those of the raw leads, on both databases."""

from __future__ import annotations

from collections.abc import Generator
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pytest
from tests.support.artefacts import build_artefact
from tests.support.rollups import ScoredLead, fill_rollups, random_leads
from tests.support.stores import fresh_url

from leadscore.alerts.measures import RollupReader
from leadscore.alerts.rules import default_rules
from leadscore.drift.performance.cbpe import expected_auc
from leadscore.drift.statistics.distances import psi
from leadscore.events.store import EventStore
from leadscore.intervals import auc_estimate
from leadscore.monitoring.model_facts import ModelFacts, read_model_facts
from leadscore.monitoring.queries.drift import read_drift_series, read_feature_drift
from leadscore.monitoring.queries.fairness import read_segments
from leadscore.monitoring.queries.freshness import read_freshness
from leadscore.monitoring.queries.quality import read_auc_series, read_quality
from leadscore.monitoring.queries.ranges import HourRange, Selection
from leadscore.scoring.profile import comparable_cells

NOW = datetime(2026, 11, 29, 12, 20, tzinfo=UTC)
START = NOW - timedelta(days=80)
LEADS = random_leads(START, 79, 4_000, seed=11)
SELECTION = Selection(model="crm", time=HourRange.last(timedelta(days=81), NOW), roles=("champion", "shadow"))


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> ModelFacts:
    return read_model_facts("crm", "9", build_artefact(tmp_path_factory.mktemp("model") / "9", name="crm"))


@pytest.fixture(scope="module")
def store(
    backend: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Generator[EventStore]:
    with EventStore(fresh_url(backend, request, tmp_path_factory.mktemp("store"))) as opened:
        fill_rollups(opened, LEADS, caught_up=NOW)
        yield opened


def old(version: str, role: str) -> list[ScoredLead]:
    mature = SELECTION.mature(NOW)
    assert mature is not None
    return [
        lead
        for lead in LEADS
        if (lead.version, lead.role) == (version, role)
        and mature.time.start <= lead.at < mature.time.end
        and lead.converted is not None
    ]


def test_an_alert_compares_all_features_but_those_that_follow_the_clock(
    store: EventStore, facts: ModelFacts
) -> None:
    rule = default_rules().named("LeadScoringFeatureDrift")
    assert rule is not None
    last = max(lead.at for lead in LEADS) + timedelta(hours=1)

    def compared(without: tuple[str, ...]) -> set[str | None]:
        reader = RollupReader(store, lambda *_: facts)
        found = reader.at(msgspec.structs.replace(rule, without=without), int(last.timestamp() * 1e6))
        return {dict(labels).get("feature") for labels in found}

    assert {"budget", "source"} <= compared(())
    assert compared(()) - compared(("source",)) == {"source"}


def test_quality_is_that_of_the_raw_labels(store: EventStore, facts: ModelFacts) -> None:
    with store.reading() as connection:
        found = read_quality(connection, SELECTION, read_freshness(connection), {"9": facts})
    assert [(q.version, q.role) for q in found] == [
        (version, role) for version in ("9", "10", "11") for role in ("champion", "shadow")
    ]
    for quality in found:
        labelled = old(quality.version, quality.role)
        won = np.array([bool(lead.converted) for lead in labelled])
        p = np.array([lead.probability for lead in labelled])
        likely = np.array([lead.selected for lead in labelled])
        assert quality.brier.value == pytest.approx(float(np.mean((p - won) ** 2)))
        assert quality.precision.value == pytest.approx(float(won[likely].mean()))
        assert quality.recall.value == pytest.approx(float(likely[won].mean()))
        f1 = 2 * (won & likely).sum() / (won.sum() + likely.sum())
        assert quality.f1.value == pytest.approx(f1)
        assert sum(row.came.n for row in quality.calibration) == len(labelled)
        exact = auc_estimate(won, p)
        assert exact is not None
        if quality.auc.value is not None:
            assert quality.resolution is not None
            assert abs(quality.auc.value - exact.value) <= quality.resolution
            assert quality.resolution < 0.05
            assert quality.auc.high - quality.auc.low == pytest.approx(exact.high - exact.low, rel=0.2)
        scored = [lead for lead in LEADS if (lead.version, lead.role) == (quality.version, quality.role)]
        promised = expected_auc(np.array([lead.probability for lead in scored]))
        assert quality.expected_auc.value == pytest.approx(promised, abs=0.02)
        assert quality.expected_auc.n == len(scored)


def test_only_the_version_at_hand_has_a_holdout(store: EventStore, facts: ModelFacts) -> None:
    with store.reading() as connection:
        found = read_quality(connection, SELECTION, read_freshness(connection), {"9": facts})
    for quality in found:
        assert (quality.holdout_auc.value is not None) == (quality.version == "9")


def test_a_step_with_few_outcomes_has_no_auc(store: EventStore) -> None:
    with store.reading() as connection:
        series = read_auc_series(connection, SELECTION, read_freshness(connection))
    for line in series:
        for point in line.points:
            inside = [
                lead
                for role in SELECTION.roles
                for lead in old(line.name, role)
                if point.start <= lead.at < point.end
            ]
            assert point.measure.n == len(inside)
            smaller = min(sum(bool(lead.converted) for lead in inside), len(inside))
            assert (point.measure.value is not None) == (smaller >= 20)


def test_drift_is_the_distance_of_the_counted_cells(store: EventStore, facts: ModelFacts) -> None:
    champion = Selection(model="crm", time=SELECTION.time)
    with store.reading() as connection:
        fresh = read_freshness(connection)
        found = {drift.name: drift for drift in read_feature_drift(connection, champion, fresh, facts)}
        (series,) = read_drift_series(connection, champion, fresh, facts, ["country"])
    assert set(found) == {*(feature.name for feature in facts.profile.features), "score"}
    profile = next(feature for feature in facts.profile.features if feature.name == "country")
    reference = np.array(comparable_cells(profile.kind, profile.counts, profile.missing))
    raw = [dict(lead.cells)["country"] for lead in LEADS if (lead.version, lead.role) == ("9", "champion")]
    window = np.bincount(raw, minlength=len(reference))
    country = found["country"]
    assert country.window == tuple(window)
    assert country.psi.value == pytest.approx(psi(reference, window))
    assert country.ks.unknown == "Categories have no order."
    assert found["budget"].psi.unknown.startswith("No lead")
    assert found["budget"].severity is None
    assert sum(point.measure.n for point in series.points) == len(raw)


def test_groups_are_counted_and_measured_as_the_raw_leads(store: EventStore, facts: ModelFacts) -> None:
    champion = Selection(model="crm", time=SELECTION.time)
    with store.reading() as connection:
        found = read_segments(connection, champion, read_freshness(connection), facts, "country")
    scored = [lead for lead in LEADS if (lead.version, lead.role) == ("9", "champion")]
    labelled = old("9", "champion")
    rates = []
    for group in found.groups:
        cell = ("DE", "FR", "NL", "US", "GB", "PL").index(group.name)
        members = [lead for lead in scored if dict(lead.cells)["country"] == cell]
        assert group.leads == len(members)
        rates.append(np.mean([lead.selected for lead in members]))
        assert group.selection_rate.value == pytest.approx(rates[-1])
        won = [lead for lead in labelled if dict(lead.cells)["country"] == cell and lead.converted]
        assert group.true_positive_rate.value == pytest.approx(np.mean([lead.selected for lead in won]))
    assert found.parity_ratio.value == pytest.approx(min(rates) / max(rates))
    assert found.parity_ratio.low <= found.parity_ratio.value <= found.parity_ratio.high
