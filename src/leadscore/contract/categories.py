"""Find the category of a value, by one rule for requests and for tables of every format."""

from __future__ import annotations

import re
import unicodedata
from datetime import date, datetime
from datetime import time as clock
from decimal import Decimal
from functools import lru_cache

from leadscore.contract.model import Categorical, ColumnFormat
from leadscore.contract.text import POINT_ZERO, USUAL, is_missing, missing_words, whole_id

_PLAIN_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]*)\Z")
_PLAIN_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?\Z")


class Categories:
    """Which category a value is: the same rule for requests and tables.

    A text is the category that is written the same. One that differs in its Unicode form only (composed or
    decomposed accents) is the same text by definition; `3.0` is the category `3`, `True` the category `true`,
    where the contract does not list both. Case and spaces make a difference.
    """

    __slots__ = ("_longest", "_near", "_numbers", "codes", "missing")

    def __init__(self, feature: Categorical, form: ColumnFormat = USUAL) -> None:
        self.codes: dict[str, int] = {name: code for code, name in enumerate(feature.categories)}
        self.missing = missing_words(form, feature.categories)
        near: dict[str, int] = {}
        numbers: dict[float, set[int]] = {}
        for name, code in self.codes.items():
            for same in _same_text(name):
                near.setdefault(same, code)
            if _PLAIN_NUMBER.match(name):
                numbers.setdefault(float(name), set()).add(code)
        self._near = near
        self._numbers = {number: min(codes) for number, codes in numbers.items() if len(codes) == 1}
        # Decomposing makes a text up to three times as long; Unicode forms of longer ones are not looked for.
        self._longest = 4 * max(map(len, self.codes)) + 4

    def find(self, text: str) -> int | None:
        """The index of the category, or None if the contract lists none such."""
        code = self.codes.get(text)
        if code is None and len(text) <= self._longest:
            code = self._near.get(unicodedata.normalize("NFC", text))
        return code

    def find_typed(self, value: object) -> int | None:
        """The index of the category that a value with a type of its own stands for, as text would have it.

        Booleans are `true` and `false`; whole numbers have no point; dates are `2026-01-05`, times of day
        `09:30:00`, or `09:30` if the contract lists that, and moments `2026-01-05T09:30:00`. A number is the
        one category that is the same number: 1.1 is `1.10` where `1.1` is not listed.
        """
        for text in _typed_texts(value):
            code = self.find(text)
            if code is not None:
                return code
        if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            return self._numbers.get(float(value))
        return None

    def is_missing(self, text: str) -> bool:
        """Whether a text is no category and means "no value"."""
        return is_missing(text, self.missing) and self.find(text) is None


@lru_cache(maxsize=4096)
def categories_of(feature: Categorical, form: ColumnFormat = USUAL) -> Categories:
    """The categories of a feature whose column is written like that."""
    return Categories(feature, form)


def _same_text(name: str) -> list[str]:
    composed = unicodedata.normalize("NFC", name)
    found = [composed]
    if POINT_ZERO.match(composed):
        found.append(whole_id(composed))
    elif _PLAIN_WHOLE.match(composed):
        found.append(f"{composed}.0")
    if composed.lower() in {"true", "false"}:
        found += [composed.lower(), composed.capitalize(), composed.upper()]
    return found


def _typed_texts(value: object) -> list[str]:
    match value:
        case bool():
            return [str(value).lower()]
        case float() | Decimal() if value == value // 1:
            return [str(int(value)), str(value)]
        case datetime():
            plain = value.replace(tzinfo=None)
            zones = [""] if value.tzinfo is None else ["Z", "+00:00", ""]
            texts = [plain.isoformat(between) + zone for zone in zones for between in ("T", " ")]
            return texts + ([plain.date().isoformat()] if plain.time() == clock.min else [])
        case date():
            return [value.isoformat()]
        case clock():
            short = [] if value.second or value.microsecond else [value.isoformat("minutes")]
            return [value.isoformat(), *short]
        case _:
            return [str(value)]
