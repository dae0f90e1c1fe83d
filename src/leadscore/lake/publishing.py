"""Records of the event store into Delta tables: whatever a day has and the table lacks, each once.

Days are compared by how many records they have on both sides, and where that differs, by the ids. So it
does not matter how late a record came, nor when somebody was killed: what is not there is appended, what is
there is not. No cursor is kept: clocks, and the order in which records arrive, decide nothing.
"""

# Arrow makes its compute functions when it is imported.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from itertools import chain
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from leadscore.lake.table import LakeTable

# Of one commit: a first run of years is killed without losing all of it.
_DAYS_AT_ONCE: Final = 31


@dataclass(frozen=True, slots=True)
class DayTable:
    """A table whose rows are records by day.

    Attributes:
        table: The Delta table, in folders by `day`.
        application: Under which name it is written.
        key: Column of the records' ids.
        day: Column of their day, of type date.
    """

    table: LakeTable
    application: str
    key: str
    day: str


@dataclass(frozen=True, slots=True)
class PublishedRows:
    """What was appended.

    Attributes:
        table: Name of the table.
        rows: How many rows.
        version: Of the table afterwards; None: there is no such table, for there was nothing to write.
        waiting: A sentence about records that could not be written yet; empty if there are none.
    """

    table: str
    rows: int
    version: int | None
    waiting: str = ""


def publish_days(
    target: DayTable, stored: Mapping[date, int], read: Callable[[date], Generator[pa.RecordBatch]]
) -> int:
    """Append what the table lacks; returns how many rows that was.

    Args:
        target: Where.
        stored: How many records each day has.
        read: Reads a day's records, as the table has them.

    Raises:
        BadInputError: The table there has other types.
        ConflictError: Somebody else publishes at the same time; what they wrote is not written again.
        UnavailableError: Store or lake cannot be used; what was committed stays, and the next run goes on.
    """
    written = 0
    there = target.table.rows_by(target.day)
    differing = sorted(day for day, count in stored.items() if there.get(day.isoformat()) != count)
    for start in range(0, len(differing), _DAYS_AT_ONCE):
        written += _publish(target, differing[start : start + _DAYS_AT_ONCE], read)
    return written


def _publish(
    target: DayTable, days: Sequence[date], read: Callable[[date], Generator[pa.RecordBatch]]
) -> int:
    version = target.table.version()

    def missing() -> Generator[pa.RecordBatch]:
        for day in days:
            known = _keys(target, version, day)
            # Closed with this one: a table that refuses the rows leaves the query of the store half read.
            with closing(read(day)) as read_batches:
                for batch in read_batches:
                    piece = batch.filter(pc.invert(pc.is_in(batch.column(target.key), value_set=known)))
                    if piece.num_rows:
                        yield piece

    with closing(missing()) as batches:
        first = next(batches, None)
        if first is None:
            return 0
        # What is missing was found in this version: another publisher's commit meanwhile has this number.
        number = 0 if version is None else version + 1
        done = target.table.write(chain([first], batches), application=target.application, number=number)
    return done.rows


def _keys(target: DayTable, version: int | None, day: date) -> pa.Array:
    """Ids of a day that the table has."""
    if version is None:
        return pa.array([], pa.string())
    batches = target.table.read(version, [target.key], where=ds.field(target.day) == day)
    return pa.concat_arrays([pa.array([], pa.string()), *(batch.column(0) for batch in batches)])
