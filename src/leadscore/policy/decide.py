"""Retrain or wait: one pure function from a policy, its state and the time to a decision with its reason."""

from __future__ import annotations

from datetime import datetime

import msgspec

from leadscore.durations import format_time, parse_duration
from leadscore.policy.spec import RetrainRules
from leadscore.policy.state import Hold, PolicyState, Postpone, Retrain, RetrainDecision, RetrainWindow
from leadscore.policy.triggers import (
    Due,
    drift_due,
    manual_due,
    next_slot,
    performance_due,
    schedule_due,
    unanswered,
)


def decide_retraining(rules: RetrainRules, state: PolicyState, now: datetime) -> RetrainDecision:
    """What to do now. Asking again with the same arguments gives the same answer.

    A person's request comes first and waits only for a live run and for the budget; then
    performance, drift and the schedule, which also wait for a release on its way, for a
    pipeline bug to be fixed, and for the cool-down.

    Args:
        rules: The policy.
        state: What is known, all of it: a caller that could not read something must not call.
        now: The time, with a zone.

    Raises:
        BadInputError: A duration of the policy is not one.
    """
    known = msgspec.structs.replace(
        state, observations=tuple(seen for seen in state.observations if seen.judged)
    )
    due = _due(rules, known, now)
    if due is None:
        return Postpone(
            hold="no-drift", reason=_no_drift(rules, state, known), until=_next_look(rules, state, now)
        )
    held = _held(rules, known, due, now)
    if held is not None:
        hold, why, until = held
        return Postpone(hold=hold, reason=f"{why} Waiting: {due.reason}", until=until)
    window = RetrainWindow(start=now - parse_duration(rules.data_window), end=now)
    return Retrain(trigger=due.trigger, reason=due.reason, window=window, key=due.key)


def _due(rules: RetrainRules, state: PolicyState, now: datetime) -> Due | None:
    triggers = rules.triggers
    return (
        manual_due(state)
        or (triggers.performance and performance_due(triggers.performance, state, now))
        or (triggers.drift and drift_due(triggers.drift, state, now))
        or (triggers.schedule and schedule_due(triggers.schedule, state, now))
        or None
    )


def _held(
    rules: RetrainRules, state: PolicyState, due: Due, now: datetime
) -> tuple[Hold, str, datetime | None] | None:
    live = next((run for run in state.runs if run.finished is None), None)
    if live is not None:
        return "live-run", f"The retraining {live.key} is still running.", None
    held = None if due.trigger == "manual" else _held_unless_manual(rules, state, now)
    if held is not None:
        return held
    free = _budget_free(rules, state, now)
    if free is not None and rules.budget is not None:
        why = f"The budget of {rules.budget.runs} in {rules.budget.per} is used up until {format_time(free)}."
        return "budget", why, free
    return None


def _held_unless_manual(
    rules: RetrainRules, state: PolicyState, now: datetime
) -> tuple[Hold, str, datetime | None] | None:
    if rules.suspend:
        return "suspended", "The policy is suspended.", None
    broken = _broken(state)
    if broken is not None:
        return "pipeline-bug", f"{broken} Retraining would learn it; tell the owner of the data.", None
    if state.release is not None:
        return "release", f"The release {state.release} is on its way.", None
    cooled = _cooled(rules, state)
    if cooled is not None and cooled > now:
        return "cool-down", f"In cool-down until {format_time(cooled)}.", cooled
    return None


def _broken(state: PolicyState) -> str | None:
    """A sentence if some detector's newest verdict says that the data pipeline is broken."""
    seen: set[tuple[str, str]] = set()
    for observation in unanswered(state):
        stream = (observation.detector, observation.schedule)
        if stream not in seen and observation.triage == "pipeline_bug":
            return f"{observation.detector} finds a pipeline bug{_about(observation.worst)}."
        seen.add(stream)
    return None


def _about(feature: str) -> str:
    return f" in {feature}" if feature else ""


def _cooled(rules: RetrainRules, state: PolicyState) -> datetime | None:
    ends = [run.finished for run in state.runs if run.finished is not None]
    return max(ends) + parse_duration(rules.cool_down) if ends else None


def _budget_free(rules: RetrainRules, state: PolicyState, now: datetime) -> datetime | None:
    """When the next run fits into the budget; None if it does now."""
    if rules.budget is None:
        return None
    period = parse_duration(rules.budget.per)
    starts = sorted(run.created for run in state.runs if run.created > now - period)
    if len(starts) < rules.budget.runs:
        return None
    return starts[-rules.budget.runs] + period


def _no_drift(rules: RetrainRules, state: PolicyState, known: PolicyState) -> str:
    """Say why nothing is due: no trigger asks for it, or none can tell."""
    broken = _broken(known)
    if broken is not None:
        return f"{broken} That is no reason to retrain; tell the owner of the data."
    if not (rules.triggers.drift or rules.triggers.performance):
        return "Nothing asks for a retraining."
    newest = max(state.observations, key=lambda seen: seen.window_end, default=None)
    if newest is None:
        return "No detector of this model has given a verdict yet."
    if not newest.judged:
        return f"Whether to retrain is not known: {newest.detector} says: {newest.why or 'Not judged.'}"
    return "Nothing asks for a retraining."


def _next_look(rules: RetrainRules, state: PolicyState, now: datetime) -> datetime | None:
    if rules.triggers.schedule is None:
        return None
    return next_slot(rules.triggers.schedule.ramp, state.created, now)
