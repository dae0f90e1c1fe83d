"""One column of a table as the numbers the model sees.

The rules are those of a request (`leadscore.contract.request`): what an API call would refuse, a table is
refused for too. Tables are more forgiving only about how a value is stored: text is read by
`leadscore.contract.text` and the column's format, and a category may have a type of its own.
"""

# Arrow makes its compute functions when it is imported.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from leadscore.arrays import Flags
from leadscore.contract import Categorical, ColumnFormat, Feature, Numeric
from leadscore.contract.categories import Categories, categories_of
from leadscore.contract.plain import FLOAT32_MAX
from leadscore.contract.text import (
    USUAL,
    is_missing,
    missing_words,
    read_number,
    read_truth,
    unit_of,
)
from leadscore.data.notation import Notation, Written, check_units
from leadscore.errors import TableError

RealNumbers = npt.NDArray[np.float32 | np.float64]

# Numbers that Arrow reads; other texts are read one by one.
_POINT_NUMBER = r"^-?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_WHOLE_NUMBER = r"^-?[0-9]+$"


@dataclass(frozen=True, slots=True)
class EncodedColumn:
    """An encoded column.

    Attributes:
        numbers: Value, 0/1 or category index per row; NaN where missing or unseen.
        unseen: How many rows hold a category that the contract does not list.
        missing: How many rows hold no value.
    """

    numbers: RealNumbers
    unseen: int = 0
    missing: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a column stands, for error messages: its name and the row number of its first value."""

    name: str
    first_row: int = 1

    def refuse(self, bad: pa.Array | Flags, problem: str, hint: str) -> NoReturn:
        """Raise for the first row where `bad` is true."""
        rows = np.flatnonzero(bad if isinstance(bad, np.ndarray) else bad.to_numpy(zero_copy_only=False))
        more = f" (and {len(rows) - 1} more rows)" if len(rows) > 1 else ""
        raise TableError(
            f"Column {self.name!r}, row {self.first_row + int(rows[0])} (the first row of data is row 1): "
            f"{problem}{more}.",
            hint=hint,
        )

    def refuse_type(self, array: pa.Array, wanted: str) -> NoReturn:
        """Raise because no value of the column's type fits the contract."""
        raise TableError(
            f"Column {self.name!r} holds {array.type}, but the contract says {wanted}.",
            hint="Convert the column, or correct the contract.",
        )


def encode_column(
    feature: Feature,
    array: pa.Array,
    first_row: int = 1,
    form: ColumnFormat = USUAL,
    notation: Notation | None = None,
) -> EncodedColumn:
    """Encode a column by its feature.

    Args:
        feature: What the contract says of the column.
        array: One contiguous Arrow array of any type.
        first_row: Row number of its first value, for messages.
        form: How the table writes the column, where it is text.
        notation: Is told how numbers are written, and checks them with those of other parts of the column.

    Raises:
        TableError: A value that does not fit, or none in a required column; names row and column, never the
            value.
    """
    place = Place(feature.name, first_row)
    if isinstance(feature, Categorical):
        numbers, unseen = _categories(
            categories_of(feature, form), _plain(array, keep_dictionary=True), place
        )
    elif isinstance(feature, Numeric):
        numbers, unseen = _single(_numbers(feature, _plain(array), form, place, notation), place), None
    else:
        numbers, unseen = _truths(_plain(array), form, place), None
    missing = np.isnan(numbers)
    if unseen is not None:
        missing &= ~unseen
    count = int(np.count_nonzero(missing))
    if feature.required and count:
        place.refuse(missing, "no value, but the contract says required", "Fill it, or make it optional.")
    return EncodedColumn(numbers, 0 if unseen is None else int(np.count_nonzero(unseen)), count)


