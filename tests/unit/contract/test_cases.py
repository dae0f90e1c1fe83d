"""Tables as people sent them, each with the right value beside it (`NAME.expected`)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from leadscore.contract import Categorical, FeatureContract, Numeric
from leadscore.contract.infer import Inference, infer_contract
from leadscore.data.matrix import encode_table, labels, matrix_times, values
from leadscore.data.tables import read_table

CASES = Path("../shared/cases")
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not the project's to give")


def infer(name: str, **options: str) -> tuple[Inference, object]:
    table = read_table(CASES / name)
    roles = {"target": "converted", "id": "lead_id", "time": "created_at"} | options
    return infer_contract(table, name="case", **roles), table  # type: ignore[arg-type]


def told(inference: Inference, column: str) -> str:
    return " | ".join(f"{f.kind}: {f.reason} {f.action}" for f in inference.findings if f.column == column)


def column(contract: FeatureContract, table: object, name: str) -> np.ndarray:
    place = [f.name for f in contract.inputs].index(name)
    return encode_table(contract, table)[:, place]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "total"),
    [
        ("num_currency.csv", 954759.0),
        ("num_decimal_comma.csv", 136394.13),
        ("num_german_thousands.csv", 954759.0),
        ("base.csv", 954759.0),
    ],
)
def test_amounts_are_numbers_however_they_are_written(name: str, total: float) -> None:
    inference, table = infer(name)
    assert column(inference.contract, table, "amount").astype(np.float64).sum() == pytest.approx(
        total, rel=1e-6
    )
    assert ("number_format" in told(inference, "amount")) == (name != "base.csv")


@pytest.mark.parametrize(("name", "missing"), [("num_blank_words.csv", 16), ("num_dash_missing.csv", 9)])
def test_words_for_no_value_leave_a_column_numeric(name: str, missing: int) -> None:
    inference, table = infer(name)
    assert isinstance(inference.contract.feature("visits"), Numeric)
    assert np.isnan(column(inference.contract, table, "visits")).sum() == missing


def test_german_revenue_is_thousands_and_asked_about() -> None:
    inference, table = infer("value_col_german.csv", value="value")
    assert np.nansum(values(inference.contract, table)) == 1251885.0  # type: ignore[arg-type]
    assert "may group thousands" in told(inference, "value")


def test_missing_means_the_same_in_csv_and_parquet() -> None:
    found = [infer(name)[0] for name in ("missing_text.csv", "missing_text.parquet")]
    assert found[0].contract == found[1].contract
    assert [next(c.missing for c in f.columns if c.column == "source") for f in found] == [0.4, 0.4]


def test_postcodes_are_categories() -> None:
    inference, _ = infer("code_postal.csv")
    feature = inference.contract.feature("plz")
    assert isinstance(feature, Categorical)
    assert sorted(feature.categories) == ["01067", "04109", "10115", "80331"]


def test_spellings_of_one_category_are_listed() -> None:
    inference, _ = infer("cat_variants.csv")
    assert all(word in told(inference, "source") for word in ('"event"', '"Event "', '"web"', '"referral"'))


@pytest.mark.parametrize(
    ("train", "score", "feature"),
    [
        ("cat_nfd_train.csv", "cat_nfd_score.csv", "source"),
        ("flip_bool_train.csv", "flip_bool_score.csv", "opt_in"),
        ("flip_time_train.csv", "flip_time_score.csv", "call_time"),
        ("flip_version_train.csv", "flip_version_score.csv", "version"),
    ],
)
def test_a_category_is_one_in_every_table(train: str, score: str, feature: str) -> None:
    contract = infer(train)[0].contract
    assert isinstance(contract.feature(feature), Categorical)
    assert not np.isnan(column(contract, read_table(CASES / score), feature)).any()


def test_the_age_of_a_quote_is_not_a_person_s() -> None:
    assert not infer("sensitive_age_of_thing.csv")[0].contract.feature("Quote_Age_Days").sensitive


@pytest.mark.parametrize("options", [{}, {"positive": "Won"}])
def test_spellings_of_won_are_won_and_named(options: dict[str, str]) -> None:
    inference, table = infer("target_case_variants.csv", **options)
    assert labels(inference.contract, table).sum() == 25  # type: ignore[arg-type]
    assert all(word in told(inference, "converted") for word in ('"won"', '"Won "'))


def test_closed_won_is_positive_in_the_majority() -> None:
    inference, table = infer("target_closed_won.csv")
    assert inference.contract.target.positive == "Closed Won"
    assert labels(inference.contract, table).sum() == 40  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{}, {"positive": "Won"}])
def test_open_deals_are_neither_won_nor_lost(options: dict[str, str]) -> None:
    inference, table = infer("target_open_stages.csv", **options)
    known = labels(inference.contract, table)  # type: ignore[arg-type]
    assert [(known == 1).sum(), (known == 0).sum(), np.isnan(known).sum()] == [15, 15, 30]
    assert "open_values: ['Engaging', 'Prospecting']" in told(inference, "converted")


def test_us_dates_are_read_and_told_at_once() -> None:
    inference, table = infer("time_us_dates.csv")
    assert 'format: "%m/%d/%Y"' in told(inference, "created_at")
    assert str(matrix_times(inference.contract, table)[-1])[:10] == "2026-01-20"  # type: ignore[arg-type]
