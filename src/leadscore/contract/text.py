"""Read a table's text: missing, a number, a time, true or false, a category.

Each text is read by itself, by the contract and never by what else the file holds: the same cell means
the same in a table of one lead and in one of a million. What a request holds as JSON has a type of its
own and needs none of this, but for categories, which are text everywhere:
`leadscore.contract.categories` is the rule for all.
"""

from __future__ import annotations

import calendar
import math
import re
import unicodedata
from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta
from datetime import time as clock
from decimal import Decimal
from functools import cache
from typing import Final

from leadscore.contract.model import NUMERIC_TIMES, Categorical, ColumnFormat, FeatureContract

USUAL: Final = ColumnFormat()

# "NA" is not among them: it is Namibia. Nor is "nan" in every spelling: Nan is a province.
_WORDS = (
    "null",
    "none",
    "n/a",
    "n.a.",
    "#n/a",
    "#na",
    "<na>",
    "nat",
    "(blank)",
    "(leer)",
    "(null)",
    "(none)",
    "(empty)",
)
_ERRORS = (
    "#DIV/0!",
    "#VALUE!",
    "#REF!",
    "#NAME?",
    "#NUM!",
    "#NULL!",
    "#NV",
    "#WERT!",
    "#BEZUG!",
    "#ZAHL!",
    "#CALC!",
)
_SIGNS = ("", "-", "−", "--", "---", "–", "—", ".", "?", "\\N", "NaN", "nan", "NAN", "-nan", "-NaN", "NaT")
MISSING_WORDS: Final = frozenset(
    {*_SIGNS, *_ERRORS, *(form for word in _WORDS for form in (word, word.upper(), word.capitalize()))}
    | {"(Blank)", "(Leer)", "(Null)", "(None)", "(Empty)"}
)
"""Texts that mean "no value" in every column of every format, without the spaces around them."""

NO_NUMBER_WORDS: Final = frozenset({"NA", "na"})
"""Texts that mean "no value" where no category or id is meant: a number is never Namibia."""

TRUE_WORDS: Final = frozenset(
    {"true", "t", "yes", "y", "1", "1.0", "wahr", "ja", "vrai", "oui", "verdadero", "si", "sí"}
)
FALSE_WORDS: Final = frozenset(
    {"false", "f", "no", "n", "0", "0.0", "falsch", "nein", "faux", "non", "falso"}
)
"""What is read as true and as false, in lower case."""

TIME_PATTERN: Final = (
    r"\A[0-9]{4}-[0-9]{2}(-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]{1,9})?)?"
    r"(Z|[+-][0-9]{2}(:?[0-9]{2})?)?)?)?\Z"
)

_TIME = re.compile(TIME_PATTERN)
_FRACTION = re.compile(r"([.,]\d{6})\d+")
_CLOCK = re.compile(r"%-?[HIMSpfXcTRs]")
_SPACES = "[\\s\u00a0\u2007\u2009\u202f]"
_CODES = (
    "USD EUR GBP JPY CHF CNY RMB INR AUD NZD CAD SEK NOK DKK PLN CZK HUF RON BGN TRY RUB UAH ILS BRL MXN ARS "
    "CLP COP PEN "
    "ZAR NAD KRW SGD HKD TWD THB IDR MYR PHP VND AED SAR EGP NGN KES ISK"
)
_LOCAL = "US\\$|A\\$|C\\$|NZ\\$|R\\$|Kč|zł|kr\\.?|Fr\\.?|Ft|lei|Rs\\.?"
_MARK = f"(?:{_LOCAL}|{'|'.join(_CODES.split())}|[$€£¥₹₽₺₩₪₫₴₱฿₦₵₡₲₸₾])"
_AMOUNT = re.compile(
    rf"(?P<open>\()?(?P<before>{_MARK}{_SPACES}*)?(?P<sign>[-+−])?(?P<inner>{_MARK})?{_SPACES}*"
    rf"(?P<digits>[0-9.,'’\s\u00a0\u2007\u2009\u202f]*[0-9][.,]?(?:[eE][-+]?[0-9]+)?)"
    rf"{_SPACES}*(?P<after>{_MARK}|%)?(?P<behind>[-−])?(?(open)\))\Z"
)
# "1200.-" and "1'200,--": no cents. The dash is no sign.
_NO_CENTS = re.compile(r"(?<=[0-9])[.,][-−–—]{1,2}(?=[^0-9]*\Z)")
_MARKS_OF_THOUSANDS = {"": "", ".": r"\.", ",": ",", " ": _SPACES, "'": "['’]"}
_THREES = re.compile(r"[-+−]?[1-9][0-9]{0,2}([.,])[0-9]{3}(\1[0-9]{3})*\Z")
_LONGEST_NUMBER = 400  # characters, as for the integers of a request
_EXCEL_DAY_0 = datetime(1899, 12, 30)  # noqa: DTZ001 - times here are in UTC, without saying so
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001
POINT_ZERO = re.compile(r"(-?(?:0|[1-9][0-9]*))\.0\Z")


