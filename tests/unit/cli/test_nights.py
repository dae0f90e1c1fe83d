"""Nights and tables of outcomes by their commands."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import Result
from deltalake import DeltaTable, write_deltalake
from tests.support.artefacts import build_artefact, sample_leads
from typer.testing import CliRunner

from leadscore.batch import run as batch_run
from leadscore.batch.records import EXPECTED_KIND, expect_nights, list_claims
from leadscore.batch.upkeep import maintain
from leadscore.cli.main import app
from leadscore.cli.train import _read as training_rows
from leadscore.errors import (
    BadInputError,
    LeadScoreError,
    NotFoundError,
    RefusedError,
    TableError,
    UnavailableError,
)
from leadscore.events.store import EventStore
from leadscore.lake.table import LakeTable
from leadscore.settings import Home
from leadscore.training.data_versions import TrainingData, record_training_data


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("LEADSCORE_HOME", str(tmp_path / "home"))
    return Home.from_environment()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_every_night_that_is_due_is_run_once_and_one_that_fails_holds_up_no_other(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, leads = build_artefact(tmp_path / "7"), str(tmp_path / "crm")
    write_deltalake(leads, sample_leads(50, seed=3))
    now = datetime.now(UTC)
    with EventStore(home.events_url) as store:
        expect_nights(store, "sample", round((now - timedelta(days=3)).timestamp() * 1e6))
        assert len(store.evidence(kind=EXPECTED_KIND)) == 1
    works, failing = batch_run.claim_run, list[date]()

    def fails_first(store: EventStore, claim: batch_run.BatchClaim) -> batch_run.BatchClaim:
        if not failing:
            failing.append(claim.date)
            raise UnavailableError("The power went off.")
        return works(store, claim)

    due = ("batch", "run", "--due", "--model", str(folder), "--leads", leads, "--at", "00:00", "--json")
    with monkeypatch.context() as patch:
        patch.setattr(batch_run, "claim_run", fails_first)
        first = run(*due)
    assert isinstance(first.exception, UnavailableError)
    with EventStore(home.events_url) as store:
        days = {claim.date for claim in list_claims(store, since=0)}
    assert days
    assert failing[0] not in days
    assert run(*due).exit_code == 0
    with EventStore(home.events_url) as store:
        assert len(list_claims(store, since=0)) == len(days) + 1
    assert run("batch", "status", "--at", "00:00", "--grace", "0h").exit_code == 0
    assert json.loads(run(*due).stdout) == []


def test_a_date_runs_once_and_what_is_not_run_is_said(home: Home, tmp_path: Path) -> None:
    folder, leads, others = build_artefact(tmp_path / "7"), str(tmp_path / "crm"), str(tmp_path / "others")
    for table in (leads, others):
        write_deltalake(table, sample_leads(20, seed=3))
    night = ("batch", "run", "--model", str(folder), "--date", "2026-11-20", "--leads")
    assert run(*night, leads).exit_code == 0
    again = run(*night, leads)
    assert "had ended with" not in again.stderr
    elsewhere = run(*night, others)
    assert elsewhere.exit_code == 0
    assert f"had ended with the leads of {leads}" in " ".join(elsewhere.stderr.split())
    for bad in ("", "2999-01-01"):
        assert isinstance(run(*night[:5], bad, "--leads", leads).exception, BadInputError)
    later = ("batch", "backfill", "--model", str(folder), "--leads", leads, "--since", "2026-11-20")
    assert isinstance(run(*later, "--until", "2999-01-01").exception, BadInputError)
    with EventStore(home.events_url) as store:
        assert [claim.date for claim in list_claims(store, since=0)] == [date(2026, 11, 20)]


def test_categories_that_the_model_has_not_seen_are_said_and_kept(home: Home, tmp_path: Path) -> None:
    folder, leads = build_artefact(tmp_path / "7"), str(tmp_path / "crm")
    table = sample_leads(20, seed=3)
    place = table.column_names.index("source")
    write_deltalake(leads, table.set_column(place, "source", pa.array([7] * 20)))
    night = ("batch", "run", "--model", str(folder), "--date", "2026-11-20", "--leads", leads, "--json")
    done = run(*night)
    assert json.loads(done.stdout)["record"]["unseen"] == {"source": 20}
    said = " ".join(done.stderr.split())
    assert "source holds categories the model has not seen in 20 of 20 rows" in said


def test_a_night_that_is_twice_in_the_lake_is_not_the_same_night(home: Home, tmp_path: Path) -> None:
    folder, leads = build_artefact(tmp_path / "7"), str(tmp_path / "crm")
    write_deltalake(leads, sample_leads(20, seed=3))
    night = ("--model", str(folder), "--date", "2026-11-20")
    assert run("batch", "run", *night, "--leads", leads).exit_code == 0
    assert run("batch", "verify", *night).exit_code == 0
    scores = f"{home.lake}/scores"
    write_deltalake(scores, DeltaTable(scores).to_pyarrow_table(), mode="append")
    assert "20 scores" in str(run("batch", "verify", *night).exception)


def outcomes(*leads: str, when: str = "2026-11-02T10:00:00Z") -> pa.Table:
    return pa.table({
        "lead_id": list(leads), "converted": ["yes"] * len(leads), "occurred_at": [when] * len(leads),
    })  # fmt: skip


def test_outcomes_of_a_delta_table_come_once_and_a_bad_row_stores_nothing(home: Home, tmp_path: Path) -> None:
    crm = str(tmp_path / "outcomes")
    write_deltalake(crm, outcomes("a", "b"))
    command = ("outcomes", "import", crm, "--new", "--source", "crm", "--json")
    assert json.loads(run(*command).stdout)["new"] == 2
    assert json.loads(run(*command).stdout)["rows"] == 0
    write_deltalake(crm, outcomes("c"), mode="append")
    said = json.loads(run(*command).stdout)
    assert (said["rows"], said["new"]) == (1, 1)
    write_deltalake(crm, outcomes("d"), mode="append")
    write_deltalake(crm, outcomes("e", when="some day"), mode="append")
    refused = run(*command)
    assert isinstance(refused.exception, TableError)
    assert "nothing was imported" in str(refused.exception)
    LakeTable(crm).compact()
    write_deltalake(crm, outcomes("a", "b", "c", "d", "e"), mode="overwrite")
    said = json.loads(run(*command).stdout)
    assert (said["rows"], said["new"], said["already_known"]) == (5, 2, 3)


def test_outcomes_of_a_table_that_is_not_there_are_a_sentence(home: Home, tmp_path: Path) -> None:
    found = run("outcomes", "import", str(tmp_path / "none"), "--new").exception
    assert isinstance(found, LeadScoreError)
    assert not isinstance(found, RefusedError)
    assert "no Delta table" in str(found)


def test_what_a_version_was_trained_on_can_be_read_after_a_vacuum(home: Home, tmp_path: Path) -> None:
    crm, rows = str(tmp_path / "crm"), sample_leads(30, seed=3)
    write_deltalake(crm, rows)
    with EventStore(home.events_url) as store:
        used = TrainingData(table=crm, version=0, digest="d")
        record_training_data(store, "leads/7", used, 1)
        for seed in (4, 5):
            write_deltalake(crm, sample_leads(30, seed=seed), mode="overwrite")
        (kept,) = maintain(store, home.lake, since=0, hours=0, others=[crm])
    assert (kept.kept_versions, kept.deleted > 0) == (1, True)
    with pytest.raises(NotFoundError, match="vacuumed"):
        list(LakeTable(crm).read(1))
    table, pinned, expected = training_rows(home, None, None, "leads/7")
    assert (pinned, expected) == ((crm, 0), "d")
    assert table.equals(rows)
    with pytest.raises(NotFoundError, match="leads/8"):
        training_rows(home, None, None, "leads/8")
