"""Guess how a column of text writes its numbers: marks, currency, words between them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from leadscore.contract.guess.categories import TextCounts
from leadscore.contract.model import ColumnFormat
from leadscore.contract.text import USUAL, may_be_thousands, read_number, unit_of

_COMMA = ColumnFormat(decimal=",")
_OTHERS = (
    ColumnFormat(thousands=","),
    ColumnFormat(decimal=",", thousands="."),
    ColumnFormat(thousands=" "),
    ColumnFormat(decimal=",", thousands=" "),
    ColumnFormat(thousands="'"),
    ColumnFormat(decimal=",", thousands="'"),
)
# With that many different numbers, each of three digits behind the mark, decimals without a shorter one among
# them (one in ten ends in a zero that is not written) are ruled out.
_SURE_NUMBERS = 50
_LIKELY_NUMBERS = 20
_LEAST_NUMBERS = 10  # different ones, for words among them to mean "no value"
_LEAST_SHARE = 0.8  # of the rows
_MOST_WORDS = 5
_MOSTLY = 0.5  # of the rows: numbers with some bounds between them, not categories with some numbers
_NEARLY_ALL = 0.95  # of the rows: what is no number then is a mistake

_CODE = re.compile(r"[+-]?0[0-9]+\Z|[0-9]{17,}\Z")
# Plain numbers, the usual case, in a form that reads a million of them at once.
_PLAIN = re.compile(r"-?(?:0|[1-9][0-9]{0,15})(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,2})?\Z")
_AMOUNT = r"[$€£]?\s?[0-9][0-9.,' ]*\s?[%kKmM$€£]?"
_BOUND = re.compile(
    r"([<>≤≥~]=?|over|under|more than|less than|up to|at least|at most|ab|bis|über|unter|"
    rf"mehr als|weniger als)\s?{_AMOUNT}"
    rf"|{_AMOUNT}\s?(\+|plus|or more|or less|and more|und mehr|oder mehr)|"
    rf"{_AMOUNT}\s?(-|–|to|bis)\s?{_AMOUNT}",
    re.IGNORECASE,
)
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]*)\Z")


@dataclass(frozen=True, slots=True)
class NumberGuess:
    """How to read the column.

    Attributes:
        form: The marks, and in `missing` the words among the numbers.
        other: The other reading where only a person can tell; None: `form` is sure.
        values: Each text's number; words have none.
        marked: Rows whose number holds the mark in question.
        word_rows: Rows that hold one of the words.
        unread_rows: Rows that hold neither a number nor one of the words: somebody must correct them.
        units: The currencies and per cent signs that were seen; `no unit` where only
            some numbers have a per cent sign.
        integer: Every number is whole and written so.
    """

    form: ColumnFormat
    other: ColumnFormat | None
    values: dict[str, float]
    marked: int
    word_rows: int
    unread_rows: int
    units: tuple[str, ...]
    integer: bool

    @property
    def plain(self) -> bool:
        """Whether the numbers are written as every reader would write them."""
        return self.form == USUAL and self.other is None and not self.units and not self.unread_rows


def is_code(texts: Sequence[str]) -> bool:
    """Whether some text would lose digits as a number.

    Leading zeros (postcodes), or more than 64 bits hold.
    """
    return any(_CODE.match(text.strip()) for text in texts)


def guess_numbers(seen: TextCounts) -> NumberGuess | None:
    """How a column's numbers are written, or None if it does not hold numbers (or codes that look like some).

    A few words among many numbers (`unknown`) are taken to mean "no value"; words with digits (`10+`) are
    not, and are mistakes where nearly all rows hold numbers.
    """
    texts = [text for text, _ in seen]
    if all(map(_PLAIN.match, texts)) and not may_be_thousands(texts):
        whole = all(map(_WHOLE.match, texts))
        return NumberGuess(USUAL, None, {text: float(text) for text in texts}, 0, 0, 0, (), integer=whole)
    if is_code(texts):
        return None
    numbers, words = _parted(seen)
    mistakes = bool(words) and not _are_words(numbers, words)
    if not numbers or (mistakes and not _are_mistakes(numbers, words)):
        return None
    found = _marks([text for text, _ in numbers])
    if found is None:
        return None
    form, other = found
    values = {text: read_number(text, form) for text, _ in numbers}
    known = {text: value for text, value in values.items() if value is not None}
    mark = form.thousands or form.decimal
    if words and not mistakes:
        form = ColumnFormat(
            decimal=form.decimal, thousands=form.thousands, missing=tuple(text.strip() for text, _ in words)
        )
        other = other and ColumnFormat(decimal=other.decimal, thousands=other.thousands, missing=form.missing)
    grouped = bool(form.thousands)
    return NumberGuess(
        form=form,
        other=other,
        values=known,
        marked=sum(count for text, count in numbers if mark in text),
        word_rows=0 if mistakes else sum(count for _, count in words),
        unread_rows=sum(count for _, count in words) if mistakes else 0,
        units=_units(known),
        integer=all(_WHOLE.match(text.strip()) for text in known)
        or (
            grouped and all(value.is_integer() and form.decimal not in text for text, value in known.items())
        ),
    )


def _units(texts: Iterable[str]) -> tuple[str, ...]:
    seen = tuple(dict.fromkeys(map(unit_of, texts)))
    named = tuple(unit for unit in seen if unit)
    return (*named, "no unit") if "%" in seen and "" in seen else named


def _parted(seen: TextCounts) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """Texts that some format reads as a number, and the others."""
    forms = (USUAL, _COMMA, *_OTHERS)
    numbers = [pair for pair in seen if any(read_number(pair[0], form) is not None for form in forms)]
    known = {text for text, _ in numbers}
    return numbers, [pair for pair in seen if pair[0] not in known]


def _are_words(numbers: TextCounts, words: TextCounts) -> bool:
    """Whether what is no number is little, and holds no digit: then it says that there is none."""
    return (
        len(words) <= _MOST_WORDS
        and len(numbers) >= _LEAST_NUMBERS
        and _share(numbers, words) >= _LEAST_SHARE
        and not any(re.search(r"[0-9]", text) for text, _ in words)
    )


def _are_mistakes(numbers: TextCounts, others: TextCounts) -> bool:
    """Whether what is no number is rare, and no text of it comes again and again as a value would (`10+`)."""
    often = max(count for _, count in others) > max(2, 0.01 * sum(count for _, count in numbers))
    return len(numbers) >= _LEAST_NUMBERS and _share(numbers, others) >= _NEARLY_ALL and not often


def bounds_among_numbers(seen: TextCounts) -> tuple[TextCounts, TextCounts] | None:
    """The numbers and the bounds between them (`10+`, `> 30`, `<5`, `5-10`) of a column that holds no more.

    None if most rows are no numbers, or there are no bounds.
    """
    numbers, others = _parted(seen)
    if not numbers or not others or is_code([text for text, _ in seen]):
        return None
    bounded = all(_BOUND.fullmatch(text.strip()) for text, _ in others)
    return (numbers, others) if bounded and _share(numbers, others) >= _MOSTLY else None


def _share(part: TextCounts, rest: TextCounts) -> float:
    rows = sum(count for _, count in part)
    return rows / (rows + sum(count for _, count in rest))


def several_formats(seen: TextCounts) -> bool:
    """Whether every text is a number, but no one format reads them all (`1.234,50` beside `1,234.50`)."""
    numbers, words = _parted(seen)
    texts = [text for text, _ in numbers]
    return bool(texts) and not words and not is_code(texts) and _marks(texts) is None


def _marks(texts: Sequence[str]) -> tuple[ColumnFormat, ColumnFormat | None] | None:
    """The format that reads all the texts, and the other one that does where they leave it open."""
    for decimals, thousands in (
        (USUAL, ColumnFormat(decimal=",", thousands=".")),
        (_COMMA, ColumnFormat(thousands=",")),
    ):
        if _reads(texts, decimals):
            open_question = may_be_thousands(texts, decimals) and _reads(texts, thousands)
            return _between(texts, decimals, thousands) if open_question else (decimals, None)
    for form in _OTHERS:
        if _reads(texts, form):
            return form, None
    return None


def _between(
    texts: Sequence[str], decimals: ColumnFormat, thousands: ColumnFormat
) -> tuple[ColumnFormat, ColumnFormat | None]:
    """Whether marks that always stand before three digits group thousands, by the numbers beside them."""
    marked = [text for text in texts if decimals.decimal in text]
    values = (read_number(text, decimals) for text in texts if decimals.decimal not in text)
    plain = [abs(value) for value in values if value is not None]
    if any(value >= 1000 for value in plain):
        return decimals, None  # grouped numbers are grouped throughout
    if any(unit not in {"", "%"} for unit in map(unit_of, marked)):
        return thousands, None  # no currency in use writes three decimals
    if plain and len(marked) >= _SURE_NUMBERS:
        return thousands, None
    if decimals.decimal == "," or len(marked) >= _LIKELY_NUMBERS:
        return thousands, decimals
    return decimals, thousands


def _reads(texts: Sequence[str], form: ColumnFormat) -> bool:
    return all(read_number(text, form) is not None for text in texts)