def read_numbers(
    array: pa.Array, form: ColumnFormat, place: Place, notation: Notation | None = None
) -> npt.NDArray[np.float64]:
    """Text as float64 by the rule of `contract.text`; null and words for "no value" are NaN.

    `notation` is told how they are written.

    Raises:
        TableError: A text that is no number by the format, or units that cannot be added (two currencies, or
            percent signs on some of the numbers only).
    """
    plain = pc.match_substring_regex(array, _POINT_NUMBER if form.decimal == "." else _WHOLE_NUMBER)
    if pc.all(plain).as_py() is not False:
        if notation is not None:
            notation.see(place.name, Written.of(array, form, [""] if len(array) > array.null_count else []))
        return pc.cast(array, pa.float64()).to_numpy(zero_copy_only=False)
    quick = pc.if_else(plain, array, pa.scalar(None, array.type))
    numbers: npt.NDArray[np.float64] = pc.cast(quick, pa.float64()).to_numpy(zero_copy_only=False).copy()
    odd = np.flatnonzero(pc.invert(plain).fill_null(False).to_numpy(zero_copy_only=False))
    texts, codes = _distinct(array.take(pa.array(odd)))
    words = missing_words(form, text=False)
    read = [None if is_missing(text, words) else read_number(text, form) for text in texts]
    bad = [number is None and not is_missing(text, words) for text, number in zip(texts, read, strict=True)]
    if any(bad):
        flags = np.zeros(len(array), np.bool_)
        flags[odd] = np.array(bad)[codes]
        place.refuse(flags, "text that is not a number", _number_hint(place.name, form))
    units = {unit_of(text) for text, number in zip(texts, read, strict=True) if number is not None}
    if pc.any(plain).as_py():
        units.add("")
    check_units(place.name, units)
    if notation is not None:
        notation.see(place.name, Written.of(array, form, units))
    numbers[odd] = np.array([np.nan if number is None else number for number in read])[codes]
    return numbers


def _number_hint(name: str, form: ColumnFormat) -> str:
    marks = f"decimal {form.decimal!r}" + (f" and thousands {form.thousands!r}" if form.thousands else "")
    return (
        f"It is read with {marks}. If the table writes numbers in another way, say so in the contract, as in "
        f'`formats: {{{name}: {{decimal: ",", thousands: "."}}}}`; `missing: [...]` lists words for no value.'
    )


def _distinct(array: pa.Array) -> tuple[list[str], npt.NDArray[np.int64]]:
    """The different texts of an array without nulls, and for each row which one it is."""
    encoded = array.dictionary_encode()
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy(zero_copy_only=False)


def plain_floats(array: pa.Array) -> RealNumbers:
    """An integer, decimal or floating array as floats, null as NaN.

    Integers go through float64 as JSON's do.
    """
    if pa.types.is_decimal(array.type):
        # By way of its digits: Arrow's own conversion is off by the last bit for some.
        array = pc.cast(array, pa.string())
    if not pa.types.is_floating(array.type) or pa.types.is_float16(array.type):
        array = pc.cast(array, pa.float64(), safe=False)
    return array.to_numpy(zero_copy_only=False)


def is_number(kind: pa.DataType) -> bool:
    """Whether the Arrow type is an integer, floating or decimal one."""
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def is_text(kind: pa.DataType) -> bool:
    """Whether the Arrow type is one of the text types."""
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def map_texts(array: pa.Array, read: Callable[[str], float]) -> npt.NDArray[np.float64]:
    """What `read` makes of each text; NaN for null. Every different text is read once."""
    encoded = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
    texts = cast("list[str | None]", encoded.dictionary.to_pylist())
    values = np.array([np.nan if text is None else read(text) for text in texts] + [np.nan])
    # Null rows look up the last entry.
    return values[encoded.indices.fill_null(len(texts)).to_numpy(zero_copy_only=False)]


def _plain(array: pa.Array, *, keep_dictionary: bool = False) -> pa.Array:
    kind = array.type
    if pa.types.is_dictionary(kind):
        if keep_dictionary and is_text(kind.value_type):
            return array
        array = array.dictionary_decode()
    if pa.types.is_string_view(array.type):
        return array.cast(pa.string())
    return array


def _numbers(
    feature: Numeric, array: pa.Array, form: ColumnFormat, place: Place, notation: Notation | None
) -> RealNumbers:
    if pa.types.is_null(array.type):
        return np.full(len(array), np.nan)
    if is_text(array.type):
        numbers = read_numbers(array, form, place, notation)
    elif is_number(array.type):
        numbers = plain_floats(array)
    else:
        place.refuse_type(array, "numeric")
    if feature.integer and not pa.types.is_integer(array.type):
        fraction = np.isfinite(numbers) & (numbers != np.floor(numbers))
        if fraction.any():
            place.refuse(fraction, "not a whole number", "Correct the value or the contract.")
    return numbers


