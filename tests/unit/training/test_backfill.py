from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from leadscore.contract import FeatureContract
from leadscore.data.matrix import encode_table, labels, matrix_times
from leadscore.errors import BadInputError
from leadscore.events.store import EventStore
from leadscore.events.windows import labelled_window
from leadscore.scoring.model import ScoringModel
from leadscore.training.backfill import BACKFILL, backfill
from leadscore.training.logged import logged_leads
from leadscore.training.pipeline import TrainedModel

START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def model(trained: TrainedModel) -> ScoringModel:
    return ScoringModel.load(trained.directory)


@pytest.fixture
def store(tmp_path: Path) -> EventStore:
    return EventStore(f"sqlite:///{tmp_path / 'events.db'}")


def test_the_log_gives_back_the_leads_their_scores_and_their_outcomes(
    store: EventStore, model: ScoringModel, leads: pa.Table, contract: FeatureContract
) -> None:
    new = backfill(store, model, "crm", 1, leads)
    assert new.predictions == leads.num_rows
    assert new.outcomes == int((~np.isnan(labels(contract, leads))).sum())
    logged = logged_leads(store, contract, "crm", START, END)
    ids = {lead: row for row, lead in enumerate(leads.column(contract.id).to_pylist())}
    rows = [ids[lead] for lead in logged.column(contract.id).to_pylist()]
    np.testing.assert_array_equal(encode_table(contract, logged), encode_table(contract, leads)[rows])
    np.testing.assert_array_equal(labels(contract, logged), labels(contract, leads)[rows])
    np.testing.assert_array_equal(matrix_times(contract, logged), matrix_times(contract, leads)[rows])
    window = labelled_window(store, START, END, model_name="crm", model_version="1")
    expected = model.score_rows(encode_table(contract, leads))[rows]
    np.testing.assert_allclose(window.column("probability").to_numpy(), expected)
    assert set(window.column("request_id").to_pylist()) == {BACKFILL}


def test_the_same_leads_again_change_nothing(store: EventStore, model: ScoringModel, leads: pa.Table) -> None:
    backfill(store, model, "crm", 1, leads.slice(0, 500))
    again = backfill(store, model, "crm", 1, leads.slice(0, 600))
    assert again.predictions == 100
    assert store.counts().predictions == 600


def test_an_outcome_counts_as_told_when_it_became_known(
    store: EventStore, model: ScoringModel, leads: pa.Table
) -> None:
    backfill(store, model, "crm", 1, leads)
    early = datetime(2026, 2, 1, tzinfo=UTC)
    then = labelled_window(store, START, early, model_name="crm", known_by=early)
    now = labelled_window(store, START, early, model_name="crm")
    assert 0 < then.column("converted").drop_null().length() < now.column("converted").drop_null().length()


def test_leads_outside_the_time_that_was_named_are_left_out(
    store: EventStore, model: ScoringModel, leads: pa.Table, contract: FeatureContract
) -> None:
    since, until = datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)
    created = matrix_times(contract, leads)
    inside = (created >= np.datetime64("2026-02-01")) & (created < np.datetime64("2026-03-01"))
    assert backfill(store, model, "crm", 1, leads, since=since, until=until).predictions == inside.sum()
    with pytest.raises(BadInputError, match="no lead of that time"):
        backfill(store, model, "crm", 1, leads, since=datetime(2027, 1, 1, tzinfo=UTC))


def test_without_a_time_column_nothing_is_made_up(
    store: EventStore, model: ScoringModel, leads: pa.Table
) -> None:
    class Timeless:
        contract = msgspec.structs.replace(model.contract, time=None)

    with pytest.raises(BadInputError, match="no time column"):
        backfill(store, Timeless(), "crm", 1, leads)  # type: ignore[arg-type]
