"""Carry records from the spool to the event store, each stored once in effect."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from leadscore.errors import LeadScoreError, UnavailableError
from leadscore.events.errors import RecordRefusedError, ShipperRunningError
from leadscore.events.health import ShipperHealth, write_health
from leadscore.events.quarantine import Quarantine, QuarantinedPiece
from leadscore.events.records import Outcome, Prediction, now_us, stamp_of
from leadscore.events.segments import try_lock
from leadscore.events.store import EventStore
from leadscore.events.tail import ShippingBatch, Spooled, SpoolTail

SHIPPER_LOCK_NAME: Final = "shipper.lock"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ShipperOptions:
    """How a shipper works.

    Attributes:
        batch_records: Most records of one transaction.
        poll_seconds: How long to wait when there is nothing to ship.
        backoff_seconds: First wait after a failure; doubled for each further one, with jitter.
        backoff_limit_seconds: Longest wait.
        drain_seconds: How long to go on shipping after a request to stop.
        health_seconds: How often to renew the health file when nothing changes.
    """

    batch_records: int = 2_000
    poll_seconds: float = 0.25
    backoff_seconds: float = 0.25
    backoff_limit_seconds: float = 30.0
    drain_seconds: float = 10.0
    health_seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class Shipment:
    """What one round did.

    Attributes:
        records: Stored, replayed ones included.
        new: Of these, how many the store did not know.
        quarantined: Records and damaged pieces set aside.
        more: The batch was full: call again.
    """

    records: int
    new: int
    quarantined: int
    more: bool

    @property
    def idle(self) -> bool:
        """There was nothing to do."""
        return not (self.records or self.quarantined or self.more)


class Shipper:
    """Ships the spool under `root` into `store`; holds the spool's shipper lock until closed.

    Raises:
        ShipperRunningError: Another process ships this spool.
        UnavailableError: The spool directory cannot be used.
    """

    def __init__(self, root: Path, store: EventStore, options: ShipperOptions | None = None) -> None:
        self._root = root
        self._store = store
        self._options = options or ShipperOptions()
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(root / SHIPPER_LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if not try_lock(self._lock):
                os.close(self._lock)
                raise ShipperRunningError(
                    f"Another shipper serves the spool {root}.", hint="One is enough: stop the other first."
                )
            self._tail = SpoolTail(root)
            self._quarantine = Quarantine(root)
        except OSError as error:
            raise _spool_unusable(root, error) from error
        self._health = ShipperHealth(os.getpid(), "idle", now_us())
        self._health_due = 0.0

    def ship_once(self) -> Shipment:
        """Store one batch, then remember it.

        Raises:
            UnavailableError: The store or the spool's disk cannot be used; everything is still on the spool.
        """
        try:
            batch = self._tail.next_batch(self._options.batch_records)
        except OSError as error:
            raise _spool_unusable(self._root, error) from error
        if batch.records:
            oldest = min(stamp_of(spooled.record) for spooled in batch.records)
            self._health = msgspec.structs.replace(
                self._health, lag_seconds=max(0.0, (now_us() - oldest) / 1e6), state="shipping"
            )
        new, refused = _store(self._store, batch.records)
        try:
            set_aside = self._quarantine.add([*batch.pieces, *refused])
            self._tail.settle(batch)
        except OSError as error:
            raise _spool_unusable(self._root, error) from error
        self._count(batch, stored=len(batch.records) - len(refused), set_aside=set_aside)
        return Shipment(len(batch.records) - len(refused), new, set_aside, batch.full)

    def run(self, stop: threading.Event) -> None:
        """Ship until `stop` is set, and then until the spool is empty.

        Or until `drain_seconds` have passed, or the store is down.
        """
        options = self._options
        deadline = float("inf")
        while True:
            stopping = stop.is_set()
            if stopping:
                deadline = min(deadline, time.monotonic() + options.drain_seconds)
            try:
                shipment = self.ship_once()
            except UnavailableError as error:
                wait = self._failed(error)
                if stopping:
                    break
                stop.wait(wait)
                continue
            except LeadScoreError as error:
                # Trying again does not help; the health file says why.
                self._failed(error)
                raise
            self._succeeded(shipment)
            if stopping and (shipment.idle or time.monotonic() >= deadline):
                break
            if shipment.idle:
                stop.wait(options.poll_seconds)
        self._publish(msgspec.structs.replace(self._health, state="stopped"))

    def close(self) -> None:
        """Free the spool for another shipper."""
        os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _count(self, batch: ShippingBatch, *, stored: int, set_aside: int) -> None:
        health = self._health
        if set_aside:
            _log.error("records set aside in quarantine", extra={"fields": {"count": set_aside}})
        self._health = msgspec.structs.replace(
            health,
            lag_seconds=health.lag_seconds if batch.full else 0.0,
            shipped=health.shipped + stored,
            quarantined=health.quarantined + set_aside,
            torn=health.torn + batch.torn,
            last_shipped_at=now_us() if stored else health.last_shipped_at,
        )

    def _failed(self, error: LeadScoreError) -> float:
        """Note the failure and say how long to wait.

        Exponential, with jitter so that pods do not march in step.
        """
        options = self._options
        failures = self._health.failures + 1
        longest = min(options.backoff_limit_seconds, options.backoff_seconds * 2.0 ** min(failures - 1, 16))
        wait = longest * random.uniform(0.5, 1.0)  # noqa: S311 (jitter, not a secret)
        _log.warning(
            "cannot ship",
            extra={"fields": {"error": error.message, "failures": failures, "retry_seconds": round(wait, 2)}},
        )
        self._publish(
            msgspec.structs.replace(
                self._health, state="unavailable", failures=failures, last_error=error.message
            )
        )
        return wait

    def _succeeded(self, shipment: Shipment) -> None:
        state = "idle" if shipment.idle else "shipping"
        changed = self._health.failures > 0 or shipment.quarantined > 0
        if changed or time.monotonic() >= self._health_due:
            self._publish(msgspec.structs.replace(self._health, state=state, failures=0))

    def _publish(self, health: ShipperHealth) -> None:
        self._health = health
        self._health_due = time.monotonic() + self._options.health_seconds
        try:
            fresh = msgspec.structs.replace(health, updated_at=now_us(), lag_bytes=self._tail.lag_bytes())
            write_health(self._root, fresh)
        except OSError as error:  # a full disk must not stop the process that frees it
            _log.warning("cannot write the health file", extra={"fields": {"error": error.strerror}})


def _store(store: EventStore, records: Sequence[Spooled]) -> tuple[int, list[QuarantinedPiece]]:
    """Store the records; those that the store refuses are found by halving, so that the others go on."""
    if not records:
        return 0, []
    predictions = [s.record for s in records if isinstance(s.record, Prediction)]
    outcomes = [s.record for s in records if isinstance(s.record, Outcome)]
    try:
        appended = store.append(predictions, outcomes)
    except RecordRefusedError as error:
        if len(records) == 1:
            return 0, [records[0].quarantined(error.message)]
        middle = len(records) // 2
        first, first_refused = _store(store, records[:middle])
        second, second_refused = _store(store, records[middle:])
        return first + second, [*first_refused, *second_refused]
    return appended.predictions + appended.outcomes, []


def _spool_unusable(root: Path, error: OSError) -> UnavailableError:
    return UnavailableError(
        f"The spool {root} cannot be used: {error.strerror}.", hint="Check its disk and its owner."
    )
