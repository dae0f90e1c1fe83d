"""The plain path: check one parsed lead field by field and report every problem.

The fast path (`encode.py`) must give the same row and warnings for every lead that this one accepts.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from leadscore.contract.categories import Categories, categories_of
from leadscore.contract.lead import DecodedLead, LeadWarning
from leadscore.contract.model import Boolean, Categorical, ColumnFormat, Feature, FeatureContract, Numeric
from leadscore.contract.strict import JsonObject
from leadscore.contract.text import TIME_PATTERN
from leadscore.contract.words import (
    ALLOWED_ID,
    ALLOWED_TIME,
    NotFinite,
    allowed,
    flag_of,
    json_type,
    no_features_flag,
    short_name,
    unknown_flag,
)
from leadscore.errors import FieldProblem, InvalidLeadError

FLOAT32_MAX = float(np.finfo(np.float32).max)
MAX_PROBLEMS = 1000
MAX_SUGGESTIONS = 20
# White space of Unicode besides control characters: an id of nothing else is none.
BLANKS = " \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
ID_PATTERN = rf"\A(?![{BLANKS}]*\Z)[^\x00-\x1f\x7f]{{1,256}}\Z"
ID_MIN, ID_MAX = -(2**63), 2**63 - 1

_ID_TEXT = re.compile(ID_PATTERN)
_ONLY_BLANKS = re.compile(rf"[{BLANKS}]*\Z")
_TIME_TEXT = re.compile(TIME_PATTERN)

Coded = tuple[float, bool] | str
"""A code and whether the model knows such values, or the reason why a value has none."""


class Problems:
    """The bad fields found so far; raises as soon as there are too many."""

    def __init__(self) -> None:
        self._found: list[FieldProblem] = []
        self._suggestions = 0

    def add(self, field: str, reason: str, received: str, permitted: str) -> None:
        """Note one bad field.

        Raises:
            InvalidLeadError: `MAX_PROBLEMS` are reached (a bulk request gone wrong as a whole).
        """
        self._found.append(FieldProblem(field, reason, received, permitted))
        if len(self._found) >= MAX_PROBLEMS:
            raise self.error()

    def __len__(self) -> int:
        return len(self._found)

    def suggest(self, name: str, names: list[str]) -> str:
        """A phrase that names the closest known field; the search is bounded per request."""
        self._suggestions += 1
        if self._suggestions <= MAX_SUGGESTIONS:
            close = difflib.get_close_matches(name[:128], names, n=1)
            if close:
                return f"did you mean {close[0]!r}?"
        return "only the fields of the contract"

    def raise_if_any(self) -> None:
        """Raise `InvalidLeadError` with everything noted, if anything was."""
        if self._found:
            raise self.error()

    def error(self) -> InvalidLeadError:
        """The error that holds everything noted."""
        return InvalidLeadError(self._found)


class PlainEncoder:
    """Encodes parsed leads and collects their problems."""

    def __init__(self, contract: FeatureContract) -> None:
        self._contract = contract
        self._checks = [_Check(f, contract.format_of(f.name)) for f in contract.features]
        self._inputs = [i for i, f in enumerate(contract.features) if f.input]
        self._no_features = no_features_flag(contract.id)
        self._refused = {c for c in (contract.target.column, contract.target.known_at, contract.value) if c}
        self._known = {contract.id, *(f.name for f in contract.features)}
        if contract.time is not None:
            self._known.add(contract.time)

    def encode(self, lead: object, prefix: str, problems: Problems) -> DecodedLead | None:
        """Encode one parsed lead; None if `problems` grew.

        Args:
            lead: What `parse_strict` returned for the lead.
            prefix: Path of the lead in a bulk request, such as `leads[3]`; empty for a single one.
            problems: Where bad fields are noted.
        """
        before = len(problems)
        if not isinstance(lead, JsonObject):
            problems.add(prefix or "lead", "wrong_type", json_type(lead), "an object with the lead's fields")
            return None
        path = f"{prefix}." if prefix else ""
        for name in lead.duplicates:
            problems.add(path + short_name(name), "duplicate", "the same key twice", "each key once")
        name = self._contract.id
        received = "null" if name in lead.values else "nothing"
        lead_id = read_id(lead.values.get(name), path + name, problems, received=received)
        self._check_time(lead, path, problems)
        flagged: list[LeadWarning] = []
        codes = [check(lead.values, path, flagged, problems) for check in self._checks]
        row: NDArray[np.float32] = np.array([codes[i] for i in self._inputs], dtype=np.float32)
        if np.isnan(row).all():
            flagged.append(self._no_features)
        self._check_unknown(lead, path, flagged, problems)
        if len(problems) > before:
            return None
        return DecodedLead(lead_id, row, tuple(flagged))

    def _check_time(self, lead: JsonObject, path: str, problems: Problems) -> None:
        name = self._contract.time
        value = lead.values.get(name) if name is not None else None
        if name is None or value is None:
            return
        if not isinstance(value, str):
            problems.add(path + name, "wrong_type", json_type(value), ALLOWED_TIME)
        elif not is_iso_time(value):
            problems.add(path + name, "wrong_format", "string", ALLOWED_TIME)

    def _check_unknown(
        self, lead: JsonObject, path: str, flagged: list[LeadWarning], problems: Problems
    ) -> None:
        for name, value in lead.values.items():
            if name in self._known:
                continue
            if name in self._refused:
                problems.add(path + name, "leak", json_type(value), LEAK)
            elif self._contract.unknown_fields == "warn":
                flagged.append(unknown_flag(name))
            else:
                hint = problems.suggest(name, sorted(self._known))
                problems.add(path + short_name(name), "unknown_field", json_type(value), hint)


LEAK = "nothing: the outcome is what the model predicts, send it to /outcomes"


class _Check:
    """One feature's check: notes a problem or a warning, returns the code."""

    __slots__ = ("_allowed", "_categories", "_encode", "_feature", "_flag", "_name")

    def __init__(self, feature: Feature, form: ColumnFormat) -> None:
        self._feature = feature
        self._name = feature.name
        self._allowed = allowed(feature)
        self._flag = None if isinstance(feature, Boolean) else flag_of(feature)
        self._categories = categories_of(feature, form) if isinstance(feature, Categorical) else None
        self._encode = _encoder(feature, self._categories)

    def __call__(
        self, values: dict[str, object], path: str, flagged: list[LeadWarning], problems: Problems
    ) -> float:
        value = values.get(self._name)
        if value is None or self._says_missing(value):
            if self._feature.required:
                received = json_type(value) if self._name in values else "nothing"
                problems.add(path + self._name, "missing", received, self._allowed)
            return math.nan
        coded = self._encode(value)
        if isinstance(coded, str):
            received = "number with a fraction" if coded == "not_whole" else json_type(value)
            problems.add(path + self._name, coded, received, self._allowed)
            return math.nan
        code, seen = coded
        if not seen and self._flag is not None:
            flagged.append(self._flag)
        return code

    def _says_missing(self, value: object) -> bool:
        known = self._categories
        return known is not None and isinstance(value, str) and known.is_missing(value)


