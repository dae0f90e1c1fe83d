from __future__ import annotations

import unicodedata
from datetime import UTC, date, datetime

import msgspec
import pyarrow as pa
import pytest
from tests.unit.contract.leads import CONTRACT

from leadscore.contract import Categorical, ColumnFormat, FeatureContract, Numeric, Target
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


NOW = datetime(2026, 6, 1, tzinfo=UTC)


def check(contract: FeatureContract = CONTRACT, **changes: object) -> CheckReport:
    return check_table(contract, pa.table(GOOD | changes), NOW)


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
        ("balance", ["1.5", "N/A", "-"]),
        ("lead_id", [1.0, 2.0, 3.0]),
        ("lead_id", [date(2026, 1, day) for day in (1, 2, 3)]),
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


def test_a_positive_word_may_be_spelled_in_another_case() -> None:
    contract = msgspec.structs.replace(
        CONTRACT, target=msgspec.structs.replace(CONTRACT.target, positive="Yes")
    )
    assert check(contract, converted=["Yes", "No", None]).status == "ok"
    assert check(contract, converted=["yes ", "no", None]).status == "ok"
    assert check(contract, converted=["yep", "no", None]).status == "errors"


def kinds(report: CheckReport) -> list[tuple[str, str, str, int | None]]:
    return [(issue.column, issue.level, issue.kind, issue.row) for issue in report.issues]


def test_a_column_that_is_empty_in_all_rows_is_warned_of() -> None:
    for values in (pa.nulls(3), ["", "N/A", "-"], pa.array([None] * 3, pa.float64())):
        report = check(balance=values)
        assert kinds(report) == [("balance", "warning", "empty", None)]
        assert "in all 3 rows" in report.issues[0].message


@pytest.mark.parametrize("column", ["created_at", "closed_at"])
def test_a_time_after_today_is_warned_of_with_its_row(column: str) -> None:
    for values in (
        ["2026-01-01", "2205-01-01", "2026-03-01"],
        [date(2026, 1, 1), date(2205, 1, 1), date(2026, 1, 3)],
    ):
        report = check(**{column: values})
        assert kinds(report) == [(column, "warning", "future_time", 2)]
        assert "row 2 lies after today" in report.issues[0].message
    assert check(**{column: ["2026-06-01", "2026-05-31", "2026-05-30"]}).status == "ok"


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (["web", "Web ", "web"], "did you mean 'web'? They differ in case, spaces"),
        (["web", "radio", "web"], r"(1): 'radio'"),
    ],
)
def test_an_unlisted_category_is_told_with_what_may_be_meant(values: list[str], says: str) -> None:
    (issue,) = check(source=values).issues
    assert issue.kind == "unseen_category"
    assert says in issue.message


def test_the_same_text_in_another_unicode_form_is_the_category() -> None:
    contract = msgspec.structs.replace(
        CONTRACT, features=(*CONTRACT.features[:3], Categorical(name="source", categories=("café", "01067")))
    )
    table = pa.table(GOOD | {"source": [unicodedata.normalize("NFD", "café"), "01067", "1067"]})
    (issue,) = check_table(contract, table, NOW).issues
    assert "(1): '1067' (did you mean '01067'? They differ in leading zeros)" in issue.message


def test_a_lead_without_a_time_is_an_error_only_where_something_is_learnt_from_it() -> None:
    contract = msgspec.structs.replace(
        CONTRACT,
        target=msgspec.structs.replace(CONTRACT.target, positive="Won", open_values=("Prospecting",)),
    )
    known = check(
        contract, converted=["Won", "Lost", "Prospecting"], created_at=["2026-01-01", "", "2026-01-02"]
    )
    assert kinds(known) == [("created_at", "error", "missing_value", 2)]
    still_open = check(
        contract, converted=["Won", "Lost", "Prospecting"], created_at=["2026-01-01", "2026-01-02", ""]
    )
    assert kinds(still_open) == [("created_at", "warning", "missing_value", 3)]


def test_dots_that_may_group_thousands_are_told_unless_the_contract_decides() -> None:
    values = {"budget": ["29.118", "625", "2.806"], "revenue": ["56.784", None, None]}
    assert kinds(check(**values)) == [
        ("budget", "warning", "ambiguous_number", None),
        ("revenue", "warning", "ambiguous_number", None),
    ]
    for form in (ColumnFormat(), ColumnFormat(decimal=",", thousands=".")):
        contract = msgspec.structs.replace(CONTRACT, formats={"budget": form, "revenue": form})
        assert check(contract, **values).status == "ok"


def test_numbers_of_two_currencies_are_an_error() -> None:
    assert kinds(check(revenue=["$5", "5 €", None])) == [("revenue", "error", "mixed_units", None)]


def test_the_contract_s_formats_are_obeyed() -> None:
    contract = msgspec.structs.replace(
        CONTRACT,
        target=msgspec.structs.replace(CONTRACT.target, positive="Won", open_values=("Engaging",)),
        formats={
            "budget": ColumnFormat(decimal=",", thousands=".", missing=("Select",)),
            "created_at": ColumnFormat(time_format="%d/%m/%Y"),
            "closed_at": ColumnFormat(time_format="excel"),
        },
    )
    changes: dict[str, object] = {
        "budget": ["1.234,50 €", "7", "8"],
        "created_at": ["31/12/2025", "01/02/2026", "02/02/2026"],
        "closed_at": [46027.0, None, None],
        "converted": ["Won", "Lost", "Engaging"],
    }
    assert check(contract, **changes).status == "ok"
    assert kinds(check(contract, **changes | {"budget": ["Select", "7", "8"]})) == [
        ("budget", "error", "missing_value", 1)
    ]
    assert [
        issue.kind for issue in check(contract, **changes | {"converted": ["Won", "Engaging", None]}).issues
    ] == ["one_outcome"]


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
        ("budget", ["1,5", "2", "3"]),
        ("budget", ["$5", "5 €", "3"]),
        ("budget", ["N/A", "2", "3"]),
        ("newsletter", ["yes", "No", "maybe"]),
    ],
)
def test_what_is_an_error_here_is_refused_by_the_encoder(column: str, values: list[object]) -> None:
    with pytest.raises(TableError):
        encode_table(CONTRACT, pa.table(GOOD | {column: values}))


def test_a_lead_without_a_time_is_an_error_only_where_its_outcome_is_known() -> None:
    contract = FeatureContract(
        name="deals",
        id="id",
        time="at",
        target=Target(column="stage", positive="Won", open_values=("Prospecting",)),
        features=(Numeric(name="size"),),
    )
    rows = {"id": ["1", "2", "3"], "at": ["2026-01-01", "2026-01-02", None], "size": ["1", "2", "3"]}
    still_open = check_table(contract, pa.table(rows | {"stage": ["Won", "Lost", "Prospecting"]}))
    assert [(i.level, i.kind, i.row) for i in still_open.issues] == [("warning", "missing_value", 3)]
    lost = check_table(contract, pa.table(rows | {"stage": ["Won", "Lost", "Lost"]}))
    assert [(i.level, i.kind, i.row) for i in lost.issues] == [("error", "missing_value", 3)]