def missing_words(
    form: ColumnFormat = USUAL, kept: Collection[str] = (), *, text: bool = True
) -> frozenset[str]:
    """The texts that mean "no value" in a column.

    Args:
        form: How the table writes the column; its `missing` adds words.
        kept: Texts that are values here whatever they look like: the categories that the contract lists,
            the values of its target.
        text: Whether the column holds categories or ids, which may be called NA;
            numbers, times and truth may not.
    """
    words = MISSING_WORDS if text else MISSING_WORDS | NO_NUMBER_WORDS
    return (words | frozenset(form.missing)) - frozenset(kept)


def missing_words_of(contract: FeatureContract, column: str) -> frozenset[str]:
    """The texts that mean "no value" in that column of the contract's tables."""
    kept: list[str] = []
    text = column == contract.id
    for feature in contract.features:
        if feature.name == column and isinstance(feature, Categorical):
            kept += feature.categories
            text = True
    if column == contract.target.column:
        kept += [str(value) for value in (contract.target.positive, *contract.target.open_values)]
    return missing_words(contract.format_of(column), kept, text=text)


def is_missing(text: str, words: Collection[str] = MISSING_WORDS) -> bool:
    """Whether text, or what is left of it without the spaces around it, is one of the words for "no value".

    A text of nothing but spaces is missing unless `words` leaves it out.
    """
    return text in words or (text.strip() in words)


def read_number(text: str, form: ColumnFormat = USUAL) -> float | None:
    """A number as a table writes it, or None if it is none.

    Spaces around it, a plus sign, the sign behind (`5-`), an amount in brackets (`(5)` is −5), a dash for no
    cents (`5.-` is 5), and a sign or code of a currency are understood. A percent sign is a unit as `€` is
    one: `45 %` is 45, not 0.45. The decimal and the thousands mark are those of the format and no others,
    and thousands must be grouped as such: `1,234` is no number where the format does not say that commas
    group. Infinite and "nan" are no numbers.
    """
    found = _amount(text)
    if found is None:
        return None
    digits = _digits(form.decimal, form.thousands).match(found["digits"])
    negative = [found["open"] is not None, found["sign"] in {"-", "−"}, found["behind"] is not None]
    if digits is None or sum(negative) > 1 or (found["sign"] == "+" and any(negative)):
        return None
    whole = re.sub(r"[^0-9]", "", digits["whole"])
    number = float(f"{whole or '0'}.{digits['fraction'] or '0'}{digits['exponent'] or ''}")
    if math.isinf(number):
        return None
    return -number if any(negative) else number


def unit_of(text: str) -> str:
    """The currency or percent sign of a number's text; empty if it has none (or is no number)."""
    found = _amount(text)
    marks = () if found is None else (found["before"], found["inner"], found["after"])
    return "".join(mark.strip() for mark in marks if mark)


def mixed_units(texts: Iterable[str]) -> list[str]:
    """The signs of numbers that do not go together (two currencies, some in percent); empty where all do.

    A currency's sign may be left out of some, a percent sign may not: 10 beside 5 % may be 1000 %.
    """
    units = {unit_of(text) for text in texts}
    mixed = len(units - {"", "%"}) > 1 or ("%" in units and len(units) > 1)
    return sorted(unit or "none" for unit in units) if mixed else []


def _amount(text: str) -> re.Match[str] | None:
    return _AMOUNT.match(_NO_CENTS.sub("", text.strip())) if len(text) <= _LONGEST_NUMBER else None


@cache
def _digits(decimal: str, thousands: str) -> re.Pattern[str]:
    group = _MARKS_OF_THOUSANDS[thousands]
    # India groups by two (12,34,567).
    size = "{2,3}" if thousands == "," else "{3}"
    grouped = f"[0-9]{{1,3}}(?:{group}[0-9]{size})*{group}[0-9]{{3}}|" if group else ""
    point = re.escape(decimal)
    return re.compile(
        rf"(?P<whole>{grouped}[0-9]+|(?={point}[0-9]))(?:{point}(?P<fraction>[0-9]*))?"
        r"(?P<exponent>[eE][-+]?[0-9]+)?\Z"
    )


