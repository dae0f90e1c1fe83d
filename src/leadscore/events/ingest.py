"""Insert rows: one statement per batch, known ids left as they are."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa
from sqlalchemy import exc

from leadscore.events import partitions
from leadscore.events.records import now_us
from leadscore.events.rows import Row
from leadscore.events.schema import predictions

if TYPE_CHECKING:
    from collections.abc import Iterable

_log = logging.getLogger(__name__)

# Types of the arrays that `unnest` makes rows of, on PostgreSQL.
_ARRAYS: Final[dict[type, str]] = {
    str: "text[]",
    int: "bigint[]",
    float: "double precision[]",
    bytes: "bytea[]",
    bool: "boolean[]",
}
_NAMES: Final = [column.name for column in predictions.columns]
_ID, _AT = _NAMES.index("prediction_id"), _NAMES.index("scored_at")
_DAY_US: Final = 86_400_000_000
# Where partitions cannot be made, rows go into the default one: it is tried again, but not with every batch.
_AGAIN_SECONDS: Final = 60.0


def insert(connection: sa.Connection, table: sa.Table, rows: Sequence[Row]) -> int:
    """Insert rows whose ids are new; returns how many those are."""
    if not rows:
        return 0
    names = ", ".join(column.name for column in table.columns)
    # Names come from our own table definitions; values are bound.
    if connection.dialect.name == "postgresql":
        # %b: in binary form, which psycopg writes twice as fast as text.
        arrays = ", ".join(f"%b::{_ARRAYS[column.type.python_type]}" for column in table.columns)
        statement = (
            f"INSERT INTO {table.name} ({names}) SELECT * FROM unnest({arrays}) ON CONFLICT DO NOTHING"  # noqa: S608
        )
        columns = tuple(list(values) for values in zip(*rows, strict=True))
        return connection.exec_driver_sql(statement, columns).rowcount
    marks = ", ".join("?" for _ in table.columns)
    statement = f"INSERT INTO {table.name} ({names}) VALUES ({marks}) ON CONFLICT DO NOTHING"  # noqa: S608
    return connection.exec_driver_sql(statement, list(rows)).rowcount


def insert_predictions(connection: sa.Connection, rows: Sequence[Row]) -> int:
    """The same for predictions, whose ids a partitioned table keeps unique by month only.

    An id comes again with another time when a request with an `Idempotency-Key` is repeated at another pod,
    within a day. So ids close to the turn of a month are looked for on its other side.
    """
    if connection.dialect.name == "postgresql" and (near := _near_a_turn(rows)):
        known = _known_across(connection, near)
        rows = [row for row in rows if row[_ID] not in known]
    return insert(connection, predictions, rows)


def _near_a_turn(rows: Sequence[Row]) -> dict[int, list[str]]:
    """Ids within a day of the turn of a month, by the month's first moment."""
    found: dict[int, list[str]] = {}
    turns: dict[int, int | None] = {}
    for row in rows:
        at = row[_AT]
        assert isinstance(at, int)  # noqa: S101 - a column of whole numbers
        day = at // _DAY_US
        if day not in turns:
            turns[day] = _turn(day)
        turn = turns[day]
        if turn is not None:
            found.setdefault(turn, []).append(str(row[_ID]))
    return found


def _turn(day: int) -> int | None:
    """The turn of a month that a day (since the epoch) is the first after, or the last before."""
    here, after = (partitions.month_of(each * _DAY_US) for each in (day, day + 1))
    if here == day * _DAY_US:
        return here
    return after if after != here else None


def _known_across(connection: sa.Connection, near: dict[int, list[str]]) -> set[str]:
    known: set[str] = set()
    column = predictions.c
    for turn, ids in near.items():
        around = sa.and_(column.scored_at >= turn - _DAY_US, column.scored_at < turn + _DAY_US)
        listed = column.prediction_id == sa.func.any(sa.literal(ids, sa.ARRAY(sa.Text)))
        known |= set(connection.execute(sa.select(column.prediction_id).where(around, listed)).scalars())
    return known


class PartitionKeeper:
    """Make the partitions that predictions come into. A failure never refuses a prediction."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._made: set[int] = set()
        self._not_before = 0.0

    def keep(self, moments: Iterable[int]) -> None:
        """Make what these moments (microseconds since the epoch) and the coming months need and lack."""
        wanted = partitions.months_to_make(moments, now_us()) - self._made
        if not wanted or time.monotonic() < self._not_before:
            return
        try:
            with self._engine.begin() as connection:
                if not partitions.is_partitioned(connection):
                    # Not yet: a migration is under way, or has not begun.
                    self._not_before = time.monotonic() + _AGAIN_SECONDS
                    return
                partitions.make_partitions(connection, wanted)
        except exc.SQLAlchemyError as error:
            # Somebody has a lock that we need, or this user may not make tables: the
            # default partition takes the rows.
            self._not_before = time.monotonic() + _AGAIN_SECONDS
            _log.warning(
                "partitions not made",
                extra={"fields": {"error": type(error).__name__, "months": len(wanted)}},
            )
        else:
            self._made |= wanted
