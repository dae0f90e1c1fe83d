"""A table as the training matrix, its labels, times and values."""

# Arrow makes its compute functions when it is imported.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from leadscore.contract import FeatureContract
from leadscore.data.columns import Place, encode_column, is_number, is_text, parse_numbers, plain_floats
from leadscore.errors import TableError

# Rows whose matrix fits the second-level cache: columns are written across rows, and strided writes to
# memory cost ten times as much.
_BLOCK_ROWS = 16_384


@dataclass(frozen=True, slots=True)
class EncodedBatch:
    """Some rows, encoded.

    Attributes:
        matrix: float32, C order, shape (rows, len(contract.inputs)); NaN where missing or unseen.
        unseen: Per input, how many rows hold a category that the contract does not list; shape (inputs,).
    """

    matrix: npt.NDArray[np.float32]
    unseen: npt.NDArray[np.int64]


def encode_table(contract: FeatureContract, table: pa.Table, *, threads: int = 2) -> npt.NDArray[np.float32]:
    """The model's view of a table, row for row what `LeadDecoder` makes of the same leads.

    Returns:
        float32, C order, shape (rows, len(contract.inputs)): numbers clipped to the float32 range, booleans
        0/1, categories by index; missing and unseen are NaN.

    Raises:
        TableError: A column is missing, or a value does not fit the contract; names row and column.
    """
    return encode_batch(contract, table, threads=threads).matrix


def encode_batch(
    contract: FeatureContract, table: pa.Table | pa.RecordBatch, *, threads: int = 1, first_row: int = 1
) -> EncodedBatch:
    """Like `encode_table`, with the count of unseen categories.

    Args:
        contract: What the columns mean.
        table: A table or one batch of it; other columns are ignored.
        threads: Blocks of rows are encoded side by side.
        first_row: Row number of the first row, for messages.
    """
    names = [feature.name for feature in contract.inputs]
    _require(table, names)
    matrix = np.empty((table.num_rows, len(names)), np.float32)
    unseen = np.zeros(len(names), np.int64)
    blocks = _blocks(table.select(names))

    def encode(block: tuple[int, pa.RecordBatch]) -> list[int]:
        start, batch = block
        return _encode_block(contract, batch, matrix[start : start + batch.num_rows], first_row + start)

    if threads > 1 and len(blocks) > 1:
        with ThreadPoolExecutor(threads) as pool:
            counts = list(pool.map(encode, blocks))
    else:
        counts = [encode(block) for block in blocks]
    for count in counts:
        unseen += count
    return EncodedBatch(matrix, unseen)


def labels(contract: FeatureContract, table: pa.Table) -> npt.NDArray[np.float32]:
    """1 for converted, 0 for not, NaN for not yet known (null); float32, shape (rows,).

    Raises:
        TableError: The target column is missing or of a type that cannot hold `target.positive`.
    """
    column = _column(table, contract.target.column)
    positive = contract.target.positive
    if pa.types.is_null(column.type):
        return np.full(len(column), np.nan, np.float32)
    if is_text(column.type):
        text = ("true" if positive else "false") if isinstance(positive, bool) else str(positive)
        hits = pc.equal(column, pa.scalar(text, column.type))
    elif pa.types.is_boolean(column.type):
        hits = pc.equal(column, pa.scalar(_as_truth(contract, positive)))
    elif is_number(column.type):
        numbers = plain_floats(column)
        return np.where(np.isnan(numbers), np.nan, numbers == _as_number(contract, positive)).astype(
            np.float32
        )
    else:
        Place(contract.target.column).refuse_type(column, f"a target with the value {positive!r}")
    return plain_floats(pc.cast(hits, pa.uint8())).astype(np.float32)


def times(contract: FeatureContract, table: pa.Table) -> npt.NDArray[np.datetime64]:
    """Creation time per lead in UTC; datetime64[us], shape (rows,).

    Timestamps, dates, ISO 8601 text and months (`2008-05`, taken as their first day) are understood; a time
    without a zone is taken as UTC.

    Raises:
        TableError: The contract names no time column, or a row has no or an unreadable time.
    """
    if contract.time is None:
        raise TableError("The contract names no time column.", hint="Set `time` in the contract.")
    return parse_times(_column(table, contract.time), contract.time)


def parse_times(column: pa.Array, name: str) -> npt.NDArray[np.datetime64]:
    """Times of one column, as `times` gives them; null is refused."""
    place = Place(name)
    missing = pc.is_null(column)
    if pc.any(missing).as_py():
        place.refuse(missing, "no time", "Drop rows without a time, or fill it.")
    if is_text(column.type):
        column = _parse_iso(column, place)
    elif not (pa.types.is_timestamp(column.type) or pa.types.is_date(column.type)):
        if len(column) > 0:
            place.refuse_type(column, "a time")
        return np.empty(0, "datetime64[us]")
    # Arrow keeps zoned timestamps in UTC: casting changes the unit and drops the zone's name.
    return (
        pc.cast(column, pa.timestamp("us", "UTC"), safe=False)
        .cast(pa.int64())
        .to_numpy()
        .astype("datetime64[us]")
    )


