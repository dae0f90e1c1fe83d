"""Which nights have ended, which were begun, and which are missing or missed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final, Literal

import msgspec

from leadscore.batch.records import BatchClaim, BatchRecord, expected_since, list_claims, list_records
from leadscore.batch.schedule import NightSchedule, due_nights, missed_nights
from leadscore.events.store import EventStore

NightState = Literal["ended", "begun", "missing"]
# A model without a run for so long has no nights any more, unless somebody names it.
_EXPECTED: Final = timedelta(days=35)


class Night(msgspec.Struct, frozen=True, kw_only=True):
    """A business date of a model.

    Attributes:
        date: The date.
        state: `ended`; `begun` (a run is at work, or was killed: run it again); `missing`.
        missed: It should have ended by now.
        version: Model version of its newest run, "" if there is none.
        record: What came of it.
    """

    date: date
    state: NightState
    missed: bool = False
    version: str = ""
    record: BatchRecord | None = None


class ModelNights(msgspec.Struct, frozen=True, kw_only=True):
    """What is on record about a model's nights.

    Attributes:
        model: Its name.
        first: The first date that is expected; None: none is.
        claims: The newest claim of each date; of a date that has ended, the one that has.
        records: What came of those that have ended.
    """

    model: str
    first: date | None
    claims: Mapping[date, BatchClaim]
    records: Mapping[date, BatchRecord]

    def missed(self, schedule: NightSchedule, now: datetime) -> tuple[date, ...]:
        """Dates that should have ended by now and have not, oldest first."""
        return () if self.first is None else missed_nights(schedule, now, self.first, self.records)

    def listed(self, schedule: NightSchedule, now: datetime, days: int) -> tuple[Night, ...]:
        """The last dates that are due or were begun, newest first."""
        missed = set(self.missed(schedule, now))
        due = () if self.first is None else due_nights(schedule, now, self.first, days)
        dates = sorted({*due, *self.claims, *missed}, reverse=True)[:days]
        return tuple(self._night(day, day in missed) for day in dates)

    def _night(self, day: date, missed: bool) -> Night:
        claim, record = self.claims.get(day), self.records.get(day)
        state: NightState = "missing" if claim is None else "begun" if record is None else "ended"
        version = "" if claim is None else claim.version
        return Night(date=day, state=state, missed=missed, version=version, record=record)


def read_nights(
    store: EventStore, schedule: NightSchedule, now: datetime, models: Sequence[str] = ()
) -> tuple[ModelNights, ...]:
    """Read what is on record about the nights of every model that has some, and of those that are named.

    Args:
        store: Whose records they are.
        schedule: When nights are due.
        now: With a zone.
        models: Names that are expected to have nights, if only since somebody said so (`expect_nights`).

    Raises:
        UnavailableError: The store cannot be read.
    """
    since = round((now - _EXPECTED).timestamp() * 1e6)
    claims, records = list_claims(store, since=since), list_records(store, since=since)
    names = sorted({claim.model for claim in claims} | set(models))
    return tuple(
        _of_model(
            name,
            [claim for claim in claims if claim.model == name],
            [record for record in records if record.claim.model == name],
            _expected_from(store, schedule, name) if name in models else None,
        )
        for name in names
    )


def _of_model(
    model: str, claims: Sequence[BatchClaim], records: Iterable[BatchRecord], expected: date | None
) -> ModelNights:
    ended = {record.claim.date: record for record in records}
    newest: dict[date, BatchClaim] = {}
    for claim in claims:
        newest.setdefault(claim.date, claim)
    newest |= {day: record.claim for day, record in ended.items()}
    firsts = [day for day in (min(newest, default=None), expected) if day is not None]
    return ModelNights(model=model, first=min(firsts, default=None), claims=newest, records=ended)


def _expected_from(store: EventStore, schedule: NightSchedule, model: str) -> date | None:
    """The first date that is due after somebody said that the model has nights."""
    at = expected_since(store, model)
    if at is None:
        return None
    moment = datetime.fromtimestamp(at / 1e6, UTC)
    newest = schedule.newest_due(moment)
    return newest if schedule.due_at(newest) == moment else newest + timedelta(days=1)
