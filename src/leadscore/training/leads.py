"""Leads as arrays in order of time, for training and judging."""

# Arrow makes its compute functions when it is imported.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from leadscore.contract import FeatureContract
from leadscore.data.matrix import encode_table, known_times, labels, matrix_times, values
from leadscore.errors import BadInputError, TableError
from leadscore.intervals import Flags, Floats
from leadscore.training.fairness import Slices, sensitive_contract, slice_features
from leadscore.training.split import Ticks
from leadscore.training.window import Dates, utc_moment

DAY = 86_400_000_000  # microseconds


@dataclass(frozen=True, slots=True, eq=False)
class LabelledLeads:
    """Labelled leads in order of time.

    Attributes:
        table: The contract's columns of the same rows.
        matrix: Encoded inputs, float32 (n, inputs).
        converted: Labels (n,).
        ticks: Time in microseconds since 1970, or the row number where row order stands for time (n,).
        known: When each label became known, in microseconds; None if the table does not say.
        value: Revenue, NaN where none (n,); None without a value column.
        slices: The sensitive attributes, audit-only ones included.
        weights: How many leads each stands for, itself and those of its outcome and age that are still open
            (n,).
        ids: Number of each lead's id, equal for equal ids (n,); None if they were not read.
    """

    table: pa.Table
    matrix: npt.NDArray[np.float32]
    converted: Flags
    ticks: Ticks
    known: Ticks | None
    value: Floats | None
    slices: tuple[Slices, ...]
    weights: Floats
    ids: npt.NDArray[np.int64] | None


def label_state(
    contract: FeatureContract, table: pa.Table, as_of: datetime | None, dated_by: str | None = None
) -> tuple[npt.NDArray[np.float32], Dates | None]:
    """Labels (NaN: not known at `as_of`) and when each became known (None if the table does not say).

    Args:
        contract: Of the leads.
        table: The leads.
        as_of: Labels that became known later are hidden; None hides none.
        dated_by: Column that says when; None takes the contract's `target.known_at`.
    """
    outcome = labels(contract, table)
    known_at = _known_at(contract, table, dated_by or contract.target.known_at)
    if as_of is not None and known_at is not None:
        outcome[known_at > utc_moment(as_of)] = np.nan
    return outcome, known_at


def lead_times(contract: FeatureContract, table: pa.Table, *, no_time: bool) -> Dates | None:
    """Creation times, or None where row order was said to stand for time.

    Raises:
        BadInputError: The contract has no time column and `no_time` was not said, or the contrary.
    """
    if contract.time is None and not no_time:
        raise BadInputError(
            f"The contract {contract.name!r} has no time column, so leads cannot be split by time.",
            hint="Set `time` in the contract, or say --no-time if the rows are in the order of time.",
        )
    if contract.time is not None and no_time:
        raise BadInputError(
            f"The contract {contract.name!r} has the time column {contract.time!r}, and --no-time was said.",
            hint="Leave out --no-time.",
        )
    return None if no_time else matrix_times(contract, table)


def arrange(
    contract: FeatureContract,
    table: pa.Table,
    outcome: npt.NDArray[np.float32],
    time: Dates | None,
    known_at: Dates | None,
    *,
    threads: int,
    weights: Floats | None = None,
    ids: npt.NDArray[np.int64] | None = None,
) -> LabelledLeads:
    """Encode rows that are labelled and in order of time already.

    The arrays belong to the rows of `table`.
    """
    ticks = np.arange(table.num_rows, dtype=np.int64) if time is None else time.astype(np.int64)
    return LabelledLeads(
        table=table,
        matrix=encode_table(contract, table, threads=threads),
        converted=outcome > 0.5,
        ticks=ticks,
        # Row numbers and microseconds cannot be compared.
        known=None if known_at is None or time is None else _known_ticks(known_at),
        value=None if contract.value is None else values(contract, table),
        slices=sensitive_slices(contract, table),
        weights=np.ones(table.num_rows) if weights is None else weights,
        ids=ids,
    )


def id_numbers(contract: FeatureContract, table: pa.Table) -> npt.NDArray[np.int64] | None:
    """A number per lead, equal for equal ids (n,); leads without an id are leads of their own.

    None without the column.
    """
    if contract.id not in table.column_names:
        return None
    column = pc.cast(table.column(contract.id), pa.string())
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    codes = pc.dictionary_encode(column).indices
    numbers = pc.fill_null(codes.cast(pa.int64()), -1).to_numpy(zero_copy_only=False).copy()
    missing = np.flatnonzero(numbers < 0)
    numbers[missing] = -1 - np.arange(len(missing))
    return numbers


def newest_moment(time: Dates | None, known_at: Dates | None, known: Flags) -> int | None:
    """Return the time of the newest lead or known outcome, in microseconds: leads were followed until then.

    None without times.

    Args:
        time: Of the leads (n,).
        known_at: Of their outcomes (n,).
        known: Which outcomes are known (n,): dates of others are not known either.
    """
    if time is None:
        return None
    dated = np.zeros(0, time.dtype) if known_at is None else known_at[known & ~np.isnat(known_at)]
    return int(np.concatenate([time, dated]).max().astype(np.int64))


def days_to_outcome(leads: LabelledLeads, rows: npt.NDArray[np.intp]) -> Floats:
    """Days from each of those leads to its outcome, NaN where the table does not say."""
    if leads.known is None:
        return np.full(len(rows), np.nan)
    known = leads.known[rows]
    days = (known - leads.ticks[rows]) / DAY
    return np.where(known == np.iinfo(np.int64).min, np.nan, days)


def sensitive_slices(contract: FeatureContract, table: pa.Table) -> tuple[Slices, ...]:
    """The groups of each sensitive attribute that the table has a column for."""
    audited = sensitive_contract(contract)
    if audited is None:
        return ()
    present = tuple(f for f in audited.features if f.name in table.column_names)
    if not present:
        return ()
    narrowed = msgspec.structs.replace(audited, features=present)
    return slice_features(narrowed.inputs, encode_table(narrowed, table))


def take(table: pa.Table, rows: npt.NDArray[np.intp]) -> pa.Table:
    """Those rows; a contiguous stretch is not copied."""
    if len(rows) and len(rows) == rows[-1] - rows[0] + 1 and bool((np.diff(rows) == 1).all()):
        return table.slice(int(rows[0]), len(rows))
    return table.take(pa.array(rows))


def _known_at(contract: FeatureContract, table: pa.Table, name: str | None) -> Dates | None:
    if name is None:
        return None
    if name not in table.column_names:
        raise TableError(
            f"Column {name!r} (when the outcome became known) is not in the table.",
            hint="Add it, or remove `target.known_at` from the contract.",
        )
    target = msgspec.structs.replace(contract.target, known_at=name)
    return known_times(msgspec.structs.replace(contract, target=target), table)


def _known_ticks(known_at: Dates) -> Ticks:
    """Return when labels became known; one without a date counts as known from the beginning."""
    ticks = known_at.astype(np.int64)
    return np.where(np.isnat(known_at), np.iinfo(np.int64).min, ticks)
