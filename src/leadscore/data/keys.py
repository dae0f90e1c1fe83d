"""Ids and times of a table's rows, as a request would hold them."""

# Arrow makes its compute functions when it is imported.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from leadscore.contract import ColumnFormat
from leadscore.contract.model import NUMERIC_TIMES
from leadscore.contract.plain import BLANKS, ID_MAX, ID_MIN
from leadscore.contract.text import is_missing, missing_words, read_time, time_of_number
from leadscore.contract.words import ALLOWED_ID
from leadscore.data.columns import Place, is_number, is_text, plain_floats
from leadscore.data.report_rows import TOTAL_IDS

_LONGEST_ID = 256
_WHOLE_WITH_POINT = r"^(-?(?:0|[1-9][0-9]*))\.0$"
_NO_ID = rf"[\x00-\x1f\x7f]|^[{BLANKS}]*$"
# The forms of ISO 8601 that Arrow reads as Python does, and faster.
_QUICK_TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?$"
_QUICK_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_NAT = np.datetime64("NaT", "us")
_LAST_TICK = np.timedelta64(86_400_000_000 - 1, "us")


def read_ids(column: pa.Array, place: Place, form: ColumnFormat) -> pa.Array:
    """Ids as text: text as it is, whole numbers as digits (1001.0 is `1001`), dates as `2026-01-05`.

    Raises:
        TableError: A row without an id, or with one that the API would refuse; or a type that holds no ids.
    """
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    texts = _id_texts(column, place)
    if texts.null_count:
        place.refuse(pc.is_null(texts), "no id", "Every lead needs an id.")
    words = missing_words(form)
    if pc.any(pc.is_in(texts, value_set=pa.array(sorted(words | TOTAL_IDS), pa.string()))).as_py():
        missing = pc.is_in(texts, value_set=pa.array(sorted(words), pa.string()))
        if pc.any(missing).as_py():
            place.refuse(missing, "a word for no value instead of an id", "Every lead needs an id.")
        total = pc.is_in(texts, value_set=pa.array(sorted(TOTAL_IDS), pa.string()))
        place.refuse(total, "a sum of other rows instead of a lead", "Export the leads without totals.")
    if _may_be_bad(texts):
        long = pc.greater(pc.utf8_length(texts), _LONGEST_ID)
        bad = pc.or_(long, pc.match_substring_regex(texts, _NO_ID))
        if pc.any(bad).as_py():
            place.refuse(bad, "an id that the API would refuse", f"An id is {ALLOWED_ID}.")
    return texts


def _id_texts(column: pa.Array, place: Place) -> pa.Array:
    kind = column.type
    if is_text(kind):
        texts = column.cast(pa.string())
        pointed = pc.ends_with(texts, ".0")
        if not pc.any(pointed).as_py():
            return texts
        return pc.replace_substring_regex(texts, pattern=_WHOLE_WITH_POINT, replacement=r"\1")
    if pa.types.is_date(kind):
        return column.cast(pa.date32()).cast(pa.string())
    if pa.types.is_decimal(kind):
        return _whole_decimals(column, place)
    if pa.types.is_floating(kind):
        return _whole_floats(column, place)
    if len(column) > 0 and not (pa.types.is_integer(kind) or pa.types.is_null(kind)):
        place.refuse_type(column, "an id (text or a whole number)")
    return column.cast(pa.string())


def _whole_floats(column: pa.Array, place: Place) -> pa.Array:
    numbers = plain_floats(column).astype(np.float64)
    missing = np.isnan(numbers)
    with np.errstate(invalid="ignore"):
        bad = ~missing & ((numbers != np.floor(numbers)) | (numbers < ID_MIN) | (numbers >= ID_MAX))
    if bad.any():
        place.refuse(bad, "a number that is no id", f"An id is {ALLOWED_ID}.")
    return pa.array(np.where(missing, 0.0, numbers).astype(np.int64), mask=missing).cast(pa.string())


def _whole_decimals(column: pa.Array, place: Place) -> pa.Array:
    numbers = cast("list[Decimal | None]", column.to_pylist())
    bad = np.array(
        [number is not None and number != number.to_integral_value() for number in numbers], np.bool_
    )
    if bad.any():
        place.refuse(bad, "a number that is no id", f"An id is {ALLOWED_ID}.")
    return pa.array([None if number is None else str(int(number)) for number in numbers], pa.string())


