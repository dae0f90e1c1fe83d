"""A nightly run: once for each date, resumed where it was killed, only what has changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import WriterProperties, write_deltalake
from tests.support.artefacts import build_artefact, sample_contract, sample_leads

from leadscore.batch import run as batch_run
from leadscore.batch.records import find_record
from leadscore.batch.run import BatchRequest, run_batch
from leadscore.batch.verify import verify_night
from leadscore.errors import ConflictError, NotFoundError, TableError, UnavailableError
from leadscore.events.store import EventStore
from leadscore.events.windows import labelled_window
from leadscore.lake.schemas import SCORES
from leadscore.lake.table import LakeTable, table_uri
from leadscore.scoring.model import ScoringModel
from leadscore.settings import Home

DAY = date(2026, 11, 29)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_artefact(tmp_path_factory.mktemp("models") / "7")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.from_environment({"LEADSCORE_HOME": str(tmp_path)})


@pytest.fixture
def store(home: Home) -> Iterator[EventStore]:
    with EventStore(home.events_url) as opened:
        yield opened


@pytest.fixture
def leads(tmp_path: Path) -> str:
    uri = str(tmp_path / "crm")
    write_deltalake(uri, sample_leads(300, seed=3))
    return uri


@pytest.fixture
def request_(folder: Path, leads: str) -> BatchRequest:
    return BatchRequest(date=DAY, model=str(folder), leads=leads)


def scores(home: Home, day: date = DAY) -> pa.Table:
    table = LakeTable(table_uri(home.lake, SCORES.name), SCORES)
    found = pa.Table.from_batches(list(table.read()), schema=SCORES.schema)
    return found.filter(pc.equal(found["business_date"], pa.scalar(day))).sort_by("lead_id")


def logged(store: EventStore) -> pa.Table:
    now = datetime.now(UTC)
    return labelled_window(store, now - timedelta(days=1), now + timedelta(days=1)).sort_by("lead_id")


def test_every_lead_has_the_score_that_the_model_gives(
    home: Home, store: EventStore, request_: BatchRequest, folder: Path
) -> None:
    result = run_batch(request_, home, store)
    assert (result.repeated, result.record.leads, result.record.scored) == (False, 300, 300)
    model, found = ScoringModel.load(folder), scores(home)
    assert sum(result.record.grades.values()) == found.num_rows == 300
    said = logged(store)
    assert said.column("prediction_id").to_pylist() == found["prediction_id"].to_pylist()
    assert set(said.column("role").to_pylist()) == set(said.column("source").to_pylist()) == {"batch"}
    for row, features in zip(found.to_pylist(), said.column("features").to_pylist(), strict=True):
        alone = model.score_row(np.frombuffer(features, np.float32))
        assert (row["probability"], row["score"], row["grade"]) == (
            alone.probability,
            alone.score,
            alone.grade,
        )
        why = [reason.text for reason in model.explain_row(np.frombuffer(features, np.float32), 3)]
        assert row["reasons"] == why
        # The same in every release: a night may be begun by one and ended by the next.
        run_and_lead = f"{result.record.claim.application}\0{row['lead_id']}".encode()
        began = f"{result.record.claim.at // 1000:012x}"
        assert row["prediction_id"] == began + hashlib.sha256(run_and_lead).hexdigest()[:20]


def test_a_second_run_of_a_date_does_nothing(home: Home, store: EventStore, request_: BatchRequest) -> None:
    first = run_batch(request_, home, store)
    again = run_batch(request_, home, store)
    assert again.repeated
    assert again.record == first.record
    assert scores(home).num_rows == logged(store).num_rows == 300


def test_the_next_night_scores_only_what_is_new_or_has_changed(
    home: Home, store: EventStore, request_: BatchRequest
) -> None:
    run_batch(request_, home, store)
    table = sample_leads(300, seed=3)
    contract = sample_contract()
    other = sample_leads(320, seed=9)
    changed = pa.concat_tables([table.slice(10), other.slice(300, 20)])
    first = changed.slice(0, 1).to_pylist()[0]
    numeric = next(f.name for f in contract.inputs if type(f).__name__ == "Numeric")
    first[numeric] = 1.0 if first[numeric] != 1.0 else 2.0
    changed = pa.concat_tables([pa.Table.from_pylist([first], changed.schema), changed.slice(1)])
    write_deltalake(request_.leads, changed, mode="overwrite")
    tomorrow = replace(request_, date=DAY + timedelta(days=1))
    record = run_batch(tomorrow, home, store).record
    assert (record.leads, record.scored) == (310, 21)
    assert scores(home, tomorrow.date).num_rows == 21
    everything = replace(request_, date=DAY + timedelta(days=2), everything=True)
    assert run_batch(everything, home, store).record.scored == 310
    # What nobody changed is not scored again after that either.
    assert run_batch(replace(request_, date=DAY + timedelta(days=3)), home, store).record.scored == 0


STEPS = ("claim_run", "check_leads", "_log", "_commit", "_keep_states", "save_record")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("after", [False, True])
def test_a_run_that_died_at_any_step_is_gone_on_with(
    step: str,
    after: bool,
    home: Home,
    store: EventStore,
    request_: BatchRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    works = getattr(batch_run, step)

    def dies(*arguments: object, **options: object) -> object:
        result = works(*arguments, **options) if after else None
        raise UnavailableError("The power went off.")
        return result

    with monkeypatch.context() as patch:
        patch.setattr(batch_run, step, dies)
        with pytest.raises(UnavailableError, match="power"):
            run_batch(request_, home, store)
    # The table has changed meanwhile: the run is of what it had claimed.
    if step not in {"claim_run", "check_leads"} or (step == "claim_run" and after):
        write_deltalake(request_.leads, sample_leads(5, seed=4), mode="overwrite")
    record = run_batch(request_, home, store).record
    assert (record.leads, record.scored) == (300, 300)
    found = scores(home)
    assert found.num_rows == 300
    assert logged(store).column("prediction_id").to_pylist() == found["prediction_id"].to_pylist()
    assert find_record(store, record.claim.subject) == record


def test_a_night_is_made_again_from_what_its_record_names(
    home: Home, store: EventStore, request_: BatchRequest, tmp_path: Path
) -> None:
    record = run_batch(request_, home, store).record
    write_deltalake(request_.leads, sample_leads(50, seed=5), mode="overwrite")
    LakeTable(request_.leads).compact()
    LakeTable(request_.leads).vacuum(keep_versions=[record.claim.leads_version], hours=0)
    elsewhere = Home.from_environment({"LEADSCORE_HOME": str(tmp_path / "again")})
    with EventStore(elsewhere.events_url) as other:
        batch_run.claim_run(other, record.claim)
        run_batch(request_, elsewhere, other)
    assert scores(elsewhere).equals(scores(home))


def test_an_id_in_two_rows_is_named_and_nothing_is_written(
    home: Home, store: EventStore, request_: BatchRequest
) -> None:
    table = sample_leads(20, seed=3)
    write_deltalake(request_.leads, pa.concat_tables([table, table.slice(4, 1)]), mode="overwrite")
    twice = table.column(sample_contract().id)[4].as_py()
    with pytest.raises(TableError, match=f"several rows: '{twice}'"):
        run_batch(request_, home, store)
    assert LakeTable(table_uri(home.lake, SCORES.name)).version() is None
    assert logged(store).num_rows == 0


@pytest.mark.parametrize("lost", ["id", "input"])
def test_a_column_that_is_missing_is_named(
    lost: str, home: Home, store: EventStore, request_: BatchRequest
) -> None:
    contract = sample_contract()
    name = contract.id if lost == "id" else contract.inputs[0].name
    table = sample_leads(20, seed=3).drop_columns([name])
    write_deltalake(request_.leads, table, mode="overwrite", schema_mode="overwrite")
    with pytest.raises(TableError, match=name):
        run_batch(request_, home, store)


def test_a_value_of_another_type_names_its_row(home: Home, store: EventStore, request_: BatchRequest) -> None:
    contract = sample_contract()
    name = next(f.name for f in contract.inputs if type(f).__name__ == "Numeric")
    table = sample_leads(20, seed=3)
    texts = pa.array(["many"] * 20)
    table = table.set_column(table.column_names.index(name), name, texts)
    write_deltalake(request_.leads, table, mode="overwrite", schema_mode="overwrite")
    with pytest.raises(TableError, match=f"{name}"):
        run_batch(request_, home, store)
    assert logged(store).num_rows == 0


@pytest.mark.parametrize("fault", ["twice", "text", "column", "last"])
def test_a_table_that_was_mended_is_scored_the_same_day(
    fault: str, home: Home, store: EventStore, request_: BatchRequest
) -> None:
    table = sample_leads(300, seed=3)
    name = next(f.name for f in sample_contract().inputs if type(f).__name__ == "Numeric")
    bad = {
        "twice": pa.concat_tables([table, table.slice(4, 1)]),
        "text": table.set_column(table.column_names.index(name), name, pa.array(["many"] * 300)),
        "column": table.drop_columns([name]),
        "last": table.set_column(
            table.column_names.index("source"), "source", pa.array([*table["source"].to_pylist()[:-1], None])
        ),
    }
    # Rows are read group by group.
    groups = WriterProperties(max_row_group_size=50)
    write_deltalake(
        request_.leads, bad[fault], mode="overwrite", schema_mode="overwrite", writer_properties=groups
    )
    with pytest.raises(TableError):
        run_batch(request_, home, store)
    assert (logged(store).num_rows, store.evidence(kind="batch-claim")) == (0, ())
    write_deltalake(request_.leads, table, mode="overwrite", schema_mode="overwrite")
    assert run_batch(request_, home, store).record.scored == 300


@pytest.mark.parametrize("lost", ["file", "log"])
def test_a_half_written_table_is_said_and_nothing_is_written(
    lost: str, home: Home, store: EventStore, request_: BatchRequest
) -> None:
    write_deltalake(request_.leads, sample_leads(20, seed=4), mode="append")
    torn = sorted(Path(request_.leads).glob("*.parquet" if lost == "file" else "_delta_log/*.json"))[-1]
    if lost == "file":
        torn.unlink()
    else:
        torn.write_bytes(torn.read_bytes()[:-40])
    with pytest.raises((NotFoundError, UnavailableError), match=str(request_.leads)):
        run_batch(request_, home, store)
    assert LakeTable(table_uri(home.lake, SCORES.name)).version() is None
    assert (logged(store).num_rows, store.evidence(kind="batch-claim")) == (0, ())


def test_yesterdays_table_is_noticed(home: Home, store: EventStore, request_: BatchRequest) -> None:
    assert run_batch(request_, home, store).record.claim.unchanged_since is None
    tomorrow = replace(request_, date=DAY + timedelta(days=1))
    record = run_batch(tomorrow, home, store).record
    assert (record.claim.unchanged_since, record.scored) == (DAY, 0)


def test_a_night_made_again_is_the_same_to_the_last_bit(
    home: Home, store: EventStore, request_: BatchRequest
) -> None:
    run_batch(request_, home, store)
    write_deltalake(request_.leads, sample_leads(50, seed=5), mode="overwrite")
    found = verify_night(store, home, request_.model, DAY, threads=2)
    assert (found.rows, found.stored, found.differing) == (300, 300, 0)
    with pytest.raises(NotFoundError, match="has ended"):
        verify_night(store, home, request_.model, DAY - timedelta(days=1), threads=2)


def test_an_empty_table_is_no_night(home: Home, store: EventStore, request_: BatchRequest) -> None:
    write_deltalake(request_.leads, sample_leads(20, seed=3).slice(0, 0), mode="overwrite")
    with pytest.raises(TableError, match="has no leads"):
        run_batch(request_, home, store)
    write_deltalake(request_.leads, sample_leads(20, seed=3), mode="overwrite")
    assert run_batch(request_, home, store).record.scored == 20


def test_a_version_that_was_vacuumed_away_is_said(
    home: Home, store: EventStore, request_: BatchRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(batch_run, "_commit", _dies)
        with pytest.raises(UnavailableError):
            run_batch(request_, home, store)
    write_deltalake(request_.leads, sample_leads(5, seed=4), mode="overwrite")
    LakeTable(request_.leads).vacuum(keep_versions=[], hours=0)
    with pytest.raises(NotFoundError, match="vacuumed"):
        run_batch(request_, home, store)


def test_a_run_is_not_gone_on_with_from_another_table(
    home: Home, store: EventStore, request_: BatchRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(batch_run, "_commit", _dies)
        with pytest.raises(UnavailableError):
            run_batch(request_, home, store)
    write_deltalake(str(tmp_path / "other"), sample_leads(5, seed=4))
    with pytest.raises(ConflictError, match="was begun with"):
        run_batch(replace(request_, leads=str(tmp_path / "other")), home, store)


def test_no_table_is_not_an_empty_one(home: Home, store: EventStore, request_: BatchRequest) -> None:
    with pytest.raises(NotFoundError, match="no Delta table of leads"):
        run_batch(replace(request_, leads=request_.leads + "-elsewhere"), home, store)


def _dies(*arguments: object) -> None:
    raise UnavailableError("The power went off.")
