"""The list of leads, on both databases, from what the monitor's worker has kept."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

import numpy as np
import pytest
from tests.integration.investigation.conftest import CachedHome
from tests.support.artefacts import sample_matrix
from tests.support.events import outcome, prediction

from leadscore.contract import contract_version
from leadscore.events.records import Outcome, Prediction
from leadscore.events.store import EventStore
from leadscore.investigation.lead_list import LeadFilter, count_leads, iter_leads, read_leads, with_segment
from leadscore.monitoring.model_facts import find_model_facts
from leadscore.monitoring.queries.ranges import moment_us
from leadscore.monitoring.rollups.cells import VersionCells
from leadscore.monitoring.rollups.worker import RollupWorker
from leadscore.registry.store import ModelRegistry

NOW = datetime(2026, 9, 1, 8, tzinfo=UTC)
DAY = timedelta(days=1)


def scored(cached: CachedHome, name: str, lead: str, row: np.ndarray, at: datetime) -> Prediction:
    model = cached.shelf.open("leads", "1")
    found = model.score_row(row)
    made = prediction(
        name,
        lead,
        scored_at=moment_us(at),
        model_name="leads",
        model_version="1",
        contract_version=contract_version(model.contract),
        features=row.tobytes(),
        probability=found.probability,
    )
    return Prediction(
        **{
            **{f: getattr(made, f) for f in made.__struct_fields__},
            "score": found.score,
            "grade": found.grade,
        }
    )


def keep(
    store: EventStore, cached: CachedHome, given: Sequence[Prediction], outcomes: Sequence[Outcome] = ()
) -> None:
    store.append(given, outcomes)
    registry = ModelRegistry(cached.home)
    RollupWorker(store, VersionCells(partial(find_model_facts, registry))).run(seconds=60)


def wanted(**changed: object) -> LeadFilter:
    return LeadFilter(**{"model": "leads", "since": NOW - 30 * DAY, "until": NOW, "now": NOW, **changed})  # type: ignore[arg-type]


@pytest.fixture
def rows(cached: CachedHome) -> np.ndarray:
    """Leads of the sample contract, best first."""
    model = cached.shelf.open("leads", "1")
    matrix = sample_matrix(model.contract, 120, seed=3)
    return matrix[np.argsort(-model.score_rows(matrix), kind="stable")]


def test_leads_are_ranked_with_their_reasons_page_by_page(
    store: EventStore, cached: CachedHome, rows: np.ndarray
) -> None:
    keep(
        store,
        cached,
        [scored(cached, f"p{i}", f"L-{i:03}", row, NOW - 3 * DAY) for i, row in enumerate(rows)],
    )
    first, second = (read_leads(store, cached.shelf, wanted(), page=page) for page in (1, 2))
    ranked = [*first, *second]
    assert [lead.lead_id for lead in ranked] == [f"L-{i:03}" for i in range(100)]
    assert len(read_leads(store, cached.shelf, wanted(), page=3)) == 20
    assert read_leads(store, cached.shelf, wanted(), page=4) == ()
    assert all(len(lead.reasons) == 3 and lead.reasons[0].endswith("the score.") for lead in ranked)
    with store.reading() as connection:
        counts = count_leads(connection, wanted())
    assert sum(counts.grades.values()) == 120
    only = read_leads(store, cached.shelf, wanted(grade="A"), size=500)
    assert len(only) == counts.grades["A"]
    assert {lead.grade for lead in only} == {"A"}


def test_new_leads_and_changed_grades_are_found(
    store: EventStore, cached: CachedHome, rows: np.ndarray
) -> None:
    best, worst = rows[0], rows[-1]
    keep(
        store,
        cached,
        [
            scored(cached, "p1", "risen", worst, NOW - 5 * DAY),
            scored(cached, "p2", "risen", best, NOW - 2 * DAY),
            scored(cached, "p3", "fallen", best, NOW - 5 * DAY),
            scored(cached, "p4", "fallen", worst, NOW - DAY),
            scored(cached, "p5", "new", best, NOW - DAY / 2),
            scored(cached, "p6", "old", best, NOW - 5 * DAY),
        ],
    )
    for news, lead in (("new", "new"), ("up", "risen"), ("down", "fallen")):
        [found] = read_leads(store, cached.shelf, wanted(news=news))
        assert (found.lead_id, found.news) == (lead, news)
    with store.reading() as connection:
        counts = count_leads(connection, wanted())
    assert (counts.new, counts.up, counts.down) == (1, 1, 1)
    [risen] = read_leads(store, cached.shelf, wanted(news="up"))
    assert (risen.previous_grade, risen.grade) == ("D", "A")


def test_closed_leads_leave_the_list(store: EventStore, cached: CachedHome, rows: np.ndarray) -> None:
    at = moment_us(NOW - DAY)
    keep(
        store,
        cached,
        [
            scored(cached, f"p{i}", name, rows[i], NOW - 3 * DAY)
            for i, name in enumerate(("won", "lost", "open"))
        ],
        [
            outcome("o1", "won", occurred_at=at, recorded_at=at),
            outcome("o2", "lost", converted=False, occurred_at=at, recorded_at=at),
        ],
    )
    for state, ids in (
        ("open", ["open"]),
        ("won", ["won"]),
        ("lost", ["lost"]),
        ("all", ["won", "lost", "open"]),
    ):
        assert [lead.lead_id for lead in read_leads(store, cached.shelf, wanted(state=state))] == ids


def test_a_segment_narrows_list_and_counts(store: EventStore, cached: CachedHome, rows: np.ndarray) -> None:
    keep(store, cached, [scored(cached, f"p{i}", f"L-{i}", row, NOW - DAY) for i, row in enumerate(rows)])
    facts = find_model_facts(ModelRegistry(cached.home), "leads", "1")
    names = [feature.name for feature in facts.contract.inputs]
    expected = {f"L-{i}" for i, row in enumerate(rows) if row[names.index("country")] == 1.0}
    narrowed = with_segment(wanted(), facts, "country", 1)
    assert {lead.lead_id for lead in read_leads(store, cached.shelf, narrowed, size=500)} == expected
    with store.reading() as connection:
        assert sum(count_leads(connection, narrowed).grades.values()) == len(expected) > 0


def test_an_export_is_the_whole_list_in_order(
    store: EventStore, cached: CachedHome, rows: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leadscore.investigation.lead_list._EXPORT_LEADS", 7)
    # Leads with the same chance lie on both sides of a read.
    same = [scored(cached, f"s{i}", f"S-{i:02}", rows[10], NOW - DAY) for i in range(20)]
    others = [scored(cached, f"p{i}", f"L-{i:03}", row, NOW - DAY) for i, row in enumerate(rows)]
    keep(store, cached, [*same, *others])
    exported = [lead.lead_id for lead in iter_leads(store, cached.shelf, wanted())]
    assert exported == [lead.lead_id for lead in read_leads(store, cached.shelf, wanted(), size=500)]
    assert len(set(exported)) == 140


def test_a_lead_whose_model_is_gone_is_listed_without_reasons(store: EventStore, cached: CachedHome) -> None:
    lost = prediction("p1", "L-1", scored_at=moment_us(NOW - DAY), model_name="leads", model_version="77")
    keep(store, cached, [lost])
    [only] = read_leads(store, cached.shelf, wanted())
    assert (only.lead_id, only.reasons) == ("L-1", ())
