from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from leadscore.cli import events as events_cli
from leadscore.cli import outcomes as outcomes_cli
from leadscore.contract import ColumnFormat, Target
from leadscore.data.tables import read_table
from leadscore.errors import TableError
from leadscore.events.outcome_formats import OutcomeColumns, OutcomeFormats
from leadscore.events.outcome_table import outcomes_from_table
from leadscore.events.records import Prediction
from leadscore.events.store import EventStore

COLUMNS = OutcomeColumns("lead_id", "converted", "occurred_at", value="value")


def rows(*cells: tuple[object, object, object, object]) -> pa.Table:
    names = ("lead_id", "converted", "occurred_at", "value")
    return pa.table({name: pa.array([cell[i] for cell in cells]) for i, name in enumerate(names)})


def test_a_bare_date_is_the_end_of_that_day_and_a_naive_time_is_utc() -> None:
    table = pa.table(
        {"lead_id": [1, 2], "converted": ["yes", "0"], "occurred_at": ["2026-05-01", "2026-05-01T10:00:00"]}
    )
    found = outcomes_from_table(
        table, OutcomeColumns("lead_id", "converted", "occurred_at"), recorded_at=5, source="t"
    )
    moments = [datetime.fromtimestamp(o.occurred_at / 1e6, UTC) for o in found.outcomes]
    assert moments[0].date() == date(2026, 5, 1)
    assert moments[0].hour == 23
    assert moments[1] == datetime(2026, 5, 1, 10, tzinfo=UTC)
    assert [(o.lead_id, o.converted, o.recorded_at) for o in found.outcomes] == [
        ("1", True, 5),
        ("2", False, 6),
    ]


def test_every_bad_cell_is_named_with_row_and_column() -> None:
    table = rows(
        ("a", "yes", "2026-05-01", "1.5"), (None, "maybe", "yesterday", "inf"), ("b", "no", None, "x")
    )
    found = outcomes_from_table(table, COLUMNS, recorded_at=0, source="t")
    assert len(found.outcomes) == 1
    assert [(p.row, p.column) for p in found.problems] == [
        (2, "lead_id"),
        (2, "converted"),
        (2, "occurred_at"),
        (2, "value"),
        (3, "occurred_at"),
        (3, "value"),
    ]


def test_a_missing_column_is_named() -> None:
    with pytest.raises(TableError, match="'occurred_at'"):
        outcomes_from_table(
            pa.table({"lead_id": ["a"], "converted": [True]}), COLUMNS, recorded_at=0, source="t"
        )


