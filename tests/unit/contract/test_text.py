"""What text means in a table."""

from __future__ import annotations

import unicodedata

import pytest

from leadscore.contract import Categorical, ColumnFormat
from leadscore.contract.categories import Categories
from leadscore.contract.text import (
    MISSING_WORDS,
    is_missing,
    is_value,
    may_be_thousands,
    missing_words,
    read_number,
    read_time,
    read_truth,
    unit_of,
    whole_id,
)

USUAL = ColumnFormat()
GERMAN = ColumnFormat(decimal=",", thousands=".")
AMERICAN = ColumnFormat(thousands=",")
FRENCH = ColumnFormat(decimal=",", thousands=" ")
SWISS = ColumnFormat(thousands="'")


@pytest.mark.parametrize(
    ("text", "form", "number", "unit"),
    [
        ("12", USUAL, 12.0, ""),
        (" 12.5 ", USUAL, 12.5, ""),
        ("+5", USUAL, 5.0, ""),
        ("−5", USUAL, -5.0, ""),
        ("5-", USUAL, -5.0, ""),
        ("(5)", USUAL, -5.0, ""),
        ("1e5", USUAL, 100_000.0, ""),
        (".5", USUAL, 0.5, ""),
        ("45 %", USUAL, 45.0, "%"),
        ("$1,234.50", AMERICAN, 1234.5, "$"),
        ("($1,234.50)", AMERICAN, -1234.5, "$"),
        ("-$5", USUAL, -5.0, "$"),
        ("US$ 5", USUAL, 5.0, "US$"),
        ("12 EUR", USUAL, 12.0, "EUR"),
        ("12,34,567", AMERICAN, 1_234_567.0, ""),
        ("1.234,50 €", GERMAN, 1234.5, "€"),
        ("29.118", GERMAN, 29118.0, ""),
        ("29.118", USUAL, 29.118, ""),
        ("1 234,50", FRENCH, 1234.5, ""),
        ("1\u202f234,50", FRENCH, 1234.5, ""),
        ("1’234.50", SWISS, 1234.5, ""),
    ],
)
def test_a_number_is_read_by_the_marks_of_its_format(text: str, form: ColumnFormat, number: float, unit: str):
    assert read_number(text, form) == number
    assert unit_of(text) == unit


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("1,234", USUAL),
        ("1,5", USUAL),
        ("12.34", GERMAN),
        ("1.23.456", GERMAN),
        ("1 234", USUAL),
        ("--5", USUAL),
        ("-(5)", USUAL),
        ("nan", USUAL),
        ("inf", USUAL),
        ("1e999", USUAL),
        ("0x10", USUAL),
        ("१२", USUAL),
        ("", USUAL),
        ("five", USUAL),
        ("9" * 500, USUAL),
    ],
)
def test_what_the_format_does_not_say_is_no_number(text: str, form: ColumnFormat):
    assert read_number(text, form) is None


def test_dots_before_three_digits_may_be_thousands_until_a_number_settles_it():
    assert may_be_thousands(["29.118", "625", "2.806"])
    assert may_be_thousands(["1.234.567"])
    assert not may_be_thousands(["29.118", "0.125"])
    assert not may_be_thousands(["29.118", "2.5"])
    assert not may_be_thousands(["625", "12"])
    assert not may_be_thousands(["29.118"], GERMAN)


@pytest.mark.parametrize(
    ("text", "form", "moment"),
    [
        ("2026-01-05", USUAL, "2026-01-05 00:00:00"),
        ("2026-01", USUAL, "2026-01-01 00:00:00"),
        ("2026-01-05T09:30:00.123456789Z", USUAL, "2026-01-05 09:30:00.123456"),
        ("2026-01-05 09:30+02:00", USUAL, "2026-01-05 07:30:00"),
        ("31/12/2025", ColumnFormat(time_format="%d/%m/%Y"), "2025-12-31 00:00:00"),
        ("1/5/2026 1:30 PM", ColumnFormat(time_format="%m/%d/%Y %I:%M %p"), "2026-01-05 13:30:00"),
        ("46027.5", ColumnFormat(time_format="excel"), "2026-01-05 12:00:00"),
        ("1767225600123", ColumnFormat(time_format="epoch_ms"), "2026-01-01 00:00:00.123000"),
    ],
)
def test_a_time_is_read_by_its_format(text: str, form: ColumnFormat, moment: str):
    assert str(read_time(text, form)) == moment