def may_be_thousands(texts: Iterable[str], form: ColumnFormat = USUAL) -> bool:
    """Whether the decimal mark of these numbers may be a thousands mark: three digits follow it, always.

    `29.118` and `625` may be 29.118 and 625, or 29118 and 625; only a person can say. `0.125` settles it, and
    so does any number with more or fewer digits behind the mark. Texts that are no numbers are left out.
    """
    seen = False
    for text in texts:
        found = _amount(text)
        if found is None:
            continue
        digits = found["digits"]
        if form.decimal not in digits:
            continue
        three = _THREES.match(digits)
        if three is None or three[1] != form.decimal:
            return False
        seen = True
    return seen and not form.thousands


def read_truth(text: str) -> bool | None:
    """True or false as a table writes it in any case, or None if it is neither."""
    word = text.strip().lower()
    if word in TRUE_WORDS:
        return True
    return False if word in FALSE_WORDS else None


def is_bare_date(text: str, form: ColumnFormat = USUAL) -> bool:
    """Whether a time's text holds no time of day."""
    if form.time_format is None:
        return len(text.strip()) <= len("2026-01-05")
    return form.time_format not in NUMERIC_TIMES and _CLOCK.search(form.time_format) is None


def read_time(text: str, form: ColumnFormat = USUAL, *, end_of_day: bool = False) -> datetime | None:
    """A time as a table writes it, in UTC without a zone, or None if it is none.

    Without a format: ISO 8601, `2026-03-31T09:30:00Z` or parts of it; a month (`2026-03`) is its first day.
    A time without a zone is UTC. Digits
    beyond the microsecond are cut off.

    Args:
        text: The cell.
        form: How the table writes times.
        end_of_day: A date without a time of day means the end of that day (and a month the end of the
            month), as when an outcome
            is known: what happens on a day is known when the day is over.
    """
    text = text.strip()
    try:
        moment = _iso(text) if form.time_format is None else _formatted(text, form.time_format)
    except (ValueError, OverflowError):
        return None
    if moment is None or not end_of_day or not is_bare_date(text, form):
        return moment
    if form.time_format is None and len(text) == len("2026-01"):
        moment = moment.replace(day=calendar.monthrange(moment.year, moment.month)[1])
    return datetime.combine(moment, clock.max)


def _iso(text: str) -> datetime | None:
    if not _TIME.match(text):
        return None
    if len(text) == len("2026-01"):
        text += "-01"
    return _in_utc(datetime.fromisoformat(_FRACTION.sub(r"\1", text).replace(",", ".")))


def _formatted(text: str, time_format: str) -> datetime | None:
    if time_format in NUMERIC_TIMES:
        number = re.fullmatch(r"-?[0-9]+([.][0-9]*)?", text)
        return None if number is None else time_of_number(Decimal(text), time_format)
    # The format may hold a zone, or not.
    return _in_utc(datetime.strptime(_FRACTION.sub(r"\1", text), time_format))  # noqa: DTZ007


def time_of_number(number: Decimal | float, time_format: str) -> datetime:
    """The time that a number stands for, in UTC without a zone, by one of `NUMERIC_TIMES`.

    Spreadsheets count days from 1899-12-30; their fractions are rounded to the millisecond.

    Raises:
        ValueError: The number is not finite.
        OverflowError: The time lies outside the years 1 to 9999.
    """
    if time_format == "excel":
        return _EXCEL_DAY_0 + timedelta(milliseconds=round(Decimal(number) * 86_400_000))
    micros = Decimal(number) * {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}[time_format]
    return _EPOCH + timedelta(microseconds=int(micros.to_integral_value("ROUND_FLOOR")))


def _in_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)


def nearly(text: str) -> str:
    """Fold a text: without case, Unicode form, and spaces around it or doubled."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def is_value(text: str, wanted: str | int | bool) -> bool:
    """Whether a cell of the target holds that value: `target.positive`, or one of `target.open_values`.

    Numbers are compared as numbers (`1.0` is 1), truth by its words, and text without regard to case, spaces
    around it and Unicode form: `won` and `Won ` are `Won`.
    """
    if isinstance(wanted, bool):
        return read_truth(text) is wanted
    if isinstance(wanted, str) and nearly(text) == nearly(wanted):
        return True
    number = read_number(text)
    if number is None:
        return wanted in {0, 1} and text.strip().lower() == str(bool(wanted)).lower()
    return number == (read_number(wanted) if isinstance(wanted, str) else wanted)


def whole_id(text: str) -> str:
    """An id as a request would hold it.

    `1001.0` is the number 1001, as tables write it when some row has none.
    """
    found = POINT_ZERO.match(text)
    return text if found is None else found[1]