def _single(numbers: RealNumbers, place: Place) -> RealNumbers:
    infinite = np.isinf(numbers)
    if infinite.any():
        place.refuse(infinite, "an infinite number", "Correct it, or leave it empty.")
    return numbers if numbers.dtype == np.float32 else np.clip(numbers, -FLOAT32_MAX, FLOAT32_MAX)


def _categories(known: Categories, array: pa.Array, place: Place) -> tuple[RealNumbers, Flags | None]:
    """Category indices, and which rows hold a category that is not listed (None: no row does)."""
    if pa.types.is_null(array.type):
        return np.full(len(array), np.nan, np.float32), None
    if pa.types.is_dictionary(array.type):
        return _by_distinct(array, *_text_codes(known, array.dictionary))
    if is_text(array.type):
        return _text_codes(known, array)
    if not _has_text_form(array.type):
        place.refuse_type(array, "categorical")
    if pa.types.is_floating(array.type):
        array = pc.if_else(pc.is_nan(array), pa.scalar(None, array.type), array)
    encoded = array.dictionary_encode()
    found = [known.find_typed(value) for value in _values(encoded.dictionary)]
    codes = np.array([np.nan if code is None else code for code in found], np.float32)
    return _by_distinct(encoded, codes, np.isnan(codes))


def _text_codes(known: Categories, texts: pa.Array) -> tuple[RealNumbers, Flags]:
    listed = pa.array(list(known.codes), pa.string()).cast(texts.type)
    codes = plain_floats(pc.index_in(texts, value_set=listed)).astype(np.float32)
    unseen = np.isnan(codes) & texts.is_valid().to_numpy(zero_copy_only=False)
    odd = np.flatnonzero(unseen)
    if len(odd):
        different, which = _distinct(texts.take(pa.array(odd)))
        found = [known.find(text) for text in different]
        codes[odd] = np.array([np.nan if code is None else code for code in found], np.float32)[which]
        strange = [
            code is None and not known.is_missing(text) for text, code in zip(different, found, strict=True)
        ]
        unseen[odd] = np.array(strange)[which]
    return codes, unseen


def _by_distinct(
    encoded: pa.DictionaryArray, codes: RealNumbers, unseen: Flags
) -> tuple[RealNumbers, Flags | None]:
    """Codes and flags of the distinct values, for each row; null rows look up the last entry."""
    rows = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    numbers = np.append(codes, np.float32(np.nan))[rows]
    return numbers, np.append(unseen, False)[rows] if unseen.any() else None


def _has_text_form(kind: pa.DataType) -> bool:
    return (
        is_number(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_date(kind)
        or pa.types.is_time(kind)
        or pa.types.is_timestamp(kind)
    )


def _values(array: pa.Array) -> list[object]:
    if pa.types.is_float32(array.type) or pa.types.is_float16(array.type):
        # The shortest digits that give the number back: 1.1, not 1.10000002384.
        return [float(str(value)) for value in array.to_numpy(zero_copy_only=False)]
    if pa.types.is_time64(array.type) or pa.types.is_timestamp(array.type):
        # Python has no nanoseconds.
        unit = pa.time64("us") if pa.types.is_time64(array.type) else pa.timestamp("us", array.type.tz)
        array = pc.cast(array, unit, safe=False)
    return array.to_pylist()


def _truths(array: pa.Array, form: ColumnFormat, place: Place) -> RealNumbers:
    if pa.types.is_null(array.type):
        return np.full(len(array), np.nan, np.float32)
    if pa.types.is_boolean(array.type):
        return array.cast(pa.uint8()).cast(pa.float32()).to_numpy(zero_copy_only=False)
    if is_number(array.type):
        numbers = plain_floats(array)
        bad = ~((numbers == 0) | (numbers == 1) | np.isnan(numbers))
        if bad.any():
            place.refuse(bad, "a number that is neither 0 nor 1", f"{place.name!r} is a boolean.")
        return numbers
    if is_text(array.type):
        words = missing_words(form, text=False)

        def truth_of(text: str) -> float:
            truth = read_truth(text)
            return (np.nan if is_missing(text, words) else -1.0) if truth is None else float(truth)

        truths = map_texts(array, truth_of)
        if (truths < 0).any():
            place.refuse(truths < 0, "text that is not a boolean", "Use true/false, yes/no or 1/0.")
        return truths
    return place.refuse_type(array, "boolean")