def _may_be_bad(texts: pa.Array) -> bool:
    """Whether any id is long, begins with what may be a blank, or holds a byte of a control character.

    Looked at as bytes, which takes no time.
    """
    if len(texts) == 0:
        return False
    offsets = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1]
    if np.diff(offsets).max() > _LONGEST_ID:
        return True
    data = texts.buffers()[2]
    if data is None:
        return False
    written = np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]]
    first = written[(offsets[:-1] - offsets[0])[np.diff(offsets) > 0]]
    return bool(((written < 0x20) | (written == 0x7F)).any() or ((first == 0x20) | (first > 0x7F)).any())


def read_key_times(
    column: pa.Array, place: Place, form: ColumnFormat, *, end_of_day: bool = False
) -> npt.NDArray[np.datetime64]:
    """Times in UTC as datetime64[us], NaT where there is none; digits beyond the microsecond are cut off.

    Args:
        column: Timestamps, dates, text by the format, or numbers where the format says what they count.
        place: Where it stands.
        form: How the table writes times.
        end_of_day: Bare dates mean the end of their day.

    Raises:
        TableError: A text that is no time by the format, or a column of another type.
    """
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if pa.types.is_null(kind):
        return np.full(len(column), _NAT)
    if is_text(kind):
        return _text_times(column, place, form, end_of_day=end_of_day)
    if pa.types.is_date(kind):
        days = column.cast(pa.date32()).to_numpy(zero_copy_only=False).astype("datetime64[us]")
        return days + _LAST_TICK if end_of_day else days
    if pa.types.is_timestamp(kind):
        # Arrow keeps zoned timestamps in UTC. NumPy cuts digits off as reading text does, before 1970 too.
        ticks = column.cast(pa.timestamp(kind.unit)) if kind.tz is not None else column
        return ticks.to_numpy(zero_copy_only=False).astype("datetime64[us]")
    if is_number(kind) and form.time_format in NUMERIC_TIMES:
        return _number_times(column, place, form)
    if len(column) > 0:
        place.refuse_type(column, "a time")
    return np.empty(0, "datetime64[us]")


def _text_times(
    column: pa.Array, place: Place, form: ColumnFormat, *, end_of_day: bool
) -> npt.NDArray[np.datetime64]:
    if form.time_format is None:
        shape = _QUICK_TIME if end_of_day else f"{_QUICK_TIME}|{_QUICK_DATE}"
        if pc.all(pc.match_substring_regex(column, shape)).as_py() is not False:
            try:
                return (
                    pc.cast(column, pa.timestamp("us"))
                    .to_numpy(zero_copy_only=False)
                    .astype("datetime64[us]")
                )
            except pa.ArrowInvalid:
                pass  # A day that does not exist: found and named below.
    encoded = column.dictionary_encode()
    words = missing_words(form, text=False)
    texts = cast("list[str | None]", encoded.dictionary.to_pylist())
    read = [None if text is None else read_time(text, form, end_of_day=end_of_day) for text in texts]
    bad = [
        text is not None and moment is None and not is_missing(text, words)
        for text, moment in zip(texts, read, strict=True)
    ]
    rows = encoded.indices.fill_null(len(texts)).to_numpy(zero_copy_only=False)
    if any(bad):
        place.refuse(np.array([*bad, False])[rows], _no_time(form), _time_hint(place.name))
    return np.array([*map(_tick, read), _NAT], "datetime64[us]")[rows]


def _tick(moment: datetime | None) -> np.datetime64:
    return _NAT if moment is None else np.datetime64(moment, "us")


def _no_time(form: ColumnFormat) -> str:
    return (
        "text that is not "
        f"{'an ISO 8601 time' if form.time_format is None else f'a time as {form.time_format!r}'}"
    )


def _time_hint(name: str) -> str:
    return (
        "Write 2026-05-31T09:30:00Z, or say in the contract how the table writes it, as in "
        f'`formats: {{{name}: {{format: "%d/%m/%Y"}}}}`.'
    )


def _number_times(column: pa.Array, place: Place, form: ColumnFormat) -> npt.NDArray[np.datetime64]:
    found = np.full(len(column), _NAT)
    bad = np.zeros(len(column), np.bool_)
    for row, number in enumerate(column.to_pylist()):
        if number is None or number != number:  # noqa: PLR0124 - the definition of NaN
            continue
        try:
            found[row] = np.datetime64(time_of_number(number, cast("str", form.time_format)), "us")
        except (OverflowError, ValueError):
            bad[row] = True
    if bad.any():
        place.refuse(bad, f"a number that is no time as {form.time_format!r}", _time_hint(place.name))
    return found
