"""Encoding of leads that come as columns: the same rules as for JSON, a column at a time."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from leadscore.contract.categories import Categories, categories_of
from leadscore.contract.lead import DecodedLeads, LeadWarning
from leadscore.contract.model import Boolean, Categorical, Feature, FeatureContract, Numeric
from leadscore.contract.plain import (
    FLOAT32_MAX,
    LEAK,
    Problems,
    bounds,
    is_iso_time,
    is_nan,
    read_id,
)
from leadscore.contract.words import (
    ALLOWED_ID,
    ALLOWED_TIME,
    allowed,
    flag_of,
    json_type,
    no_features_flag,
    short_name,
    unknown_flag,
)
from leadscore.errors import MalformedBodyError

Column = Sequence[object] | NDArray[np.generic]


class ColumnEncoder:
    """Encodes columns of leads of one contract."""

    def __init__(self, contract: FeatureContract) -> None:
        self._contract = contract
        self._inputs = {f.name: i for i, f in enumerate(contract.inputs)}
        self._categories = {
            f.name: categories_of(f, contract.format_of(f.name))
            for f in contract.features
            if isinstance(f, Categorical)
        }
        refused = (contract.target.column, contract.target.known_at, contract.value)
        self._refused = {c for c in refused if c is not None}
        self._known = [c for c in contract.columns if c not in self._refused]
        self._no_features = no_features_flag(contract.id)

    def encode(self, columns: Mapping[str, Column]) -> DecodedLeads:
        """See `LeadDecoder.columns_to_rows`."""
        count = _common_length(columns)
        problems = Problems()
        warnings: list[tuple[LeadWarning, ...]] = [()] * count
        lead_ids = _ids(columns.get(self._contract.id), self._contract.id, count, problems)
        self._check_time(columns, problems)
        rows = np.full((count, len(self._inputs)), np.nan, dtype=np.float32)
        for feature in self._contract.features:
            codes, flagged = self._feature(feature, columns.get(feature.name), count, problems)
            if feature.name in self._inputs:
                with np.errstate(invalid="ignore"):  # a signalling NaN is a NaN
                    rows[:, self._inputs[feature.name]] = codes
            if not isinstance(feature, Boolean):
                flag = flag_of(feature)
                for row in np.flatnonzero(flagged):
                    warnings[row] += (flag,)
        for row in np.flatnonzero(np.isnan(rows).all(axis=1)):
            warnings[row] += (self._no_features,)
        warnings = self._check_unknown(columns, warnings, problems)
        problems.raise_if_any()
        return DecodedLeads(lead_ids, rows, warnings)

    def _feature(
        self, feature: Feature, column: Column | None, count: int, problems: Problems
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        if column is None:
            if feature.required:
                problems.add(feature.name, "missing", "no such column", allowed(feature))
            return np.full(count, np.nan), np.zeros(count, dtype=np.bool_)
        match feature:
            case Numeric():
                codes, flagged = _numbers(feature, column, problems)
            case Categorical():
                codes, flagged = _categories(feature, self._categories[feature.name], column, problems)
            case Boolean():
                codes, flagged = _booleans(feature, column, problems)
        if feature.required:
            for row in np.flatnonzero(np.isnan(codes) & ~flagged):
                _note_null(feature, int(row), column, problems)
        return codes, flagged

    def _check_time(self, columns: Mapping[str, Column], problems: Problems) -> None:
        name = self._contract.time
        column = columns.get(name) if name is not None else None
        if name is None or column is None:
            return
        if isinstance(column, np.ndarray) and column.dtype.kind == "M":
            return
        for row, value in enumerate(_values(column)):
            if value is not None and not isinstance(value, str):
                problems.add(f"leads[{row}].{name}", "wrong_type", json_type(value), ALLOWED_TIME)
            elif value is not None and not is_iso_time(value):
                problems.add(f"leads[{row}].{name}", "wrong_format", "string", ALLOWED_TIME)

    def _check_unknown(
        self, columns: Mapping[str, Column], warnings: list[tuple[LeadWarning, ...]], problems: Problems
    ) -> list[tuple[LeadWarning, ...]]:
        for name in columns:
            if name in self._known:
                continue
            if name in self._refused:
                problems.add(name, "leak", "a column", LEAK)
            elif self._contract.unknown_fields == "warn":
                flag = unknown_flag(name)
                warnings = [(*found, flag) for found in warnings]
            else:
                hint = problems.suggest(name, self._known)
                problems.add(short_name(name), "unknown_field", "a column", hint)
        return warnings


def _common_length(columns: Mapping[str, Column]) -> int:
    lengths = {len(column) for column in columns.values()}
    if len(lengths) > 1:
        raise MalformedBodyError(
            "The columns have different lengths.", hint="Send one value per lead and field."
        )
    return lengths.pop() if lengths else 0


def _values(column: Column) -> Sequence[object]:
    return column.tolist() if isinstance(column, np.ndarray) else column


def _note_null(feature: Feature, row: int, column: Column, problems: Problems) -> None:
    value = column[row]
    if value is None or is_nan(value):
        problems.add(f"leads[{row}].{feature.name}", "missing", "null", allowed(feature))


def _bad(feature: Feature, row: int, reason: str, received: str, problems: Problems) -> None:
    problems.add(f"leads[{row}].{feature.name}", reason, received, allowed(feature))


def _bad_column(feature: Feature, column: NDArray[np.generic], problems: Problems) -> None:
    problems.add(feature.name, "wrong_type", f"a column of {column.dtype.name}", allowed(feature))


CodesAndUnlisted = tuple[NDArray[np.float64], NDArray[np.bool_]]


def _nothing(count: int) -> CodesAndUnlisted:
    return np.full(count, np.nan), np.zeros(count, dtype=np.bool_)


def _numbers(feature: Numeric, column: Column, problems: Problems) -> CodesAndUnlisted:
    if isinstance(column, np.ndarray) and column.dtype.kind != "O":
        if column.dtype.kind not in "iuf":
            _bad_column(feature, column, problems)
            return _nothing(len(column))
        values = column.astype(np.float64)
    else:
        values = _number_list(feature, _values(column), problems)
    for row in np.flatnonzero(np.isinf(values)):
        _bad(feature, int(row), "not_finite", "not a finite number", problems)
    if feature.integer:
        with np.errstate(invalid="ignore"):
            fractions = np.flatnonzero(np.isfinite(values) & (values % 1.0 != 0.0))
        for row in fractions:
            _bad(feature, int(row), "not_whole", "number with a fraction", problems)
    low, high = bounds(feature)
    flagged = (values < low) | (values > high)
    return np.clip(values, -FLOAT32_MAX, FLOAT32_MAX), flagged


def _number_list(feature: Numeric, values: Sequence[object], problems: Problems) -> NDArray[np.float64]:
    found = np.full(len(values), np.nan)
    for row, value in enumerate(values):
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            _bad(feature, row, "wrong_type", json_type(value), problems)
            continue
        try:
            found[row] = float(value)
        except OverflowError:
            found[row] = math.copysign(sys.float_info.max, 1 if value > 0 else -1)
    return found


def _categories(
    feature: Categorical, known: Categories, column: Column, problems: Problems
) -> CodesAndUnlisted:
    if isinstance(column, np.ndarray) and column.dtype.kind not in "OU":
        _bad_column(feature, column, problems)
        return _nothing(len(column))
    values = _values(column)
    codes = known.codes
    coded = np.array([codes.get(v, -1) if isinstance(v, str) else -1 for v in values], dtype=np.float64)
    unknown = coded < 0.0
    coded[unknown] = np.nan
    flagged = np.zeros(len(values), dtype=np.bool_)
    for row, value in zip(np.flatnonzero(unknown).tolist(), compress(values, unknown.tolist()), strict=True):
        if isinstance(value, str):
            code = known.find(value)
            if code is not None:
                coded[row] = code
            elif not known.is_missing(value):
                flagged[row] = True
            elif feature.required:
                _bad(feature, row, "missing", json_type(value), problems)
        elif value is not None:
            _bad(feature, row, "wrong_type", json_type(value), problems)
    return coded, flagged


def _booleans(feature: Boolean, column: Column, problems: Problems) -> CodesAndUnlisted:
    flagged = np.zeros(len(column), dtype=np.bool_)
    if isinstance(column, np.ndarray) and column.dtype.kind != "O":
        if column.dtype.kind != "b":
            _bad_column(feature, column, problems)
            return _nothing(len(column))
        return column.astype(np.float64), flagged
    coded = np.full(len(column), np.nan)
    for row, value in enumerate(_values(column)):
        if isinstance(value, bool):
            coded[row] = value
        elif value is not None:
            _bad(feature, row, "wrong_type", json_type(value), problems)
    return coded, flagged


def _ids(column: Column | None, name: str, count: int, problems: Problems) -> list[str]:
    if column is None:
        problems.add(name, "missing", "no such column", ALLOWED_ID)
        return [""] * count
    if isinstance(column, np.ndarray) and column.dtype.kind == "M":
        # NumPy writes times that Python cannot hold as integers, which would pass for ids.
        problems.add(name, "wrong_type", f"a column of {column.dtype.name}", ALLOWED_ID)
        return [""] * count
    nulls = (None if is_nan(value) else value for value in _values(column))
    return [read_id(value, f"leads[{row}].{name}", problems) for row, value in enumerate(nulls)]
