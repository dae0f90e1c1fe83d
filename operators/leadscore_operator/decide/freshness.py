"""Whether a model's nights and its CRM targets are up to date: conditions and events of its DriftDetectors.

Pure. Ready is about neither: a detector works while nights are missed, and while no store can be asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from leadscore.batch.schedule import NightSchedule
from leadscore.batch.status import ModelNights
from leadscore.errors import LeadScoreError
from leadscore_operator.plan import Event
from leadscore_operator.statuses import Condition, DetectorStatus, condition_now

if TYPE_CHECKING:
    from leadscore.crm.status import TargetStatus

NIGHTS: Final = "BatchUpToDate"
TARGETS: Final = "CrmSyncHealthy"
# Nobody tells the operator of a night: it asks so often.
ASK_AGAIN: Final = timedelta(minutes=5)
_UNREAD: Final = "NotRead"
# Targets that one message names.
_NAMED: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedCondition:
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


def judge_nights(nights: ModelNights, schedule: NightSchedule, now: datetime) -> JudgedCondition | None:
    """Say whether every night that should have ended has; None if the model has no nights.

    Args:
        nights: What is on record.
        schedule: When nights are due.
        now: With a zone.
    """
    missed = nights.missed(schedule, now)
    if missed:
        newest = max(missed)
        more = f" and {len(missed) - 1} more" if len(missed) > 1 else ""
        text = (
            f"The scores of {newest}{more} are missing: the run should have ended by now. The log of its "
            f"Job says why, and `leadscore batch status --model {nights.model}` which dates."
        )
        about = newest.isoformat()
        return JudgedCondition(kind=NIGHTS, holds=False, reason="NightMissed", message=text, about=about)
    if nights.records:
        day = max(nights.records)
        record = nights.records[day]
        text = (
            f"{record.scored:,} of {record.leads:,} leads were scored for {day} by version "
            f"{record.claim.version}; the others have not changed."
        )
        return JudgedCondition(
            kind=NIGHTS, holds=True, reason="NightEnded", message=text, about=day.isoformat()
        )
    if nights.first is None:
        return None
    due = schedule.due_at(nights.first)
    text = f"No night has ended yet; the first is {nights.first}, due at {due:%Y-%m-%dT%H:%MZ}."
    return JudgedCondition(kind=NIGHTS, holds=None, reason="NoNightYet", message=text)


def judge_targets(found: Sequence[TargetStatus], now: datetime) -> JudgedCondition | None:
    """Say whether every CRM target has the scores that it should; None if there is no target.

    Args:
        found: How each target does.
        now: With a zone.
    """
    if not found:
        return None
    failing = {each.name: text for each in found if (text := _trouble(each, now))}
    if not failing:
        count = sum(each.leads for each in found)
        targets = "1 target has" if len(found) == 1 else f"{len(found)} targets have"
        text = f"{targets} the scores of {count:,} leads, and nothing waits for long."
        return JudgedCondition(kind=TARGETS, holds=True, reason="Delivered", message=text)
    more = len(failing) - _NAMED
    said = [*list(failing.values())[:_NAMED], *([f"{more} more."] if more > 0 else [])]
    text = f"{' '.join(said)} `leadscore crm status` says more."
    return JudgedCondition(
        kind=TARGETS, holds=False, reason="NotDelivered", message=text, about=",".join(sorted(failing))
    )


def _trouble(target: TargetStatus, now: datetime) -> str:
    """What is wrong with a target; empty if nothing is."""
    # It brings NumPy, which an operator without CRM targets does not need.
    from leadscore.crm.status import longest_wait  # noqa: PLC0415

    backlog, name = target.backlog, target.name
    if target.state != "on":
        return f"{name} is {target.state}: {target.reason}"
    why = f" {backlog.last_error}" if backlog.last_error else ""
    if backlog.dead:
        return f"{backlog.dead:,} scores for {name} were given up.{why}"
    oldest = backlog.oldest_at
    if oldest is not None and now.timestamp() * 1e6 - oldest > longest_wait(backlog.channel):
        since = datetime.fromtimestamp(oldest / 1e6, UTC)
        return f"{backlog.waiting:,} scores wait for {name} since {since:%Y-%m-%dT%H:%MZ}.{why}"
    return ""


def not_read(kind: str, error: LeadScoreError) -> JudgedCondition:
    """The condition of something that could not be asked."""
    return JudgedCondition(kind=kind, holds=None, reason=_UNREAD, message=str(error)[:1000])


def freshness_conditions(
    seen: Sequence[JudgedCondition], old: DetectorStatus, now: datetime, generation: int
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


def freshness_events(seen: Sequence[JudgedCondition]) -> tuple[Event, ...]:
    """Return an event for each night, and each set of targets that fail; the same one is written once."""
    return tuple(
        Event(each.reason, each.message, each.about, "Normal" if each.holds else "Warning")
        for each in seen
        if each.about
    )
