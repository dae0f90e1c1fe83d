"""Outcomes of the event store as the Delta table `outcomes`."""

from __future__ import annotations

from collections.abc import Generator
from datetime import date, timedelta
from functools import partial
from typing import Final

import pyarrow as pa
import sqlalchemy as sa

from leadscore.events.schema import outcomes
from leadscore.events.store import EventStore
from leadscore.lake.publishing import DayTable, PublishedRows, publish_days
from leadscore.lake.schemas import OUTCOMES
from leadscore.lake.table import LakeTable, table_uri

DAY_US: Final = 86_400_000_000
EPOCH: Final = date(1970, 1, 1)
_ROWS: Final = 50_000


def publish_outcomes(store: EventStore, lake: str) -> PublishedRows:
    """Append the outcomes that the table `outcomes` lacks, however late they were recorded.

    A correction is an outcome of its own: of several of a lead, the one with the latest `recorded_at` counts.

    Args:
        store: Whose outcomes.
        lake: Root of the lake: folder or URL.

    Raises:
        BadInputError: The table there has other types.
        ConflictError: Somebody else publishes at the same time.
        UnavailableError: Store or lake cannot be used.
    """
    table = LakeTable(table_uri(lake, OUTCOMES.name), OUTCOMES)
    day = (outcomes.c.recorded_at // DAY_US).label("day")
    with store.reading() as connection:
        counted = connection.execute(sa.select(day, sa.func.count()).group_by(day)).all()
    stored = {EPOCH + timedelta(days=number): count for number, count in counted}
    target = DayTable(table, "leadscore/outcomes", "outcome_id", "recorded_date")
    rows = publish_days(target, stored, partial(_read_day, store))
    return PublishedRows(OUTCOMES.name, rows, table.version())


def day_start(day: date) -> int:
    """The first moment of a day (UTC), microseconds since the epoch."""
    return (day - EPOCH).days * DAY_US


def _read_day(store: EventStore, day: date) -> Generator[pa.RecordBatch]:
    c, start = outcomes.c, day_start(day)
    query = (
        sa.select(outcomes)
        .where(c.recorded_at >= start, c.recorded_at < start + DAY_US)
        .order_by(c.recorded_at, c.outcome_id)
    )
    names = [column.name for column in outcomes.columns]
    with (
        store.reading() as connection,
        # Closed also where whoever reads stops in the middle: the connection's end leaves it open.
        connection.execution_options(yield_per=_ROWS).execute(query) as result,
    ):
        for rows in result.partitions():
            found = dict(zip(names, zip(*rows, strict=True), strict=True))
            found["recorded_date"] = (day,) * len(rows)
            arrays = [pa.array(found[field.name], field.type) for field in OUTCOMES.schema]
            yield pa.RecordBatch.from_arrays(arrays, schema=OUTCOMES.schema)
