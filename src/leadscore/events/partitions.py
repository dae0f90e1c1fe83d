"""Monthly partitions of predictions on PostgreSQL: made ahead and on demand, dropped whole.

Each partition has a primary key of its own, so an id is unique within its month, whichever release inserts;
across the turn of a month the store looks (`ingest`). What lies in no month that there is goes into the
default partition, and moves to its month once that is made. A table of a store that was made before
partitions is the partition of all that is older.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import sqlalchemy as sa

from leadscore.events.migrations import ADVISORY_LOCK
from leadscore.events.schema import predictions

DEFAULT: Final = "predictions_default"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_US: Final = timedelta(microseconds=1)
# Earlier and much later times are mistakes: they may lie in the default partition.
_FIRST: Final = 946_684_800_000_000  # 2000-01-01
_AHEAD_MONTHS: Final = 2
_BOUNDS: Final = re.compile(r"FROM \((MINVALUE|'-?\d+')\) TO \('(-?\d+)'\)")


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition.

    Attributes:
        name: Of its table.
        start: First moment (microseconds since the epoch); None: the beginning of time, or the default
            partition.
        end: First moment after it; None: the default partition.
        rows: About how many, as the database's own statistics say; None before it has any.
        bytes: On disk, indexes included.
    """

    name: str
    start: int | None
    end: int | None
    rows: int | None
    bytes: int

    def covers(self, moment: int) -> bool:
        """Whether rows of this moment are in it (the default partition covers nothing by itself)."""
        return self.end is not None and moment < self.end and (self.start is None or moment >= self.start)


def month_of(moment: int) -> int:
    """First moment of the (UTC) month that a moment lies in, both in microseconds since the epoch."""
    start = (_EPOCH + moment * _US).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (start - _EPOCH) // _US


def month_after(start: int) -> int:
    """First moment of the month after the one that begins at `start`."""
    return month_of(start + 32 * 86_400_000_000)


def month_name(prefix: str, start: int) -> str:
    """Name of a partition: `predictions_in_2026_11`, or `predictions_before_2026_12`."""
    return f"predictions_{prefix}_{_EPOCH + start * _US:%Y_%m}"


def months_to_make(moments: Iterable[int], now: int) -> set[int]:
    """The months of these moments, of the present and the next: those for which a partition is worth while.

    Pure.
    """
    ahead = [month_of(now)]
    for _ in range(_AHEAD_MONTHS):
        ahead.append(month_after(ahead[-1]))
    found = {month_of(moment) for moment in moments if _FIRST <= moment < month_after(ahead[-1])}
    return found | set(ahead)


def is_partitioned(connection: sa.Connection) -> bool:
    """Whether predictions are partitioned."""
    if connection.dialect.name != "postgresql":
        return False
    query = "SELECT EXISTS (SELECT 1 FROM pg_partitioned_table WHERE partrelid = to_regclass('predictions'))"
    return bool(connection.exec_driver_sql(query).scalar_one())


def list_partitions(connection: sa.Connection) -> tuple[Partition, ...]:
    """All partitions, the oldest first, the default one last; none if there are none."""
    if not is_partitioned(connection):
        return ()
    rows = connection.exec_driver_sql(
        "SELECT c.relname, pg_get_expr(c.relpartbound, c.oid), c.reltuples, pg_total_relation_size(c.oid)"
        " FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = 'predictions'::regclass"
    )
    found = [_partition(*row) for row in rows]
    return tuple(sorted(found, key=lambda p: (p.end is None, p.end)))


def make_partitions(connection: sa.Connection, months: Iterable[int]) -> None:
    """Make the months that there is no partition for, and move what lies in the default partition to them.

    Inside the caller's transaction, which waits for a lock for at most two seconds: what cannot be had now
    can be had later.
    """
    connection.exec_driver_sql("SET LOCAL lock_timeout = '2s'")
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(ADVISORY_LOCK)))
    there = list_partitions(connection)
    for start in sorted(months):
        if there and not any(partition.covers(start) for partition in there):
            _make(connection, start)


def _make(connection: sa.Connection, start: int) -> None:
    end, name = month_after(start), month_name("in", start)
    columns = ", ".join(column.name for column in predictions.columns)
    for statement in (
        f"CREATE TABLE {name} (LIKE predictions INCLUDING DEFAULTS)",
        f"ALTER TABLE {name} ADD PRIMARY KEY (prediction_id)",
        f"LOCK TABLE {DEFAULT} IN ACCESS EXCLUSIVE MODE",
        (
            f"WITH moved AS (DELETE FROM {DEFAULT} WHERE scored_at >= {start} AND scored_at < {end}"  # noqa: S608
            f" RETURNING {columns}) INSERT INTO {name} ({columns}) SELECT {columns} FROM moved"
        ),
        f"ALTER TABLE predictions ATTACH PARTITION {name} FOR VALUES FROM ({start}) TO ({end})",
    ):
        connection.exec_driver_sql(statement)


def drop_partitions(connection: sa.Connection, before: int) -> tuple[Partition, ...]:
    """Drop the partitions that end at or before a moment, inside the caller's transaction; returns them."""
    connection.exec_driver_sql("SET LOCAL lock_timeout = '3s'")
    gone = tuple(p for p in list_partitions(connection) if p.end is not None and p.end <= before)
    for partition in gone:
        connection.exec_driver_sql(f"DROP TABLE {partition.name}")
    return gone


def before_month(connection: sa.Connection) -> tuple[str, int]:
    """The constraint by which a migration says what the unpartitioned table holds.

    Its name, and the first moment after.
    """
    query = (
        "SELECT conname FROM pg_constraint WHERE conrelid = 'predictions'::regclass"
        " AND conname LIKE 'predictions\\_before\\_%%'"
    )
    name = str(connection.exec_driver_sql(query).scalar_one())
    year, month = map(int, name.split("_")[-2:])
    return name, (datetime(year, month, 1, tzinfo=UTC) - _EPOCH) // _US


def copy_rights(connection: sa.Connection, source: str, target: str) -> None:
    """Give a table the owner and the grants of another."""
    quote = connection.dialect.identifier_preparer.quote
    owner = connection.exec_driver_sql(
        "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = %s::regclass", (source,)
    ).scalar_one()
    connection.exec_driver_sql(f"ALTER TABLE {target} OWNER TO {quote(owner)}")
    grants = connection.exec_driver_sql(
        "SELECT CASE WHEN a.grantee = 0 THEN NULL ELSE pg_get_userbyid(a.grantee) END,"
        " a.privilege_type, a.is_grantable"
        " FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = %s::regclass",
        (source,),
    ).all()
    for grantee, privilege, may_grant in grants:
        to = "PUBLIC" if grantee is None else quote(grantee)
        further = " WITH GRANT OPTION" if may_grant else ""
        connection.exec_driver_sql(f"GRANT {privilege} ON {target} TO {to}{further}")


def _partition(name: str, bounds: str, rows: float, size: int) -> Partition:
    known = None if rows < 0 else round(rows)
    found = _BOUNDS.search(bounds)
    if found is None:
        return Partition(name, None, None, known, size)
    start, end = found.groups()
    return Partition(name, None if start == "MINVALUE" else int(start.strip("'")), int(end), known, size)
