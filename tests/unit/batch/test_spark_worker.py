"""What Spark's Python workers do with the batches of a partition, without a Spark."""

from __future__ import annotations

import traceback
from dataclasses import replace
from datetime import date
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from tests.support.artefacts import build_artefact, sample_contract, sample_leads

from leadscore.batch import spark_worker
from leadscore.batch.digests import id_digests
from leadscore.batch.records import BatchClaim
from leadscore.batch.spark_worker import (
    MARK,
    SparkWork,
    check_rows,
    read_lead_ids,
    said_by_worker,
    score_partition,
    states_of_scores,
)
from leadscore.errors import ArtefactError, TableError
from leadscore.lake.schemas import LEAD_STATES, SCORES
from leadscore.scoring.model import ScoringModel


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_artefact(tmp_path_factory.mktemp("models") / "7")


@pytest.fixture
def work(folder: Path, monkeypatch: pytest.MonkeyPatch) -> SparkWork:
    monkeypatch.setattr(spark_worker, "_folder", lambda _archive: folder)
    claim = BatchClaim(
        date=date(2026, 11, 29), model="sample", version="7", digest=ScoringModel.load(folder).digest,
        leads="/crm", leads_version=0, states_version=None, reasons=("A",), at=1,
    )  # fmt: skip
    return SparkWork(claim, "model", None)


def test_a_partition_comes_out_as_the_table_of_scores_has_it(work: SparkWork, folder: Path) -> None:
    leads = sample_leads(50, seed=3)
    found = pa.Table.from_batches(score_partition(work, leads.to_batches(max_chunksize=7)))
    assert found.schema == SCORES.schema
    assert found["lead_id"].to_pylist() == leads["lead_id"].to_pylist()
    states = pa.Table.from_batches(states_of_scores(found.to_batches()))
    assert states.schema.names == LEAD_STATES.schema.names
    assert states["row_digest"].equals(found["row_digest"])


def test_a_partition_without_rows_has_no_scores(work: SparkWork) -> None:
    assert list(score_partition(work, [])) == []


def test_a_value_that_does_not_fit_is_told_by_its_lead_wherever_its_batch_stands(work: SparkWork) -> None:
    leads = sample_leads(50, seed=3)
    values = leads["source"].to_pylist()
    values[33] = None
    leads = leads.set_column(leads.column_names.index("source"), "source", pa.array(values))
    with pytest.raises(RuntimeError, match=MARK) as caught:
        list(score_partition(work, leads.to_batches(max_chunksize=7)))
    said = said_by_worker("".join(traceback.format_exception(caught.value)))
    assert isinstance(said, TableError)
    assert "'source', lead 'L-0033': no value" in said.message


def test_a_model_that_was_not_claimed_is_refused(work: SparkWork) -> None:
    other = replace(work, claim=msgspec.structs.replace(work.claim, digest="f" * 64))
    with pytest.raises(RuntimeError) as caught:
        list(score_partition(other, sample_leads(5, seed=3).to_batches()))
    assert isinstance(said_by_worker(str(caught.value)), ArtefactError)


def test_ids_are_digested_as_one_machine_does() -> None:
    leads = sample_leads(20, seed=3)
    digests = pa.Table.from_batches(check_rows(sample_contract(), leads.to_batches(max_chunksize=6)))
    assert np.array_equal(digests["id_digest"].to_numpy(), id_digests(leads["lead_id"].combine_chunks()))
    texts = pa.Table.from_batches(read_lead_ids(sample_contract(), leads.to_batches(max_chunksize=6)))
    assert texts["lead_id"].to_pylist() == leads["lead_id"].to_pylist()


def test_what_somebody_else_says_is_not_taken_for_ours() -> None:
    assert said_by_worker("java.lang.OutOfMemoryError: Java heap space") is None
    assert said_by_worker(MARK + '{"kind": "SystemExit", "message": "x", "hint": ""}') is None
