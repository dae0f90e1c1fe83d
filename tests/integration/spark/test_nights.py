"""Nights on a real local Spark with real Delta tables: the same scores, ids and records as on one machine."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable, write_deltalake
from tests.integration.spark.conftest import LEADS, Nights, SparkEnvironment
from tests.support.artefacts import sample_leads

from leadscore.batch.records import BatchClaim, claim_run
from leadscore.batch.run import BatchRequest, run_batch
from leadscore.events.store import EventStore
from leadscore.events.windows import labelled_window
from leadscore.lake.schemas import LEAD_STATES, SCORES
from leadscore.lake.table import LakeTable, table_uri
from leadscore.scoring.model import ScoringModel
from leadscore.settings import Home

pytestmark = [pytest.mark.xdist_group("spark"), pytest.mark.timeout(1_200)]
DAY = date(2026, 11, 29)
CUT = ("commit False", "commit True", "save_record False")


@pytest.fixture
def home(nights: Nights) -> Home:
    return Home.from_environment({"LEADSCORE_HOME": str(nights.folder / "home")})


def scores(home: Home, day: date = DAY) -> pa.Table:
    table = LakeTable(table_uri(home.lake, SCORES.name), SCORES)
    found = pa.Table.from_batches(list(table.read()), schema=SCORES.schema)
    return found.filter(pc.equal(found["business_date"], pa.scalar(day))).sort_by("lead_id")


def logged(home: Home) -> pa.Table:
    now = datetime.now(UTC)
    with EventStore(home.events_url) as store:
        return labelled_window(store, now - timedelta(days=1), now + timedelta(days=1))


def claim_of(nights: Nights) -> BatchClaim:
    return msgspec.convert(nights.found["first"]["record"]["claim"], BatchClaim)


def test_a_night_on_spark_is_the_night_of_one_machine_bit_for_bit(
    nights: Nights, home: Home, tmp_path: Path
) -> None:
    elsewhere = Home.from_environment({"LEADSCORE_HOME": str(tmp_path)})
    request = BatchRequest(date=DAY, model=str(nights.folder / "7"), leads=str(nights.folder / "crm"))
    with EventStore(elsewhere.events_url) as store:
        claim_run(store, claim_of(nights))
        alone = run_batch(request, elsewhere, store).record
    assert scores(home).equals(scores(elsewhere))
    ours = nights.found["first"]["record"]
    assert (ours["leads"], ours["scored"], ours["grades"]) == (alone.leads, alone.scored, alone.grades)
    known = set(scores(home)["prediction_id"].to_pylist())
    said = [
        table.filter(pc.is_in(table["prediction_id"], pa.array(sorted(known)))).sort_by("prediction_id")
        for table in (logged(home), logged(elsewhere))
    ]
    assert said[0].num_rows == LEADS
    assert (
        said[0]
        .select(["prediction_id", "probability", "features", "role", "source"])
        .equals(said[1].select(["prediction_id", "probability", "features", "role", "source"]))
    )


def test_each_probability_is_the_one_that_the_api_answers(nights: Nights, home: Home) -> None:
    model = ScoringModel.load(nights.folder / "7")
    rows = {row["lead_id"]: row for row in scores(home).to_pylist()}
    for lead in sample_leads(LEADS, seed=3).slice(0, 500).to_pylist():
        body = {name: value for name, value in lead.items() if value is not None}
        row = model.decoder.decode(json.dumps(body).encode()).row
        assert rows[lead["lead_id"]]["probability"] == model.score_row(row).probability


def test_a_second_run_of_a_date_does_nothing(nights: Nights) -> None:
    first, again = nights.found["first"], nights.found["again"]
    assert (first["repeated"], again["repeated"]) == (False, True)
    assert (again["record"], again["versions"]) == (first["record"], first["versions"])


@pytest.mark.parametrize("step", CUT)
def test_a_night_that_died_at_any_step_is_gone_on_with(step: str, nights: Nights, home: Home) -> None:
    died, after = nights.found[step]
    assert died["error"] == "unavailable"
    record = after["record"]
    assert (record["leads"], record["scored"], after["repeated"]) == (LEADS, LEADS, False)
    found = scores(home, date.fromisoformat(record["claim"]["date"]))
    assert found.num_rows == len(set(found["lead_id"].to_pylist())) == LEADS
    counts = Counter(logged(home).column("prediction_id").to_pylist())
    assert {counts[known] for known in found["prediction_id"].to_pylist()} == {1}


def is_whole(record: dict[str, Any], home: Home) -> bool:
    """Whether each lead has one score and one prediction of the night."""
    found = scores(home, date.fromisoformat(record["claim"]["date"]))
    counts = Counter(logged(home).column("prediction_id").to_pylist())
    return found.num_rows == len(set(found["lead_id"].to_pylist())) == record["scored"] and {
        counts[known] for known in found["prediction_id"].to_pylist()
    } == {1}


def test_a_night_whose_worker_is_killed_ends_once(nights: Nights, home: Home) -> None:
    killed = nights.found["worker killed once"]
    assert (nights.folder / "killed" / "1-0").exists()
    assert (killed["record"]["scored"], is_whole(killed["record"], home)) == (LEADS, True)


def test_a_night_whose_workers_are_all_killed_is_gone_on_with(nights: Nights, home: Home) -> None:
    died, after = nights.found["workers killed"]
    before = nights.found["worker killed once"]
    assert (died["error"], died["versions"]) == ("unavailable", before["versions"])
    assert (after["record"]["scored"], is_whole(after["record"], home)) == (LEADS, True)


def test_a_table_that_was_mended_is_scored_the_same_day(nights: Nights, home: Home) -> None:
    bad, mended = nights.found["bad"]["no-value"], nights.found["mended"]
    assert bad["error"] == "table_invalid"
    assert (mended["record"]["scored"], is_whole(mended["record"], home)) == (19, True)


def test_leads_that_nobody_has_written_to_are_noticed(nights: Nights) -> None:
    assert nights.found["first"]["record"]["claim"]["unchanged_since"] is None
    _, second = nights.found[CUT[0]]
    assert second["record"]["claim"]["unchanged_since"] == str(DAY)


def test_each_night_is_one_commit_to_each_table(nights: Nights, home: Home) -> None:
    for name in (SCORES.name, f"{LEAD_STATES.name}/sample/7"):
        history = DeltaTable(table_uri(home.lake, name)).history()
        # The first is the empty table as it was made.
        ended = [nights.found["first"], *(nights.found[step][1] for step in CUT), nights.found["mended"]]
        ended += [nights.found["worker killed once"], nights.found["workers killed"][1]]
        assert [each["operation"] for each in history[::-1]] == ["CREATE TABLE", *["WRITE"] * len(ended)]


SAID = {
    "empty": ("table_invalid", "has no rows"),
    "missing-id": ("table_invalid", "lead_id"),
    "missing-input": ("table_invalid", "budget"),
    "texts": ("table_invalid", "'budget' of .* holds text, but the contract says numbers"),
    "odd-type": ("table_invalid", "'has_phone' holds list"),
    "twice": ("table_invalid", "1 ids of the column 'lead_id' stand in several rows: 'L-0004'"),
    "no-id": ("table_invalid", "no id"),
    "no-value": ("table_invalid", "lead 'L-0007': no value, but the contract says required"),
    "nowhere": ("not_found", "There is no Delta table of leads"),
}


@pytest.mark.parametrize("table", SAID)
def test_leads_that_cannot_be_scored_end_in_a_sentence_and_in_no_commit(table: str, nights: Nights) -> None:
    found, last = nights.found["bad"][table], nights.found[CUT[-1]][1]
    code, message = SAID[table]
    assert found["error"] == code, found
    assert re.search(message, found["message"]), found
    assert found["versions"] == last["versions"]


def test_a_worker_reads_the_model_once_for_all_its_tasks(nights: Nights) -> None:
    tasks = nights.found["loads"]
    assert len(tasks) == 6
    assert {misses for _, misses, _ in tasks} == {1}
    assert max(hits for _, _, hits in tasks) >= 2


def test_a_worker_refuses_a_model_that_the_run_has_not_claimed(nights: Nights) -> None:
    found = nights.found["other model"]
    assert found["error"] == "artefact_corrupt"
    assert "the run has claimed 000000000000" in found["message"]


def test_the_command_scores_with_numpy_where_there_is_no_kernel_and_one_machine_goes_on(
    nights: Nights, home: Home, spark_environment: SparkEnvironment, tmp_path: Path
) -> None:
    elsewhere = Home.from_environment({"LEADSCORE_HOME": str(tmp_path)})
    leads = str(tmp_path / "crm")
    write_deltalake(leads, sample_leads(LEADS, seed=3))
    done = spark_environment.run(
        "-c", "from leadscore.cli.main import run; run()", "batch", "spark",
        "--model", str(nights.folder / "7"),
        "--leads", leads, "--date", str(DAY), "--json",
        LEADSCORE_HOME=str(tmp_path), LEADSCORE_KERNEL="numpy",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout)["record"]["scored"] == LEADS
    first, numpy = scores(home), scores(elsewhere)
    assert numpy["probability"].equals(first["probability"])
    assert numpy["row_digest"].equals(first["row_digest"])
    # The next night, on one machine: nothing has changed but one lead.
    table = sample_leads(LEADS, seed=3)
    one = table.slice(0, 1).to_pylist()[0] | {"budget": 1.0}
    write_deltalake(
        leads, pa.concat_tables([pa.Table.from_pylist([one], table.schema), table.slice(1)]), mode="overwrite"
    )
    request = BatchRequest(date=DAY + timedelta(days=1), model=str(nights.folder / "7"), leads=leads)
    with EventStore(elsewhere.events_url) as store:
        assert run_batch(request, elsewhere, store).record.scored == 1
        assert run_batch(replace(request, date=DAY), elsewhere, store).repeated
