"""Of several monitors one works: a lease in the event store, renewed by its holder, taken when it ran out.

Its times are the database's, so that clocks of machines need not agree. Whoever writes what only one may
write checks the lease in the same transaction: a holder that slept through the end of its lease writes
nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

import sqlalchemy as sa

from leadscore.errors import ConflictError
from leadscore.events.records import now_us
from leadscore.events.store import EventStore

_log = logging.getLogger(__name__)

_LEASE_SECONDS: Final = 15.0
# The holder stops this share of the lease before others may take it.
_MARGIN: Final = 0.25

leases = sa.Table(
    "leases",
    sa.MetaData(),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("holder", sa.Text, nullable=False),
    sa.Column("token", sa.BigInteger, nullable=False),
    sa.Column("until", sa.BigInteger, nullable=False),
)


class LeaseLostError(ConflictError):
    """Another process holds the lease now; nothing was written."""

    code = "lease_lost"


class StoreLease:
    """Takes, keeps and gives up one lease. Used by one thread; `leading` and `check` by any.

    Args:
        store: Where it is.
        name: What may be done by one only.
        holder: Ours; unique among processes.
        seconds: After which an unrenewed lease may be taken.
        monotonic: Our own clock; it decides only when we stop believing that we hold it.
    """

    def __init__(
        self,
        store: EventStore,
        name: str,
        holder: str,
        *,
        seconds: float = _LEASE_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._name = name
        self._holder = holder
        self._seconds = seconds
        self._monotonic = monotonic
        self._sure_until = float("-inf")
        self._token = 0

    @property
    def seconds(self) -> float:
        """After which an unrenewed lease may be taken."""
        return self._seconds

    @property
    def renew_every(self) -> float:
        """Seconds between two renewals."""
        return self._seconds / 5

    @property
    def leading(self) -> bool:
        """Whether we hold it and nobody can have taken it yet."""
        return self._monotonic() < self._sure_until

    def renew(self) -> bool:
        """Take the lease, or go on holding it; whether it is ours.

        Raises:
            UnavailableError: The store cannot be written: what we hold runs out by itself.
        """
        # Ours counts from before the request: the answer may come late.
        asked = self._monotonic()
        with self._store.writing() as connection:
            token = self._take(connection)
        if token is None:
            self._sure_until = float("-inf")
            return False
        if token != self._token:
            _log.info("leading", extra={"fields": {"lease": self._name, "token": token}})
        self._token = token
        self._sure_until = asked + self._seconds * (1 - _MARGIN)
        return True

    def _take(self, connection: sa.Connection) -> int | None:
        now = _database_time(connection)
        until = now + round(self._seconds * 1e6)
        ours = leases.c.name == self._name
        found = connection.execute(sa.select(leases).where(ours).with_for_update()).one_or_none()
        if found is None:
            # Of two that come first at once, the second waits here for the first and finds its row.
            connection.exec_driver_sql(_insert(connection), (self._name, self._holder, 1, until))
            found = connection.execute(sa.select(leases).where(ours).with_for_update()).one()
        if found.holder != self._holder and found.until >= now:
            return None
        token = found.token + (found.holder != self._holder)
        values = {"holder": self._holder, "token": token, "until": until}
        connection.execute(sa.update(leases).where(ours).values(values))
        return int(token)

    def check(self, connection: sa.Connection) -> None:
        """Make sure, until the end of this write transaction, that nobody else holds the lease.

        Raises:
            LeaseLostError: Somebody does; roll back.
        """
        query = sa.select(leases.c.holder, leases.c.token).where(leases.c.name == self._name)
        found = connection.execute(query.with_for_update(read=True)).one_or_none()
        if found is None or (found.holder, found.token) != (self._holder, self._token):
            self._sure_until = float("-inf")
            raise LeaseLostError(
                f"The lease {self._name} is not ours any more.", hint="Another monitor has taken over."
            )

    def give_up(self) -> None:
        """Let a successor start at once instead of after the lease's time.

        Raises:
            UnavailableError: The store cannot be written: the lease runs out by itself.
        """
        self._sure_until = float("-inf")
        mine = sa.and_(leases.c.name == self._name, leases.c.holder == self._holder)
        with self._store.writing() as connection:
            connection.execute(sa.update(leases).where(mine).values(until=0, holder=""))


def _insert(connection: sa.Connection) -> str:
    marks = ", ".join(["%s" if connection.dialect.name == "postgresql" else "?"] * len(leases.columns))
    names = ", ".join(column.name for column in leases.columns)
    return f"INSERT INTO leases ({names}) VALUES ({marks}) ON CONFLICT DO NOTHING"  # noqa: S608 (our own names)


def _database_time(connection: sa.Connection) -> int:
    if connection.dialect.name != "postgresql":
        # The file is on this machine, and so is its clock.
        return now_us()
    query = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
    return int(connection.exec_driver_sql(query).scalar_one())
