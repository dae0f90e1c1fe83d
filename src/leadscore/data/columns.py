"""One column of a table as the numbers the model sees.

The rules are those of a request (`leadscore.contract.request`): what an API call would refuse, a table is refused for too.
Tables are more forgiving only about how a value is stored: numbers may be text, and booleans may be 0/1 or words.
"""

# Arrow makes its compute functions when it is imported.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from leadscore.contract import Boolean, Categorical, Feature, Numeric
from leadscore.errors import TableError

Floats = npt.NDArray[np.float32 | np.float64]

FLOAT32_MAX = float(np.finfo(np.float32).max)
_NUMBER = r"^-?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_TRUE = ("true", "yes", "1")
_WORDS = (*_TRUE, "false", "no", "0")


@dataclass(frozen=True, slots=True)
class Column:
    """An encoded column.

    Attributes:
        numbers: Value, 0/1 or category index per row; NaN where missing or unseen.
        unseen: How many rows hold a category that the contract does not list.
    """

    numbers: Floats
    unseen: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a column stands, for error messages: its name and the row number of its first value."""

    name: str
    first_row: int = 1

    def refuse(self, bad: pa.Array, problem: str, hint: str) -> NoReturn:
        """Raise for the first row where `bad` is true."""
        row = self.first_row + pc.index(bad, pa.scalar(value=True)).as_py()
        count = pc.sum(bad).as_py()
        more = f" (and {count - 1} more rows)" if count > 1 else ""
        raise TableError(
            f"Column {self.name!r}, row {row} (the first row of data is row 1): {problem}{more}.", hint=hint
        )

    def refuse_type(self, array: pa.Array, wanted: str) -> NoReturn:
        """Raise because no value of the column's type can be what the contract says."""
        raise TableError(
            f"Column {self.name!r} holds {array.type}, but the contract says {wanted}.",
            hint="Convert the column, or correct the contract.",
        )


def encode_column(feature: Feature, array: pa.Array, first_row: int = 1) -> Column:
    """Encode a column by its feature.

    Args:
        feature: What the contract says of the column.
        array: One contiguous Arrow array of any type.
        first_row: Row number of its first value, for messages.

    Raises:
        TableError: A value that does not fit, or null in a required column; names row and column, never the value.
    """
    place = Place(feature.name, first_row)
    if isinstance(feature, Categorical):
        column = _categories(feature, _plain(array, keep_dictionary=True), place)
    elif isinstance(feature, Numeric):
        column = Column(_single(_numbers(feature, _plain(array), place), place))
    else:
        column = Column(_truths(feature, _plain(array), place))
    if feature.required:
        _refuse_missing(array, place)
    return column


def parse_numbers(array: pa.Array, place: Place) -> npt.NDArray[np.float64]:
    """Text as float64, strictly: no spaces, signs of currency, decimal commas, "nan" or "inf"; null is NaN."""
    good = pc.match_substring_regex(array, _NUMBER)
    if pc.all(good).as_py() is False:
        place.refuse(pc.invert(good), "text that is not a number", "Use digits with a decimal point.")
    return pc.cast(array, pa.float64()).to_numpy(zero_copy_only=False)


def plain_floats(array: pa.Array) -> Floats:
    """An integer, decimal or floating array as floats, null as NaN; integers go through float64 as JSON's do."""
    if not pa.types.is_floating(array.type) or pa.types.is_float16(array.type):
        array = pc.cast(array, pa.float64(), safe=False)
    return array.to_numpy(zero_copy_only=False)


def is_number(kind: pa.DataType) -> bool:
    """Whether the Arrow type is an integer, floating or decimal one."""
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def is_text(kind: pa.DataType) -> bool:
    """Whether the Arrow type is one of the text types."""
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _plain(array: pa.Array, *, keep_dictionary: bool = False) -> pa.Array:
    kind = array.type
    if pa.types.is_dictionary(kind):
        if keep_dictionary and is_text(kind.value_type):
            return array
        array = array.dictionary_decode()
    if pa.types.is_string_view(array.type):
        return array.cast(pa.string())
    return array


