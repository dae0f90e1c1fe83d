"""How a column writes its numbers."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadscore.contract import ColumnFormat
from leadscore.contract.guess.numbers import NumberGuess, guess_numbers, is_code, several_formats

GERMAN = ColumnFormat(decimal=",", thousands=".")
FORMATS = [
    ColumnFormat(),
    ColumnFormat(thousands=","),
    GERMAN,
    ColumnFormat(decimal=",", thousands=" "),
    ColumnFormat(thousands="'"),
]


def guess(*texts: str) -> NumberGuess | None:
    return guess_numbers([(text, 1) for text in texts])


def marks(found: NumberGuess | None) -> tuple[str, str]:
    assert found is not None
    return found.form.decimal, found.form.thousands


@pytest.mark.parametrize(
    ("texts", "expected", "total"),
    [
        (("12", "-3.5", "1e3"), (".", ""), 1008.5),
        (("1.234,50", "12"), (",", "."), 1246.5),
        (("1,234.50", "12"), (".", ","), 1246.5),
        (("$1,234.50", "$5.00"), (".", ","), 1239.5),
        (("12,5", "3"), (",", ""), 15.5),
        (("45 %", "5 %"), (".", ""), 50.0),
        (("1 234,5", "2"), (",", " "), 1236.5),
        (("1 234", "2"), (".", " "), 1236.0),
        (("1’234.5", "2"), (".", "'"), 1236.5),
        (("1,234,567",), (".", ","), 1234567.0),
        (("0.125", "1.250"), (".", ""), 1.375),
        (("1.234 €", "5 €"), (",", "."), 1239.0),
    ],
)
def test_marks_that_only_one_format_has_are_sure(
    texts: tuple[str, ...], expected: tuple[str, str], total: float
):
    found = guess(*texts)
    assert marks(found) == expected
    assert found is not None
    assert found.other is None
    assert sum(found.values.values()) == total


def test_three_digits_behind_a_mark_are_a_question():
    found = guess("1,234", "56,789", "625")
    assert found is not None
    assert (marks(found), found.other, found.marked) == ((".", ","), ColumnFormat(decimal=","), 2)
    few = guess("1.234", "56.789", "625")
    assert few is not None
    assert (few.form, few.other) == (ColumnFormat(), GERMAN)


def test_many_numbers_of_which_none_has_fewer_digits_are_thousands():
    texts = [f"{n:,}".replace(",", ".") for n in random.Random(1).sample(range(1_000, 99_999), 60)]
    found = guess(*texts, "625")
    assert (marks(found), found and found.other) == ((",", "."), None)
    undecided = guess(*texts)
    assert undecided is not None
    assert undecided.other == ColumnFormat()


def test_a_large_number_without_marks_says_that_the_marks_are_decimals():
    assert marks(guess("29.118", "29118")) == (".", "")


def test_words_among_many_numbers_mean_no_value():
    found = guess_numbers([(str(n), 4) for n in range(12)] + [("unknown", 3), ("k.A.", 2)])
    assert found is not None
    assert found.form.missing == ("unknown", "k.A.")
    assert found.word_rows == 5
    assert set(found.values) == {str(n) for n in range(12)}


@pytest.mark.parametrize(
    "texts", [("10+", *map(str, range(12))), ("1.0", "1.10", "beta"), ("a", "b"), ("v1",), ("1-5", "6-10")]
)
def test_words_with_digits_or_among_few_numbers_make_it_no_number(texts: tuple[str, ...]):
    assert guess(*texts) is None


@pytest.mark.parametrize("text", ["01067", "007", "12345678901234567890"])
def test_digits_that_a_number_would_lose_are_a_code(text: str):
    assert is_code([text, "80331"])
    assert guess(text, "80331") is None


def test_whole_numbers_are_marked():
    assert [found.integer for found in map(guess, ("12", "1.5", "1.0")) if found] == [True, False, False]
    german = guess("1.234.567", "12")
    assert german is not None
    assert german.integer


def test_a_few_mistakes_among_many_numbers_do_not_make_it_text():
    found = guess_numbers([*((str(n), 5) for n in range(20)), ("1O0", 1), ("12..5", 1)])
    assert found is not None
    assert guess_numbers([*((str(n), 5) for n in range(20)), ("10+", 4)]) is None
    assert (found.unread_rows, found.form.missing) == (2, ())


def test_numbers_in_several_formats_are_known_as_such():
    assert several_formats([("1.234,50", 1), ("1,234.50", 1)])
    assert not several_formats([("1.234,50", 1), ("12", 1)])
    assert not several_formats([("1.234,50", 1), ("1,234.50", 1), ("few", 1)])


def test_several_units_are_told():
    found = guess("$5", "5 €", "7")
    assert found is not None
    assert found.units == ("$", "€")
    shares = guess("45 %", "0.45")
    assert shares is not None
    assert shares.units == ("%", "no unit")


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(FORMATS), st.lists(st.integers(-(10**8), 10**8), min_size=1, max_size=30))
def test_amounts_with_two_decimals_are_read_as_they_were_written(form: ColumnFormat, cents: list[int]):
    written: dict[str, float] = {}
    for cent in cents:
        text = f"{cent / 100:,.2f}".replace(",", "_").replace(".", form.decimal).replace("_", form.thousands)
        written[text] = cent / 100
    found = guess_numbers([(text, 1) for text in written])
    assert found is not None
    assert found.other is None
    assert found.values == written