def values(contract: FeatureContract, table: pa.Table) -> npt.NDArray[np.float64]:
    """Revenue per lead, NaN where there is none; float64, shape (rows,).

    Raises:
        TableError: The contract names no value column, it is missing, or a value is not a number.
    """
    if contract.value is None:
        raise TableError("The contract names no value column.", hint="Set `value` in the contract.")
    column = _column(table, contract.value)
    if pa.types.is_null(column.type):
        return np.full(len(column), np.nan)
    if is_text(column.type):
        return parse_numbers(column, Place(contract.value))
    if not is_number(column.type):
        Place(contract.value).refuse_type(column, "a value")
    return plain_floats(column).astype(np.float64)


def lead_ids(contract: FeatureContract, table: pa.Table | pa.RecordBatch, *, first_row: int = 1) -> pa.Array:
    """The id of each lead as text.

    Raises:
        TableError: The id column is missing, neither text nor integer, or a row has no id.
    """
    column = _column(table, contract.id)
    place = Place(contract.id, first_row)
    if column.null_count:
        place.refuse(pc.is_null(column), "no id", "Every lead needs an id.")
    if is_text(column.type):
        return column.cast(pa.string())
    if not pa.types.is_integer(column.type) and len(column) > 0:
        place.refuse_type(column, "an id (text or integer)")
    return column.cast(pa.string())


def _require(table: pa.Table | pa.RecordBatch, names: Sequence[str]) -> None:
    present = set(table.schema.names)
    missing = [name for name in names if name not in present]
    if missing:
        raise TableError(
            f"The table has no column {', '.join(map(repr, missing))}, which the contract names.",
            hint="`leadscore contract check` compares a table with a contract.",
        )


def _column(table: pa.Table | pa.RecordBatch, name: str) -> pa.Array:
    _require(table, [name])
    column = table.column(name)
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _blocks(table: pa.Table | pa.RecordBatch) -> list[tuple[int, pa.RecordBatch]]:
    if isinstance(table, pa.RecordBatch):
        table = pa.Table.from_batches([table])
    blocks: list[tuple[int, pa.RecordBatch]] = []
    start = 0
    for batch in table.to_batches(max_chunksize=_BLOCK_ROWS):
        blocks.append((start, batch))
        start += batch.num_rows
    return blocks


def _encode_block(
    contract: FeatureContract, batch: pa.RecordBatch, out: npt.NDArray[np.float32], first_row: int
) -> list[int]:
    unseen: list[int] = []
    for position, feature in enumerate(contract.inputs):
        column = encode_column(feature, batch.column(position), first_row)
        out[:, position] = column.numbers
        unseen.append(column.unseen)
    return unseen


def _parse_iso(column: pa.Array, place: Place) -> pa.Array:
    month = pc.match_substring_regex(column, r"^\d{4}-\d{2}$")
    if pc.any(month).as_py():
        first_day = pc.binary_join_element_wise(
            column, pa.scalar("-01", column.type), pa.scalar("", column.type)
        )
        column = pc.if_else(month, first_day, column)
    zoned = pc.match_substring_regex(column, r"[0-9](Z|[+-]\d{2}(:?\d{2})?)$")
    # A date's own "-05" is not a zone.
    zoned = pc.and_(zoned, pc.match_substring_regex(column, r"[T ]"))
    column = pc.if_else(
        zoned,
        column,
        pc.binary_join_element_wise(
            _with_time(column), pa.scalar("Z", column.type), pa.scalar("", column.type)
        ),
    )
    try:
        return pc.cast(column, pa.timestamp("us", "UTC"))
    except pa.ArrowInvalid:
        good = pa.array([_parses(text) for text in column])
        return place.refuse(
            pc.invert(good), "text that is not an ISO 8601 time", "Write 2026-05-31T09:30:00Z."
        )


def _with_time(column: pa.Array) -> pa.Array:
    day = pc.match_substring_regex(column, r"^\d{4}-\d{2}-\d{2}$")
    midnight = pc.binary_join_element_wise(
        column, pa.scalar("T00:00", column.type), pa.scalar("", column.type)
    )
    return pc.if_else(day, midnight, column)


def _parses(text: pa.Scalar) -> bool:
    try:
        text.cast(pa.timestamp("us", "UTC"))
    except pa.ArrowInvalid:
        return False
    return True


def _as_truth(contract: FeatureContract, positive: str | int | bool) -> bool:
    word = str(positive).lower()
    if word in {"true", "yes", "1"}:
        return True
    if word in {"false", "no", "0"}:
        return False
    raise _impossible(contract, positive, "true/false")


def _as_number(contract: FeatureContract, positive: str | int | bool) -> float:
    try:
        return float(positive)
    except ValueError:
        raise _impossible(contract, positive, "numbers") from None


def _impossible(contract: FeatureContract, positive: str | int | bool, held: str) -> TableError:
    return TableError(
        f"Column {contract.target.column!r} holds {held}, which never equal the positive value {positive!r}.",
        hint="Correct `target.positive` in the contract.",
    )