def _numbers(feature: Numeric, array: pa.Array, place: Place) -> Floats:
    if pa.types.is_null(array.type):
        return np.full(len(array), np.nan)
    if is_text(array.type):
        numbers = parse_numbers(array, place)
    elif is_number(array.type):
        numbers = plain_floats(array)
    else:
        place.refuse_type(array, "numeric")
    if feature.integer and not pa.types.is_integer(array.type):
        fraction = np.isfinite(numbers) & (numbers != np.floor(numbers))
        if fraction.any():
            place.refuse(pa.array(fraction), "not a whole number", "Correct the value or the contract.")
    return numbers


def _single(numbers: Floats, place: Place) -> Floats:
    infinite = np.isinf(numbers)
    if infinite.any():
        place.refuse(pa.array(infinite), "an infinite number", "Correct it, or leave it empty.")
    return numbers if numbers.dtype == np.float32 else np.clip(numbers, -FLOAT32_MAX, FLOAT32_MAX)


def _categories(feature: Categorical, array: pa.Array, place: Place) -> Column:
    if pa.types.is_null(array.type):
        return Column(np.full(len(array), np.nan, np.float32))
    values = pa.array(feature.categories, pa.string())
    if pa.types.is_dictionary(array.type):
        known = plain_floats(pc.index_in(array.dictionary.cast(pa.string()), value_set=values))
        # Null rows look up the last entry.
        lookup = np.append(known, np.nan).astype(np.float32)
        numbers = lookup[array.indices.fill_null(-1).to_numpy(zero_copy_only=False)]
        return Column(numbers, int(np.isnan(numbers).sum()) - array.null_count)
    codes = pc.index_in(
        _as_text(array, place), value_set=values.cast(array.type) if is_text(array.type) else values
    )
    return Column(plain_floats(codes), codes.null_count - _missing_count(array))


def _as_text(array: pa.Array, place: Place) -> pa.Array:
    if is_text(array.type):
        return array
    if pa.types.is_integer(array.type):
        return array.cast(pa.string())
    if pa.types.is_floating(array.type):
        # A column of whole numbers with gaps comes as floats: category "3" must not become "3.0".
        array = pc.if_else(pc.is_nan(array), pa.scalar(None, array.type), array)
        whole = pc.all(pc.equal(array, pc.floor(array))).as_py()
        return array.cast(pa.int64()).cast(pa.string()) if whole is not False else array.cast(pa.string())
    return place.refuse_type(array, "categorical")


def _missing_count(array: pa.Array) -> int:
    return pc.sum(pc.is_null(array, nan_is_null=pa.types.is_floating(array.type))).as_py() or 0


def _truths(feature: Boolean, array: pa.Array, place: Place) -> Floats:
    if pa.types.is_null(array.type):
        return np.full(len(array), np.nan, np.float32)
    if pa.types.is_boolean(array.type):
        return array.cast(pa.uint8()).cast(pa.float32()).to_numpy(zero_copy_only=False)
    if is_number(array.type):
        numbers = plain_floats(array)
        bad = ~((numbers == 0) | (numbers == 1) | np.isnan(numbers))
        if bad.any():
            place.refuse(pa.array(bad), "a number that is neither 0 nor 1", f"{feature.name!r} is a boolean.")
        return numbers
    if is_text(array.type):
        words = pc.utf8_lower(array)
        bad = pc.and_(pc.is_valid(words), pc.invert(pc.is_in(words, value_set=pa.array(_WORDS, words.type))))
        if pc.any(bad).as_py():
            place.refuse(bad, "text that is not a boolean", "Use true/false, yes/no or 1/0.")
        truths = (
            pc.is_in(words, value_set=pa.array(_TRUE, words.type))
            .cast(pa.uint8())
            .to_numpy(zero_copy_only=False)
        )
        return np.where(pc.is_valid(words).to_numpy(zero_copy_only=False), truths, np.float32(np.nan)).astype(
            np.float32
        )
    return place.refuse_type(array, "boolean")


def _refuse_missing(array: pa.Array, place: Place) -> None:
    if array.null_count == 0 and not pa.types.is_floating(array.type):
        return
    missing = pc.is_null(array, nan_is_null=pa.types.is_floating(array.type))
    if pc.any(missing).as_py():
        place.refuse(missing, "no value, but the contract says required", "Fill it, or make it optional.")
