from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from leadscore.cli import events as events_cli
from leadscore.cli import outcomes as outcomes_cli
from leadscore.data.tables import read_table
from leadscore.errors import TableError
from leadscore.events.outcome_table import OutcomeColumns, outcomes_from_table
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
    assert read_table(rejected)["rejected_row"].to_pylist() == [2]


def test_status_reports_store_spool_and_shipper(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'events.db'}"
    arguments = ["status", "--spool", str(tmp_path / "spool"), "--events-url", url, "--json"]
    result = CliRunner().invoke(events_cli.app, arguments, catch_exceptions=False)
    document = json.loads(result.stdout)
    assert document["counts"]["predictions"] == 0
    assert document["shipper"] is None
