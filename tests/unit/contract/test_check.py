from __future__ import annotations

from datetime import date

import msgspec
import pyarrow as pa
import pytest
from tests.unit.contract.leads import CONTRACT

from leadscore.contract.check import CheckReport, check_table
from leadscore.data.matrix import encode_table
from leadscore.errors import TableError

GOOD: dict[str, object] = {
    "lead_id": ["a", "b", "c"],
    "created_at": ["2026-01-01", "2026-02", "2026-03-01T10:00:00Z"],
    "budget": [1.0, 2.0, 3.0],
    "visits": [1, None, 2],
    "balance": [None, None, 1.5],
    "source": ["web", "fair", "web"],
    "größe": ["klein", None, "groß"],
    "gender": ["f", "m", None],
    "newsletter": [True, False, True],
    "existing customer": [None, True, False],
    "converted": [1, 0, None],
    "closed_at": [date(2026, 3, 1), None, None],
    "revenue": [10.0, None, None],
}


def check(**changes: object) -> CheckReport:
    return check_table(CONTRACT, pa.table(GOOD | changes))


def test_a_fitting_table_is_ok() -> None:
    assert check() == CheckReport(3, ())
    assert check().status == "ok"


@pytest.mark.parametrize(
    ("column", "values", "level", "kind", "row"),
    [
        ("lead_id", ["a", "b", None], "error", "missing_value", 3),
        ("lead_id", ["a", "b", "b"], "warning", "duplicate_id", 2),
        ("lead_id", [1, 2, 2], "warning", "duplicate_id", 2),
        ("lead_id", [1.5, 2.5, 3.5], "error", "wrong_type", 1),
        ("created_at", ["2026-01-01", "soon", None], "error", "unreadable_time", 2),
        ("created_at", ["2026-01-01", "2026-13", "2026-02-30"], "error", "unreadable_time", 2),
        ("created_at", [1, 2, 3], "error", "wrong_type", 1),
        ("closed_at", ["never", None, None], "error", "unreadable_time", 1),
        ("budget", [1.0, None, 2.0], "error", "missing_value", 2),
        ("budget", [1.0, float("nan"), 2.0], "error", "missing_value", 2),
        ("budget", [1.0, 2.0, 500_001.0], "warning", "out_of_range", 3),
        ("budget", ["1", "x", "y"], "error", "wrong_type", 2),
        ("budget", [True, False, True], "error", "wrong_type", 1),
        ("balance", [1.0, float("inf"), 2.0], "error", "not_finite", 2),
        ("balance", [1.0, 1e300, 2.0], "warning", "out_of_range", 2),
        ("visits", [1.0, 2.0, 2.5], "error", "not_whole", 3),
        ("source", ["web", "radio", "tv"], "warning", "unseen_category", 2),
        ("source", [[1], [2], [3]], "error", "wrong_type", 1),
        ("newsletter", [0, 1, 2], "error", "wrong_type", 3),
        ("newsletter", ["yes", "No", "maybe"], "error", "wrong_type", 3),
        ("newsletter", [date(2026, 1, 1)] * 3, "error", "wrong_type", 1),
        ("revenue", ["a lot", None, None], "error", "wrong_type", 1),
    ],
)
def test_a_bad_column_is_told_with_its_first_row(
    column: str, values: list[object], level: str, kind: str, row: int
) -> None:
    issues = check(**{column: values}).issues
    assert (column, level, kind, row) in {(i.column, i.level, i.kind, i.row) for i in issues}
    assert check(**{column: values}).status == f"{level}s"


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("lead_id", [1, 2, 3]),
        ("created_at", [date(2026, 1, 1)] * 3),
        ("budget", ["1", "2.5", "3"]),
        ("newsletter", [0, 1, 1]),
        ("newsletter", ["yes", "No", "TRUE"]),
        ("balance", pa.nulls(3)),
        ("größe", pa.array(["klein", None, "groß"]).dictionary_encode()),
        ("converted", [True, False, None]),
        ("converted", ["1", "0", None]),
        ("converted", [1.0, 0.0, None]),
        ("closed_at", pa.nulls(3)),
    ],
)
def test_other_ways_to_store_a_value_are_fine(column: str, values: object) -> None:
    assert check(**{column: values}).status == "ok"


@pytest.mark.parametrize("column", list(GOOD))
def test_a_missing_column_is_an_error(column: str) -> None:
    table = pa.table(GOOD).drop_columns([column])
    issues = check_table(CONTRACT, table).issues
    assert [(i.column, i.level, i.kind) for i in issues] == [(column, "error", "missing_column")]


@pytest.mark.parametrize("values", [[1, 1, None], [0, 0, 0], [None, None, None]])
def test_outcomes_of_one_kind_are_an_error(values: list[object]) -> None:
    assert [i.kind for i in check(converted=pa.array(values, pa.int64())).issues] == ["one_outcome"]


def test_a_positive_word_is_compared_as_it_is_written() -> None:
    contract = msgspec.structs.replace(
        CONTRACT, target=msgspec.structs.replace(CONTRACT.target, positive="Yes")
    )
    fits = check_table(contract, pa.table(GOOD | {"converted": ["Yes", "No", None]}))
    other = check_table(contract, pa.table(GOOD | {"converted": ["yes", "no", None]}))
    assert (fits.status, other.status) == ("ok", "errors")


def test_shares_count_the_offending_rows() -> None:
    (issue,) = check(source=["web", "radio", "tv"]).issues
    assert issue.share == pytest.approx(2 / 3)
    assert "'radio', 'tv'" in issue.message


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("budget", ["1", "x", "y"]),
        ("budget", [1.0, None, 2.0]),
        ("balance", [1.0, float("inf"), 2.0]),
        ("visits", [1.0, 2.0, 2.5]),
        ("newsletter", [0, 1, 2]),
        ("source", [[1], [2], [3]]),
    ],
)
def test_what_is_an_error_here_is_refused_by_the_encoder(column: str, values: list[object]) -> None:
    with pytest.raises(TableError):
        encode_table(CONTRACT, pa.table(GOOD | {column: values}))
