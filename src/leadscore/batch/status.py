"""Which nights have ended, which were begun, and which are missing."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Literal

import msgspec

from leadscore.batch.records import BatchClaim, BatchRecord, find_record, list_claims
from leadscore.events.store import EventStore

NightState = Literal["ended", "begun", "missing"]
# Claims of several models and versions share the newest ones.
_PER_DAY = 20


class Night(msgspec.Struct, frozen=True, kw_only=True):
    """A business date of a model.

    Attributes:
        date: The date.
        state: `ended`; `begun` (a run is at work, or was killed: run it again); `missing`.
        version: Model version of its newest run, "" if there is none.
        record: What came of it.
    """

    date: date
    state: NightState
    version: str = ""
    record: BatchRecord | None = None


def list_nights(store: EventStore, model: str, today: date, days: int) -> tuple[Night, ...]:
    """The last `days` business dates, newest first, `today` included; none from before the first run.

    Raises:
        UnavailableError: The store cannot be read.
    """
    claims: dict[date, BatchClaim] = {}
    for claim in list_claims(store, days * _PER_DAY):
        if claim.model == model:
            claims.setdefault(claim.date, claim)
    found: list[Night] = []
    for back in range(days):
        day = today - timedelta(days=back)
        claim = claims.get(day)
        if claim is None:
            if not claims or day < min(claims):
                break
            found.append(Night(date=day, state="missing"))
            continue
        record = find_record(store, claim.subject)
        state: NightState = "begun" if record is None else "ended"
        found.append(Night(date=day, state=state, version=claim.version, record=record))
    return tuple(found)