def _encoder(feature: Feature, known: Categories | None) -> Callable[[object], Coded]:
    if known is not None:
        return _category_encoder(known)
    if isinstance(feature, Numeric):
        return number_encoder(feature)
    return lambda value: (float(value), True) if isinstance(value, bool) else "wrong_type"


def _category_encoder(known: Categories) -> Callable[[object], Coded]:
    def category(value: object) -> Coded:
        if not isinstance(value, str):
            return "wrong_type"
        code = known.find(value)
        return (math.nan, False) if code is None else (float(code), True)

    return category


def bounds(feature: Numeric) -> tuple[float, float]:
    """The values that are not flagged: the contract's range within that of float32."""
    low, high = feature.range
    return (
        max(-FLOAT32_MAX, -math.inf if low is None else low),
        min(FLOAT32_MAX, math.inf if high is None else high),
    )


def number_encoder(feature: Numeric) -> Callable[[object], Coded]:
    """A function from a non-null value to (code, within range), or to the reason why it is no number."""
    low, high = bounds(feature)

    def number(value: object) -> Coded:
        if isinstance(value, NotFinite):
            return "not_finite"
        if isinstance(value, bool) or not isinstance(value, int | float):
            return "wrong_type"
        try:
            real = float(value)
        except OverflowError:
            real = math.inf if value > 0 else -math.inf
        if feature.integer and not float_is_whole(real):
            return "not_whole"
        return min(max(real, -FLOAT32_MAX), FLOAT32_MAX), low <= real <= high

    return number


def is_iso_time(text: str) -> bool:
    """Whether text looks like an ISO 8601 month, date or time (the calendar is not checked)."""
    return _TIME_TEXT.match(text) is not None


def is_nan(value: object) -> bool:
    """Whether a value is the float that stands for missing in columns."""
    return isinstance(value, float | np.floating) and bool(value != value)  # noqa: PLR0124 - the definition of NaN


def read_id(value: object, field: str, problems: Problems, *, received: str = "null") -> str:
    """A lead's id as text; empty after a problem (`received` says how a missing one is told)."""
    if value is None:
        problems.add(field, "missing", received, ALLOWED_ID)
        return ""
    if isinstance(value, str):
        reason = id_problem(value)
        if reason is None:
            return value
        problems.add(field, reason, "string", ALLOWED_ID)
        return ""
    # JSON has one kind of number: 7.0 is the integer 7.
    if isinstance(value, bool) or not isinstance(value, int | float) or not float_is_whole(value):
        problems.add(field, "wrong_type", json_type(value), ALLOWED_ID)
    elif ID_MIN <= value <= ID_MAX:
        return str(int(value))
    else:
        problems.add(field, "too_long", "number", ALLOWED_ID)
    return ""


def float_is_whole(value: float) -> bool:
    """Whether a number has no fraction; infinite ones count as whole, being too large to have one."""
    return isinstance(value, int) or value.is_integer() or math.isinf(value)


def id_problem(text: str) -> str | None:
    """Why a text is no id, as a stable word; None if it is one."""
    if _ID_TEXT.match(text):
        return None
    if _ONLY_BLANKS.match(text):
        return "empty"
    return "too_long" if len(text) > 256 else "control_characters"
