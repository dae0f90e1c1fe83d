"""Small tables that were once read wrongly, kept beside the project.

Each is read as it should be, or refused by name.

Skipped where the folder is not there. What `contract infer` makes of them is tested in a file of its own.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from leadscore.cli import outcomes as outcomes_cli
from leadscore.contract import Categorical, ColumnFormat, FeatureContract, Numeric, Target
from leadscore.contract.check import CheckReport, check_table
from leadscore.data.matrix import encode_batch, known_times, labels, lead_ids, matrix_times, values
from leadscore.data.tables import read_table
from leadscore.errors import TableError
from leadscore.events.store import EventStore

CASES = Path("../shared/cases")
NOW = datetime(2026, 12, 1, tzinfo=UTC)

pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="the folder of cases is not beside the project")

SOURCES = ("Event", "Referral", "Web")
SOURCE, VISITS, AMOUNT = (
    Categorical(name="source", categories=SOURCES),
    Numeric(name="visits"),
    Numeric(name="amount"),
)


def table(name: str) -> pa.Table:
    return read_table(CASES / name)


def contract(
    *more: Categorical, formats: dict[str, ColumnFormat] | None = None, **changes: object
) -> FeatureContract:
    base = FeatureContract(
        name="cases",
        id="lead_id",
        time="created_at",
        target=Target(column="converted"),
        features=(SOURCE, VISITS, AMOUNT, *more),
    )
    return msgspec.structs.replace(base, **changes, formats=formats or {})


def column(name: str, feature: str, described: FeatureContract) -> np.ndarray:
    batch = encode_batch(described, table(name))
    return batch.matrix[:, [f.name for f in described.inputs].index(feature)].astype(np.float64)


def check(name: str, described: FeatureContract) -> CheckReport:
    return check_table(described, table(name), NOW)


def told(report: CheckReport) -> list[tuple[str, str]]:
    return [(issue.column, issue.kind) for issue in report.issues]


@pytest.mark.parametrize(
    ("name", "rows", "columns"),
    [
        ("base.csv", 60, 6),
        ("csv_report_footer.csv", 60, 6),
        ("csv_sep_line.csv", 60, 6),
        ("csv_tab_commas_in_header.tsv", 60, 6),
        ("missing_text.csv", 60, 6),
        ("num_german_thousands.csv", 60, 6),
    ],
)
def test_the_table_has_its_rows_and_columns(name: str, rows: int, columns: int) -> None:
    assert table(name).shape == (rows, columns)


def test_a_cell_of_megabytes_is_read(tmp_path: Path) -> None:
    lines = (CASES / "base.csv").read_text().splitlines()
    long = "y" * 2_500_000
    made = [f"{line},{long if row == 11 else 'short'}" for row, line in enumerate(lines)]
    made[0] = f"{lines[0]},notes"
    (tmp_path / "big.csv").write_text("\n".join(made))
    assert read_table(tmp_path / "big.csv").shape == (60, 7)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("csv_stray_quote.csv", "a quoted cell from row 11 .* spans 21 lines"),
        ("delta_renamed_column", "column mapping"),
    ],
)
def test_what_cannot_be_read_surely_is_refused_by_name(name: str, says: str) -> None:
    with pytest.raises(TableError, match=says):
        table(name)


@pytest.mark.parametrize(
    ("feature", "categories", "train", "score", "each"),
    [
        ("opt_in", ("true", "false", "unknown"), "flip_bool_train.csv", "flip_bool_score.csv", [20, 20, 0]),
        ("call_time", ("09:00", "14:30", "any"), "flip_time_train.csv", "flip_time_score.csv", [20, 20, 0]),
        (
            "version",
            ("1.0", "1.10", "2.0", "beta"),
            "flip_version_train.csv",
            "flip_version_score.csv",
            [15, 15, 15, 0],
        ),
    ],
)
def test_categories_are_text_whatever_the_file_holds(
    feature: str, categories: tuple[str, ...], train: str, score: str, each: list[int]
) -> None:
    described = contract(Categorical(name=feature, categories=categories))
    for name in (train, score):
        assert encode_batch(described, table(name)).unseen.tolist() == [0, 0, 0, 0]
        assert check(name, described).status == "ok"
    codes = column(score, feature, described).astype(int)
    assert np.bincount(codes, minlength=len(categories)).tolist() == each
    one = encode_batch(described, table(score).slice(0, 1))
    assert one.unseen.tolist() == [0, 0, 0, 0]


def test_postcodes_keep_their_leading_zeros() -> None:
    described = contract(Categorical(name="plz", categories=("01067", "04109", "80331", "10115")))
    assert np.isfinite(column("code_postal.csv", "plz", described)).all()


def test_unicode_forms_are_the_same_category() -> None:
    names = tuple(sorted(set(table("cat_nfd_train.csv")["source"].to_pylist())))
    described = msgspec.structs.replace(
        contract(), features=(Categorical(name="source", categories=names), VISITS, AMOUNT)
    )
    assert encode_batch(described, table("cat_nfd_score.csv")).unseen.tolist() == [0, 0, 0]
    assert check("cat_nfd_score.csv", described).status == "ok"


def test_spellings_of_a_category_are_told() -> None:
    (issue,) = check("cat_variants.csv", contract()).issues
    assert issue.kind == "unseen_category"
    assert "did you mean" in issue.message


def test_ids_are_never_changed() -> None:
    described = contract()
    assert lead_ids(described, table("id_exponent.csv")).to_pylist() == ["12345e10"]
    assert lead_ids(described, table("id_float_whole.csv")).to_pylist() == [str(n) for n in range(1001, 1061)]


@pytest.mark.parametrize(
    ("name", "feature", "missing"),
    [
        ("missing_text.csv", "source", 24),
        ("missing_text.parquet", "source", 24),
        ("num_dash_missing.csv", "visits", 9),
        ("num_blank_words.csv", "visits", 16),
        ("folder_int_double", "visits", 1),
        ("empty_column_score.csv", "amount", 60),
    ],
)
def test_missing_is_the_same_in_every_format(name: str, feature: str, missing: int) -> None:
    batch = encode_batch(contract(), table(name))
    assert batch.missing[[f.name for f in contract().inputs].index(feature)] == missing
    assert batch.unseen.tolist() == [0, 0, 0]
    assert check(name, contract()).status != "errors"


def test_an_empty_column_is_warned_of() -> None:
    (issue,) = check("empty_column_score.csv", contract()).issues
    assert (issue.column, issue.level, issue.kind) == ("amount", "warning", "empty")
    assert "in all 60 rows" in issue.message


@pytest.mark.parametrize(
    ("name", "form", "total"),
    [
        ("base.csv", ColumnFormat(), 954759),
        ("num_currency.csv", ColumnFormat(thousands=","), 954759),
        ("num_german_thousands.csv", ColumnFormat(decimal=",", thousands="."), 954759),
        ("num_decimal_comma.csv", ColumnFormat(decimal=","), 136394.13),
    ],
)
def test_numbers_are_read_by_the_contract_s_format(name: str, form: ColumnFormat, total: float) -> None:
    described = contract(formats={"amount": form})
    assert column(name, "amount", described).sum() == pytest.approx(total)
    assert check(name, described).status == "ok"


@pytest.mark.parametrize("name", ["num_currency.csv", "num_decimal_comma.csv"])
def test_numbers_of_another_format_are_refused_with_what_to_write(name: str) -> None:
    assert told(check(name, contract())) == [("amount", "wrong_type")]
    with pytest.raises(TableError, match=r"formats: \{amount: "):
        encode_batch(contract(), table(name))


def test_german_thousands_are_asked_about() -> None:
    assert told(check("num_german_thousands.csv", contract())) == [("amount", "ambiguous_number")]
    described = contract(value="value")
    assert told(check("value_col_german.csv", described)) == [("value", "ambiguous_number")]
    form = ColumnFormat(decimal=",", thousands=".")
    described = contract(value="value", formats={"value": form})
    assert np.nansum(values(described, table("value_col_german.csv"))) == 1251885
    assert check("value_col_german.csv", described).status == "ok"


def test_nine_fraction_digits_are_cut_the_same_everywhere() -> None:
    described = contract()
    assert str(matrix_times(described, table("time_ns_text.parquet"))[0]) == "2026-01-01T09:30:00.123456"
    assert check("time_ns_text.parquet", described).status == "ok"


def test_american_dates_are_read_by_their_format() -> None:
    assert ("created_at", "unreadable_time") in told(check("time_us_dates.csv", contract()))
    with pytest.raises(TableError, match=r"formats: \{created_at: "):
        matrix_times(contract(), table("time_us_dates.csv"))
    form = ColumnFormat(time_format="%m/%d/%Y")
    described = contract(
        formats={"created_at": form, "closed": form}, target=Target(column="converted", known_at="closed")
    )
    assert check("time_us_dates.csv", described).status == "ok"
    rows = table("time_us_dates.csv")
    assert str(matrix_times(described, rows)[3]) == "2026-01-02T00:00:00.000000"
    assert str(known_times(described, rows)[3]) == "2026-01-02T23:59:59.999999"


def test_a_year_that_is_a_typing_error_is_warned_of() -> None:
    (issue,) = check("time_year_typo.csv", contract()).issues
    assert (issue.level, issue.kind, issue.row) == ("warning", "future_time", 6)
    assert "row 6 lies after today" in issue.message


@pytest.mark.parametrize(
    ("name", "target", "converted", "lost", "unknown"),
    [
        ("target_case_variants.csv", Target(column="converted", positive="Won"), 25, 35, 0),
        ("target_closed_won.csv", Target(column="converted", positive="Closed Won"), 40, 20, 0),
        (
            "target_open_stages.csv",
            Target(column="converted", positive="Won", open_values=("Engaging", "Prospecting")),
            15, 15, 30,
        ),
    ],
)  # fmt: skip
def test_outcomes_are_read_by_the_target(
    name: str, target: Target, converted: int, lost: int, unknown: int
) -> None:
    found = labels(contract(target=target), table(name))
    assert [int((found == 1).sum()), int((found == 0).sum()), int(np.isnan(found).sum())] == [
        converted,
        lost,
        unknown,
    ]


def imported(name: str, tmp_path: Path, *more: str) -> tuple[dict[str, int], str]:
    url = f"sqlite:///{tmp_path / 'events.db'}"
    arguments = ["import", str(CASES / name), "--events-url", url, "--json", *more]
    result = CliRunner().invoke(outcomes_cli.app, arguments, catch_exceptions=False)
    return json.loads(result.stdout), url


def test_a_bare_date_among_times_is_the_end_of_its_day(tmp_path: Path) -> None:
    _, url = imported("outcome_bare_date_mixed.csv", tmp_path)
    with EventStore(url) as store:
        found = [store.outcomes_of(lead)[0].occurred_at for lead in ("A001", "A002")]
    assert [datetime.fromtimestamp(at / 1e6, UTC).isoformat() for at in found] == [
        "2026-02-05T23:59:59.999999+00:00",
        "2026-02-05T23:30:00+00:00",
    ]


def test_an_outcome_of_the_future_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="lies in the future"):
        imported("outcome_future_date.csv", tmp_path)


def test_an_id_with_an_exponent_is_an_id(tmp_path: Path) -> None:
    _, url = imported("outcome_id_exponent.csv", tmp_path)
    with EventStore(url) as store:
        assert len(store.outcomes_of("12345e10")) == 1


def test_ids_that_were_never_scored_are_counted(tmp_path: Path) -> None:
    document, _ = imported("outcome_unmatched_ids.csv", tmp_path)
    assert (document["new"], document["matched"], document["never_scored"]) == (3, 0, 3)
