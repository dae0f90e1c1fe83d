"""Find the triggers that are due: each maps the state to a candidate or None."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from leadscore.drift.verdict import SEVERITIES
from leadscore.durations import format_time, parse_duration
from leadscore.policy.spec import DriftTrigger, PerformanceTrigger, RampStep, ScheduleTrigger
from leadscore.policy.state import Observation, PolicyState, Trigger


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """A trigger that asks for a retraining."""

    trigger: Trigger
    reason: str
    key: str


def manual_due(state: PolicyState) -> Due | None:
    """A person asked, with a token that was not served yet."""
    if state.manual is None:
        return None
    key = f"manual-{state.manual}"
    if _served(state, key):
        return None
    return Due(trigger="manual", reason=f"Asked for by hand ({state.manual}).", key=key)


def performance_due(trigger: PerformanceTrigger, state: PolicyState, now: datetime) -> Due | None:
    """The model lost more than the tolerated share of its AUC, in a verdict that no run has answered."""
    for seen in _pending(state, trigger.detectors, trigger.hold, now):
        if seen.drop is None or _outcomes_answered(seen, state):
            continue
        if seen.drop > trigger.max_drop:
            reason = (
                f"AUC fell by {seen.drop:.1%} (tolerated {trigger.max_drop:.1%}) "
                f"according to {seen.detector}."
            )
            return Due(trigger="performance", reason=reason, key=_key("performance", seen))
    return None


def drift_due(trigger: DriftTrigger, state: PolicyState, now: datetime) -> Due | None:
    """Enough successive verdicts of a detector and schedule are severe, and no run has answered the last."""
    for seen in _pending(state, trigger.detectors, trigger.hold, now):
        if not _counts(trigger, seen) or (seen.kind == "concept" and _outcomes_answered(seen, state)):
            continue
        before = [o for o in _newest_first(state.observations) if _same_stream(o, seen)]
        streak = [o for o in before if o.window_end <= seen.window_end][: trigger.consecutive]
        if len(streak) == trigger.consecutive and all(_counts(trigger, o) for o in streak):
            worst = f", worst in {seen.worst}" if seen.worst else ""
            reason = (
                f"{seen.severity.capitalize()} drift{worst} according to {seen.detector}. {seen.why}".strip()
            )
            return Due(trigger="drift", reason=reason, key=_key("drift", seen))
    return None


def schedule_due(trigger: ScheduleTrigger, state: PolicyState, now: datetime) -> Due | None:
    """The newest slot of the ramp has come and nothing was trained since. Missed slots are not caught up."""
    slot = last_slot(trigger.ramp, state.created, now)
    if slot is None or any(run.created >= slot for run in state.runs):
        return None
    return Due(
        trigger="schedule", reason=f"Scheduled for {format_time(slot)}.", key=f"schedule-{_stamp(slot)}"
    )


def last_slot(ramp: tuple[RampStep, ...], anchor: datetime, now: datetime) -> datetime | None:
    """The newest slot at or before `now`; None before the first."""
    found: datetime | None = None
    for start, end, every in _phases(ramp, anchor):
        last = now if end is None else min(now, end)
        if last >= start + every:
            found = start + every * ((last - start) // every)
    return found


def next_slot(ramp: tuple[RampStep, ...], anchor: datetime, now: datetime) -> datetime | None:
    """The first slot after `now`; None if the ramp has ended."""
    for start, end, every in _phases(ramp, anchor):
        slot = start + every * (max(now - start, timedelta()) // every + 1)
        if end is None or slot <= end:
            return slot
    return None


def unanswered(state: PolicyState) -> tuple[Observation, ...]:
    """Verdicts about windows after the last run's start, newest first, each of its detector's newest model.

    A run trains on everything up to its start, so it answers every window that ended before. A verdict about
    an older version than the same detector's newest one is about a model that is gone.
    """
    last = max((run.created for run in state.runs), default=None)
    ordered = _newest_first(state.observations)
    current: dict[str, str] = {}
    for seen in ordered:
        current.setdefault(seen.detector, seen.model_version)
    return tuple(
        seen
        for seen in ordered
        if (last is None or seen.window_end > last) and seen.model_version == current[seen.detector]
    )


def _outcomes_answered(seen: Observation, state: PolicyState) -> bool:
    """Whether the leads whose outcomes were judged are older than the last run.

    They are old enough to have outcomes, so a verdict of today speaks of leads of weeks ago. A run had those
    of before its start to learn from: a later verdict about the same leads asks for nothing new.
    """
    last = max((run.created for run in state.runs), default=None)
    return seen.outcomes_end is not None and last is not None and seen.outcomes_end <= last


def _pending(
    state: PolicyState, detectors: tuple[str, ...], hold: str, now: datetime
) -> tuple[Observation, ...]:
    oldest = now - parse_duration(hold)
    return tuple(
        seen
        for seen in unanswered(state)
        if seen.window_end >= oldest
        and seen.triage != "pipeline_bug"
        and (not detectors or seen.detector in detectors)
    )


def _counts(trigger: DriftTrigger, seen: Observation) -> bool:
    severe = SEVERITIES.index(seen.severity) >= SEVERITIES.index(trigger.min_severity)
    return severe and seen.drifted and seen.triage != "pipeline_bug"


def _same_stream(a: Observation, b: Observation) -> bool:
    return (a.detector, a.schedule, a.model_version) == (b.detector, b.schedule, b.model_version)


def _newest_first(observations: Iterable[Observation]) -> list[Observation]:
    return sorted(observations, key=lambda o: (o.window_end, o.detector, o.schedule), reverse=True)


def _phases(
    ramp: tuple[RampStep, ...], anchor: datetime
) -> Iterable[tuple[datetime, datetime | None, timedelta]]:
    start = anchor
    for step in ramp:
        end = None if step.for_ is None else start + parse_duration(step.for_)
        yield start, end, parse_duration(step.every)
        if end is None:
            return
        start = end


def _served(state: PolicyState, key: str) -> bool:
    return any(run.key == key for run in state.runs)


def _key(trigger: str, seen: Observation) -> str:
    return f"{trigger}-{seen.detector}-{seen.schedule}-{_stamp(seen.window_end)}"


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y%m%dT%H%M%S")