def run(tmp_path: Path, text: str, *extra: str) -> dict[str, int]:
    table = tmp_path / "outcomes.csv"
    table.write_text("lead_id,converted,occurred_at\n" + text)
    url = f"sqlite:///{tmp_path / 'events.db'}"
    arguments = ["import", str(table), "--events-url", url, "--json", *extra]
    result = CliRunner().invoke(outcomes_cli.app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    document: dict[str, int] = json.loads(result.stdout)
    return document


def test_import_is_idempotent_and_counts_corrections(tmp_path: Path) -> None:
    first = run(tmp_path, "L-1,yes,2026-05-01\nL-2,no,2026-05-01\n")
    assert (first["new"], first["corrected"], first["already_known"]) == (2, 0, 0)
    second = run(tmp_path, "L-1,no,2026-05-03\nL-2,no,2026-05-01\nL-3,no,2026-05-01\n")
    assert (second["new"], second["corrected"], second["already_known"]) == (1, 1, 1)
    with EventStore(f"sqlite:///{tmp_path / 'events.db'}") as store:
        assert [o.converted for o in store.outcomes_of("L-1")] == [False, True]


def test_bad_rows_stop_the_import_before_anything_is_stored(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="row 2, column 'converted'"):
        run(tmp_path, "L-1,yes,2026-05-01\nL-2,perhaps,2026-05-01\n")
    assert not (tmp_path / "events.db").exists()


def test_a_reject_file_takes_the_bad_rows(tmp_path: Path) -> None:
    rejected = tmp_path / "rejected.csv"
    document = run(tmp_path, "L-1,yes,2026-05-01\nL-2,perhaps,2026-05-01\n", "--reject-file", str(rejected))
    assert (document["new"], document["rejected"]) == (1, 1)
    assert read_table(rejected)["rejected_row"].to_pylist() == ["2"]


def moments(*cells: object, formats: OutcomeFormats | None = None) -> list[str]:
    table = pa.table(
        {"lead_id": ["a"] * len(cells), "converted": ["1"] * len(cells), "occurred_at": pa.array(cells)}
    )
    columns = OutcomeColumns("lead_id", "converted", "occurred_at")
    found = outcomes_from_table(table, columns, recorded_at=0, source="t", formats=formats)
    assert not found.problems
    return [datetime.fromtimestamp(o.occurred_at / 1e6, UTC).isoformat() for o in found.outcomes]


def test_a_bare_date_among_times_is_the_end_of_its_day_all_the_same(tmp_path: Path) -> None:
    table = tmp_path / "outcomes.csv"
    table.write_text("lead_id,converted,occurred_at\nA,1,2026-02-05\nB,1,2026-02-05 23:30:00\n")
    assert moments(*read_table(table)["occurred_at"].to_pylist()) == [
        "2026-02-05T23:59:59.999999+00:00",
        "2026-02-05T23:30:00+00:00",
    ]
    assert moments(date(2026, 2, 5)) == ["2026-02-05T23:59:59.999999+00:00"]
    american = OutcomeFormats({"occurred_at": ColumnFormat(time_format="%m/%d/%Y")})
    assert moments("02/05/2026", formats=american) == ["2026-02-05T23:59:59.999999+00:00"]


@pytest.mark.parametrize(
    ("ids", "read"),
    [
        (["12345e10", "1001.0", "A001 "], ["12345e10", "1001", "A001 "]),
        ([1001.0], ["1001"]),
        ([Decimal(1001)], ["1001"]),
        ([date(2026, 1, 5)], ["2026-01-05"]),
    ],
)
def test_ids_are_read_as_the_tables_of_leads_are(ids: list[object], read: list[str]) -> None:
    table = pa.table(
        {"lead_id": ids, "converted": ["1"] * len(ids), "occurred_at": ["2026-02-05"] * len(ids)}
    )
    columns = OutcomeColumns("lead_id", "converted", "occurred_at")
    found = outcomes_from_table(table, columns, recorded_at=0, source="t")
    assert [o.lead_id for o in found.outcomes] == read


def test_what_lies_in_the_future_is_refused_with_its_row(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="row 2, column 'occurred_at' lies in the future"):
        run(tmp_path, "L-1,yes,2026-05-01\nL-2,yes,2206-05-01\n")


def test_dots_that_may_group_thousands_are_asked_about() -> None:
    table = rows(("a", "1", "2026-02-05", "56.784"), ("b", "1", "2026-02-05", "625"))
    with pytest.raises(TableError, match="'value': the dots"):
        outcomes_from_table(table, COLUMNS, recorded_at=0, source="t")
    for form, value in ((ColumnFormat(decimal=",", thousands="."), 56784.0), (ColumnFormat(), 56.784)):
        formats = OutcomeFormats({"value": form})
        found = outcomes_from_table(table, COLUMNS, recorded_at=0, source="t", formats=formats)
        assert [o.value for o in found.outcomes] == [value, 625.0]


CONTRACT = """
apiVersion: leadscore.dev/v1
kind: FeatureContract
name: deals
id: deal
time: created
target: {column: stage, positive: Won, known_at: closed, open_values: [Engaging]}
value: revenue
features: [{name: visits, type: numeric}]
formats:
  revenue: {decimal: ",", thousands: "."}
  closed: {format: "%d.%m.%Y"}
"""


def test_a_contract_says_how_the_table_is_written(tmp_path: Path) -> None:
    contract = tmp_path / "contract.yaml"
    contract.write_text(CONTRACT)
    table = tmp_path / "deals.csv"
    table.write_text(
        "deal;stage;end;revenue\n1;won;05.02.2026;1.234,50 €\n2;Lost;06.02.2026;-\n3;Engaging;;\n4;;;\n"
    )
    url = f"sqlite:///{tmp_path / 'events.db'}"
    columns = [
        "--lead-col",
        "deal",
        "--converted-col",
        "stage",
        "--occurred-col",
        "end",
        "--value-col",
        "revenue",
    ]
    arguments = ["import", str(table), "--events-url", url, "--json", "--contract", str(contract), *columns]
    result = CliRunner().invoke(outcomes_cli.app, arguments, catch_exceptions=False)
    document = json.loads(result.stdout)
    assert (document["new"], document["open"], document["rejected"]) == (2, 2, 0)
    with EventStore(url) as store:
        (won,), (lost,) = store.outcomes_of("1"), store.outcomes_of("2")
    assert (won.converted, won.value, lost.converted, lost.value) == (True, 1234.5, False, None)
    assert datetime.fromtimestamp(won.occurred_at / 1e6, UTC).date() == date(2026, 2, 5)


def prediction(lead: str, moment: datetime, **more: str) -> Prediction:
    return Prediction(
        prediction_id=more.get("id", f"p-{lead}"),
        lead_id=lead,
        model_name="leads",
        model_version="1",
        contract_version="c",
        role=more.get("role", "champion"),
        scored_at=int(moment.timestamp() * 1e6),
        probability=0.5,
        score=50.0,
        grade="B",
        features=b"",
    )


def test_import_and_status_say_how_many_outcomes_meet_a_prediction(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'events.db'}"
    scored = datetime(2026, 5, 1, 9, tzinfo=UTC)
    with EventStore(url) as store:
        store.append([prediction("L-1", scored), prediction("L-2", scored), prediction("L-9", scored)], [])
        store.append([prediction("L-9", scored, id="s-9", role="shadow")], [])
    document = run(tmp_path, "L-1,yes,2026-05-01\nL-2,no,2026-04-01\nl-1,no,2026-05-02\nZZZ,no,2026-05-02\n")
    assert (document["matched"], document["never_scored"], document["before_scored"]) == (1, 2, 1)
    arguments = ["status", "--spool", str(tmp_path / "spool"), "--events-url", url, "--json"]
    found = json.loads(CliRunner().invoke(events_cli.app, arguments, catch_exceptions=False).stdout)
    assert found["match"] == {"matched": 1, "unmatched": 3, "future": 0, "labelled": 1, "share": 1 / 3}


def test_ids_that_were_never_scored_are_said(tmp_path: Path) -> None:
    table = tmp_path / "outcomes.csv"
    table.write_text(
        "lead_id,converted,occurred_at\nA001 ,1,2026-02-05\na002,0,2026-02-05\nZZZ,1,2026-02-05\n"
    )
    url = f"sqlite:///{tmp_path / 'events.db'}"
    result = CliRunner().invoke(
        outcomes_cli.app, ["import", str(table), "--events-url", url], catch_exceptions=False
    )
    assert "3 of 3 ids were never scored" in " ".join(result.output.split())


def test_status_reports_store_spool_and_shipper(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'events.db'}"
    arguments = ["status", "--spool", str(tmp_path / "spool"), "--events-url", url, "--json"]
    result = CliRunner().invoke(events_cli.app, arguments, catch_exceptions=False)
    document = json.loads(result.stdout)
    assert document["counts"]["predictions"] == 0
    assert document["shipper"] is None


STAGES = OutcomeFormats(
    target=Target(column="stage", positive="Won", open_values=("Negotiation", "Nurturing"))
)


def test_stages_that_count_as_not_converted_unasked_are_told() -> None:
    stages = ["Won", "Closed Won", "Lost", "Negotiation", "Nurture", "Nurture", "yes", "no"]
    table = rows(*((f"L-{i}", stage, "2026-05-01", None) for i, stage in enumerate(stages)))
    found = outcomes_from_table(table, COLUMNS, recorded_at=0, source="t", formats=STAGES)
    assert [o.converted for o in found.outcomes] == [True, False, False, False, False, True, False]
    assert [sentence.split(" as not converted")[0] for sentence in found.unlisted] == [
        '"Closed Won" (1 rows) counts',
        '"Nurture" (2 rows) counts',
    ]


def test_rejected_rows_do_not_count_among_them_and_plain_outcomes_are_not_told_of() -> None:
    table = rows(
        ("a", "Won", "2026-05-01", None),
        ("b", "Closed Won", "never", None),
        ("c", "Lost", "2026-05-01", None),
    )
    assert not outcomes_from_table(table, COLUMNS, recorded_at=0, source="t", formats=STAGES).unlisted
    table = rows(("a", "yes", "2026-05-01", None), ("b", "no", "2026-05-01", None))
    assert not outcomes_from_table(table, COLUMNS, recorded_at=0, source="t").unlisted


def test_the_import_prints_what_check_says_of_stages(tmp_path: Path) -> None:
    contract = tmp_path / "contract.yaml"
    contract.write_text(
        "name: crm\nid: lead_id\ntarget: {column: converted, positive: Won, open_values: [Negotiation]}\n"
        "features: [{name: budget, type: numeric}]\n"
    )
    table = tmp_path / "outcomes.csv"
    table.write_text(
        "lead_id,converted,occurred_at\nL-1,Won,2026-05-01\nL-2,Closed Won [x],2026-05-01\n"
        "L-3,Lost,2026-05-01\n"
    )
    url = f"sqlite:///{tmp_path / 'events.db'}"
    arguments = ["import", str(table), "--events-url", url, "--json", "-c", str(contract)]
    result = CliRunner().invoke(outcomes_cli.app, arguments, catch_exceptions=False)
    document = json.loads(result.stdout)
    assert document["new"] == 3
    assert document["unlisted"][0].startswith('"Closed Won [x]" (1 rows) counts as not converted')
    assert f"warning: converted: {document['unlisted'][0]}." in result.stderr


@pytest.mark.parametrize(
    ("values", "signs"),
    [(["$100", "€90"], r"\$, €"), (["10%", "90"], "%, none"), (["10 %", "$5", "n/a"], r"\$, %")],
)
def test_revenue_of_two_currencies_or_part_in_percent_is_refused(values: list[str], signs: str) -> None:
    table = rows(*((f"L-{i}", "yes", "2026-05-01", value) for i, value in enumerate(values)))
    with pytest.raises(
        TableError, match=f"'value' holds numbers with different signs behind or before them: {signs}"
    ):
        outcomes_from_table(table, COLUMNS, recorded_at=0, source="t")


@pytest.mark.parametrize("values", [["$100", "90", ""], ["10%", "90 %", "n/a"], ["1", "x%"]])
def test_one_currency_with_and_without_its_sign_is_not(values: list[str]) -> None:
    table = rows(*((f"L-{i}", "yes", "2026-05-01", value) for i, value in enumerate(values)))
    assert outcomes_from_table(table, COLUMNS, recorded_at=0, source="t").outcomes