@pytest.mark.parametrize("text", ["01/02/2026", "2026-02-30", "2026", "1767225600", "soon", ""])
def test_what_is_not_iso_8601_is_no_time_without_a_format(text: str):
    assert read_time(text) is None


def test_a_bare_date_may_mean_the_end_of_its_day():
    end = "2026-02-05 23:59:59.999999"
    assert str(read_time("2026-02-05", end_of_day=True)) == end
    assert str(read_time("05.02.2026", ColumnFormat(time_format="%d.%m.%Y"), end_of_day=True)) == end
    assert str(read_time("2026-02", end_of_day=True)) == end.replace("05", "28")
    assert str(read_time("2026-02-05 23:30", end_of_day=True)) == "2026-02-05 23:30:00"


@pytest.mark.parametrize(
    "word", ["", " ", "N/A", "null", "None", "-", "(blank)", "(leer)", "#DIV/0!", "NaN", " - "]
)
def test_words_for_no_value_are_missing_everywhere(word: str):
    assert is_missing(word)


@pytest.mark.parametrize("word", ["NA", "Nan", "0", "unknown", "No"])
def test_words_that_mean_something_are_not_missing(word: str):
    assert not is_missing(word)


def test_the_format_adds_words_and_the_contract_keeps_its_values():
    words = missing_words(ColumnFormat(missing=("Select",)), kept=("None",))
    assert is_missing("Select", words)
    assert not is_missing("None", words)
    assert "None" in MISSING_WORDS


def test_truth_has_its_words():
    assert [read_truth(word) for word in ("TRUE", "Ja", "0", " no ", "maybe")] == [
        True,
        True,
        False,
        False,
        None,
    ]


def test_a_category_is_the_text_that_is_listed_or_the_same_text_in_another_form():
    kinds = Categories(Categorical(name="kind", categories=("3", "true", "Událost", "1.0", "-")))
    decomposed = unicodedata.normalize("NFD", "Událost")
    assert [kinds.find(text) for text in ("3", "3.0", "True", decomposed, "1", "-")] == [0, 0, 1, 2, 3, 4]
    assert [kinds.find(text) for text in ("03", "tRUE ", "událost", "1.00", "")] == [None] * 5
    assert kinds.is_missing("N/A")
    assert not kinds.is_missing("-")


def test_an_outcome_is_the_value_however_it_is_spelled():
    assert all(is_value(text, "Won") for text in ("Won", "won", "Won ", "WON"))
    assert not is_value("Closed Won", "Won")
    assert is_value("1.0", 1)
    assert not is_value("21", 1)
    assert is_value("yes", wanted=True)


def test_a_whole_number_s_id_loses_the_point_that_a_table_gave_it():
    assert [whole_id(text) for text in ("1001.0", "12345e10", "01.0", "1.10", "2026-01-05")] == [
        "1001", "12345e10", "01.0", "1.10", "2026-01-05",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "form"),
    [
        *(("1200.-", {}), ("CHF 1200.-", {}), ("1200.– CHF", {}), ("1200,-", {"decimal": ","})),
        *(("1'200.--", {"thousands": "'"}), ("1.200,-- €", {"decimal": ",", "thousands": "."})),
    ],
)
def test_a_dash_for_no_cents_is_no_sign(text: str, form: dict[str, str]) -> None:
    assert read_number(text, ColumnFormat(**form)) == 1200.0  # type: ignore[arg-type]
    assert read_number("5-") == -5.0
