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

from leadscore.contract import ColumnFormat, FeatureContract, Numeric
from leadscore.contract.text import USUAL, is_missing, is_value, missing_words_of, read_number, read_truth
from leadscore.data.columns import (
    Place,
    encode_column,
    is_number,
    is_text,
    map_texts,
    plain_floats,
    read_numbers,
)
from leadscore.data.keys import read_ids, read_key_times
from leadscore.data.notation import Notation
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
        missing: Per input, how many rows hold no value; shape (inputs,).
    """

    matrix: npt.NDArray[np.float32]
    unseen: npt.NDArray[np.int64]
    missing: npt.NDArray[np.int64]


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
    contract: FeatureContract,
    table: pa.Table | pa.RecordBatch,
    *,
    threads: int = 1,
    first_row: int = 1,
    notation: Notation | None = None,
) -> EncodedBatch:
    """Like `encode_table`, with the counts of unseen and missing values.

    Args:
        contract: What the columns mean.
        table: A table or one batch of it; other columns are ignored.
        threads: Blocks of rows are encoded side by side.
        first_row: Row number of the first row, for messages.
        notation: Of the batches of one table, which the caller checks; None: this is the whole table.
    """
    names = [feature.name for feature in contract.inputs]
    _require(table, names)
    matrix = np.empty((table.num_rows, len(names)), np.float32)
    totals = np.zeros((2, len(names)), np.int64)
    blocks = _blocks(table.select(names))
    seen = Notation() if notation is None else notation

    def encode(block: tuple[int, pa.RecordBatch]) -> tuple[list[int], list[int]]:
        start, batch = block
        return _encode_block(contract, batch, matrix[start : start + batch.num_rows], first_row + start, seen)

    if threads > 1 and len(blocks) > 1:
        with ThreadPoolExecutor(threads) as pool:
            counts = list(pool.map(encode, blocks))
    else:
        counts = [encode(block) for block in blocks]
    for count in counts:
        totals += count
    if notation is None:
        seen.check(contract.formats)
    return EncodedBatch(matrix, *totals)


def labels(contract: FeatureContract, table: pa.Table) -> npt.NDArray[np.float32]:
    """1 for converted, 0 for not, NaN for not yet known (no value, or an open one); float32, shape (rows,).

    Raises:
        TableError: The target column is missing or of a type that cannot hold `target.positive`.
    """
    column = _column(table, contract.target.column)
    target = contract.target
    if pa.types.is_null(column.type):
        return np.full(len(column), np.nan, np.float32)
    if is_text(column.type):
        words = missing_words_of(contract, target.column)

        def label_of(text: str) -> float:
            if is_missing(text, words) or any(is_value(text, value) for value in target.open_values):
                return np.nan
            return float(is_value(text, target.positive))

        return map_texts(column, label_of).astype(np.float32)
    if pa.types.is_boolean(column.type):
        hits = pc.equal(column, pa.scalar(_as_truth(contract, target.positive)))
        return plain_floats(pc.cast(hits, pa.uint8())).astype(np.float32)
    if is_number(column.type):
        numbers = plain_floats(column)
        wanted = [number for value in target.open_values if (number := _number(value)) is not None]
        unknown = np.isnan(numbers) | np.isin(numbers, wanted)
        return np.where(unknown, np.nan, numbers == _as_number(contract, target.positive)).astype(np.float32)
    return Place(target.column).refuse_type(column, f"a target with the value {target.positive!r}")


def matrix_times(contract: FeatureContract, table: pa.Table) -> npt.NDArray[np.datetime64]:
    """Creation time per lead in UTC; datetime64[us], shape (rows,).

    Timestamps, dates, text by the column's format (ISO 8601 by itself) and months (`2008-05`, taken as their
    first day) are understood; a time without a zone is taken as UTC.

    Raises:
        TableError: The contract names no time column, or a row has no or an unreadable time.
    """
    if contract.time is None:
        raise TableError("The contract names no time column.", hint="Set `time` in the contract.")
    return parse_times(_column(table, contract.time), contract.time, contract.format_of(contract.time))


def known_times(contract: FeatureContract, table: pa.Table) -> npt.NDArray[np.datetime64]:
    """When each outcome became known, in UTC, NaT where the table does not say.

    datetime64[us], shape (rows,).

    A bare date means the end of its day: what happens on a day is known when the day is over.

    Raises:
        TableError: The contract names no such column, it is missing, or a row has an unreadable time.
    """
    name = contract.target.known_at
    if name is None:
        raise TableError("The contract says no `target.known_at`.", hint="Set it in the contract.")
    return read_key_times(_column(table, name), Place(name), contract.format_of(name), end_of_day=True)


def parse_times(column: pa.Array, name: str, form: ColumnFormat = USUAL) -> npt.NDArray[np.datetime64]:
    """Times of one column, as `matrix_times` gives them; a row without one is refused."""
    found = read_key_times(column, Place(name), form)
    missing = np.isnat(found)
    if missing.any():
        Place(name).refuse(missing, "no time", "Drop rows without a time, or fill it.")
    return found


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
        found = read_numbers(column, contract.format_of(contract.value), Place(contract.value))
        _check_notation(contract, table, [contract.value])
        return found
    if not is_number(column.type):
        Place(contract.value).refuse_type(column, "a value")
    return plain_floats(column).astype(np.float64)


def check_notation(contract: FeatureContract, table: pa.Table) -> None:
    """Refuse a table as it was read, file for file, whose parts write their numbers differently (`Notation`).

    Raises:
        TableError: They do, or a text is no number.
    """
    numbers = [feature.name for feature in contract.features if isinstance(feature, Numeric)]
    _check_notation(contract, table, [*numbers, *([contract.value] if contract.value else [])])


def _check_notation(contract: FeatureContract, table: pa.Table, names: Sequence[str]) -> None:
    notation = Notation()
    for name in names:
        if name not in table.column_names or not is_text(table.schema.field(name).type):
            continue
        row = 1
        for part in table.column(name).chunks:
            read_numbers(part, contract.format_of(name), Place(name, row), notation)
            row += len(part)
    notation.check(contract.formats)


def lead_ids(contract: FeatureContract, table: pa.Table | pa.RecordBatch, *, first_row: int = 1) -> pa.Array:
    """The id of each lead as text, as a request would hold it.

    Raises:
        TableError: The id column is missing, a row has no id, or one that the API would refuse.
    """
    return read_ids(
        _column(table, contract.id), Place(contract.id, first_row), contract.format_of(contract.id)
    )


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
    contract: FeatureContract,
    batch: pa.RecordBatch,
    out: npt.NDArray[np.float32],
    first_row: int,
    notation: Notation,
) -> tuple[list[int], list[int]]:
    unseen: list[int] = []
    missing: list[int] = []
    for position, feature in enumerate(contract.inputs):
        column = encode_column(
            feature, batch.column(position), first_row, contract.format_of(feature.name), notation
        )
        out[:, position] = column.numbers
        unseen.append(column.unseen)
        missing.append(column.missing)
    return unseen, missing


def _as_truth(contract: FeatureContract, positive: str | int | bool) -> bool:
    truth = read_truth(str(positive))
    if truth is None:
        raise _impossible(contract, positive, "true/false")
    return truth


def _as_number(contract: FeatureContract, positive: str | int | bool) -> float:
    number = _number(positive)
    if number is None:
        raise _impossible(contract, positive, "numbers")
    return number


def _number(value: str | int | bool) -> float | None:
    return read_number(value) if isinstance(value, str) else float(value)


def _impossible(contract: FeatureContract, positive: str | int | bool, held: str) -> TableError:
    return TableError(
        f"Column {contract.target.column!r} holds {held}, which never equal the positive value {positive!r}.",
        hint="Correct `target.positive` in the contract.",
    )
