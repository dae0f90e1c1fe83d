"""Whether a model's nights and its CRM targets are up to date: conditions and events of its DriftDetectors.

Pure. Ready is about neither: a detector works while nights are missed, and while no store can be asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from leadscore.batch.schedule import NightSchedule
from leadscore.batch.status import ModelNights
from leadscore.errors import LeadScoreError
from leadscore_operator.plan import Event
from leadscore_operator.statuses import Condition, DetectorStatus, condition_now

NIGHTS: Final = "BatchUpToDate"
# Nobody tells the operator of a night: it asks so often.
ASK_AGAIN: Final = timedelta(minutes=5)
_UNREAD: Final = "NotRead"


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """One condition as it is now.

    Attributes:
        kind: Its type.
        holds: None: unknown.
        reason: One word.
        message: For a person.
        about: Tells two events of one reason apart.
    """

    kind: str
    holds: bool | None
    reason: str
    message: str
    about: str = ""


def judge_nights(nights: ModelNights, schedule: NightSchedule, now: datetime) -> Freshness | None:
    """Say whether every night that should have ended has; None if the model has no nights.

    Args:
        nights: What is on record.
        schedule: When nights are due.
        now: With a zone.
    """
    missed = nights.missed(schedule, now)
    if missed:
        more = f" and {len(missed) - 1} more" if len(missed) > 1 else ""
        text = (
            f"The scores of {missed[-1]}{more} are missing: the run should have ended by now. The log of its "
            f"Job says why, and `leadscore batch status --model {nights.model}` which dates."
        )
        about = missed[-1].isoformat()
        return Freshness(kind=NIGHTS, holds=False, reason="NightMissed", message=text, about=about)
    if nights.records:
        day = max(nights.records)
        record = nights.records[day]
        text = (
            f"{record.scored:,} of {record.leads:,} leads were scored for {day} by version "
            f"{record.claim.version}; the others have not changed."
        )
        return Freshness(kind=NIGHTS, holds=True, reason="NightEnded", message=text, about=day.isoformat())
    if nights.first is None:
        return None
    due = schedule.due_at(nights.first)
    text = f"No night has ended yet; the first is {nights.first}, due at {due:%Y-%m-%dT%H:%MZ}."
    return Freshness(kind=NIGHTS, holds=None, reason="NoNightYet", message=text)


def not_read(kind: str, error: LeadScoreError) -> Freshness:
    """The condition of something that could not be asked."""
    return Freshness(kind=kind, holds=None, reason=_UNREAD, message=str(error)[:1000])


def freshness_conditions(
    seen: Sequence[Freshness], old: DetectorStatus, now: datetime, generation: int
) -> tuple[Condition, ...]:
    """Return the conditions to write beside Ready."""
    return tuple(
        condition
        for each in seen
        for condition in condition_now(
            old,
            now,
            ready=each.holds,
            reason=each.reason,
            message=each.message,
            generation=generation,
            kind=each.kind,
        )
    )


def freshness_events(seen: Sequence[Freshness]) -> tuple[Event, ...]:
    """Return an event for each night that has ended or was missed; the same one is written once."""
    return tuple(
        Event(each.reason, each.message, each.about, "Normal" if each.holds else "Warning")
        for each in seen
        if each.holds is not None
    )
