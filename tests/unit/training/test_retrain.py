from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from leadscore.contract import FeatureContract, contract_version
from leadscore.data.matrix import encode_table, labels, matrix_times
from leadscore.errors import RefusedError, UnavailableError
from leadscore.events.records import Outcome, Prediction
from leadscore.events.retraining import RetrainReport
from leadscore.events.store import EventStore
from leadscore.registry.store import ModelRegistry
from leadscore.settings import Home
from leadscore.training.logged import logged_leads
from leadscore.training.options import TrainOptions
from leadscore.training.pipeline import TrainedModel
from leadscore.training.retrain import RetrainRequest, claim, find_report, retrain

START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def store(leads: pa.Table, contract: FeatureContract, tmp_path_factory: pytest.TempPathFactory) -> EventStore:
    """The synthetic CRM's leads as the service logs them, with their outcomes, and copies from a shadow."""
    matrix, outcome = encode_table(contract, leads), labels(contract, leads)
    moments = matrix_times(contract, leads).astype(np.int64)
    version, ids = contract_version(contract), leads.column(contract.id).to_pylist()
    predictions = [
        Prediction(
            f"{role}-{i}", str(lead), "crm", "1", version, role, int(moments[i]), 0.5, 50.0, "B",
            matrix[i].tobytes()
        )
        for i, lead in enumerate(ids)
        for role in (("champion", "shadow") if i % 10 == 0 else ("champion",))
    ]  # fmt: skip
    outcomes = [
        Outcome(f"o-{i}", str(lead), f"champion-{i}", bool(outcome[i]), None, int(moments[i]) + 1,
            int(moments[i]) + 2)
        for i, lead in enumerate(ids)
        if not np.isnan(outcome[i])
    ]  # fmt: skip
    store = EventStore(f"sqlite:///{tmp_path_factory.mktemp('log') / 'events.db'}")
    store.append(predictions, outcomes)
    return store


def test_the_log_gives_back_the_rows_that_were_scored(
    store: EventStore, leads: pa.Table, contract: FeatureContract
) -> None:
    table = logged_leads(store, contract, "crm", START, END)
    assert table.num_rows == leads.num_rows, "a shadow's copies are left out"
    order = np.argsort(matrix_times(contract, leads), kind="stable")
    by_id = {str(lead): row for row, lead in enumerate(leads.column(contract.id).to_pylist())}
    rows = [by_id[lead] for lead in table.column(contract.id).to_pylist()]
    assert sorted(rows) == sorted(order.tolist())
    np.testing.assert_array_equal(encode_table(contract, table), encode_table(contract, leads)[rows])
    np.testing.assert_array_equal(labels(contract, table), labels(contract, leads)[rows])


def test_leads_that_are_scored_again_every_night_stay_in_the_log_with_their_outcome(
    leads: pa.Table, contract: FeatureContract, tmp_path: Path
) -> None:
    few = leads.slice(0, 40)
    moments, outcome = matrix_times(contract, few).astype(np.int64), labels(contract, few)
    row = np.zeros(len(contract.inputs), np.float32).tobytes()

    def scored(night: int, lead: int) -> Prediction:
        at = int(moments[lead]) + night * 86_400_000_000
        version = contract_version(contract)
        return Prediction(
            f"{night}-{lead}", f"l{lead}", "crm", "1", version, "champion", at, 0.5, 50.0, "B", row
        )

    known = [lead for lead in range(40) if not np.isnan(outcome[lead])]
    store = EventStore(f"sqlite:///{tmp_path / 'events.db'}")
    store.append(
        [scored(night, lead) for night in range(4) for lead in range(40)],
        [
            Outcome(f"o{n}", f"l{n}", f"1-{n}", bool(outcome[n]), None, int(moments[n]), int(moments[n]))
            for n in known
        ],
    )
    table = logged_leads(store, contract, "crm", START, END)
    assert sorted(table.column(contract.id).to_pylist()) == sorted(f"l{n}" for n in range(40))
    logged = dict(
        zip(
            table.column(contract.id).to_pylist(), matrix_times(contract, table).astype(np.int64), strict=True
        )
    )
    nights = {n: (int(logged[f"l{n}"]) - int(moments[n])) // 86_400_000_000 for n in range(40)}
    assert nights == {n: 1 if n in known else 3 for n in range(40)}


def test_an_empty_window_is_refused_with_what_to_do(store: EventStore, contract: FeatureContract) -> None:
    with pytest.raises(RefusedError, match=r"No lead was scored.*--data"):
        logged_leads(store, contract, "crm", START - timedelta(days=9), START - timedelta(days=8))


def request(**changes: object) -> RetrainRequest:
    basis = RetrainRequest(run="uid-1", attempt=1, claimant="pod-a", model="crm", start=START, end=END)
    return msgspec.structs.replace(basis, **changes)


def test_an_attempt_belongs_to_the_first_who_claims_it(tmp_path: Path) -> None:
    store = EventStore(f"sqlite:///{tmp_path / 'events.db'}")
    claim(store, request())
    claim(store, request())
    with pytest.raises(UnavailableError, match="belongs to another process"):
        claim(store, request(claimant="pod-b"))
    claim(store, request(claimant="pod-b", attempt=2))


def test_a_retraining_publishes_a_challenger_once_and_reports_it_again(
    store: EventStore, contract: FeatureContract, trained: TrainedModel, options: TrainOptions, tmp_path: Path
) -> None:
    home = Home.from_environment({"LEADSCORE_HOME": str(tmp_path)})
    registry = ModelRegistry(home)
    registry.publish(trained.directory, "crm", alias="champion", reason="the first")
    quick = replace(options, months=6, seed=3)
    report = retrain(store, registry, contract, request(run="uid-2"), quick, scratch=tmp_path)
    assert (report.version, report.champion) == (2, 1)
    assert registry.resolve("crm@champion").version == 1, "the champion stays"
    assert registry.resolve("crm@challenger").version == 2
    assert 0.5 < report.metrics["auc"] < 1
    assert len(report.to_json()) < 4096
    again = retrain(
        store, registry, contract, request(run="uid-2", attempt=2, claimant="b"), quick, scratch=tmp_path
    )
    assert again == report
    assert find_report(store, "uid-2") == report
    assert len(registry.versions("crm")) == 2


def test_a_long_reason_still_fits_a_termination_message() -> None:
    report = RetrainReport(model="crm", version=2, digest="f" * 64, passed=False, summary="no " * 9000)
    assert len(report.to_json()) < 4096
