"""Follow a stream's outcomes through the chart of outcomes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from leadscore.arrays import Flags, Moments
from leadscore.drift.sequential import NewOutcomes, OutcomeStep, start_outcomes, watch_outcomes
from leadscore.drift.verdict import as_utc
from leadscore.drift.watch.outcome_plan import OutcomeDesign
from leadscore.drift.watch.track import Alarms, ChartEvaluation, OutcomesSaid, Sign

NEVER: Final = np.iinfo(np.int64).max
_DAY: Final = 86_400_000_000.0


@dataclass(frozen=True, slots=True, eq=False)
class Charted:
    """The leads of a stream that are charted, in the order in which they were scored.

    Moments are microseconds.

    Attributes:
        number: How many leads of the stream each is from its beginning, (n,).
        at: When it was scored (n,).
        probabilities: What was predicted (n,).
        known: When the outcome that counts became known; `NEVER` where none did (n,).
        converted: That outcome; False where there is none (n,).
        replaced: Scored again since: without an outcome by then, it goes to the newer score (n,).
    """

    number: npt.NDArray[np.int64]
    at: Moments
    probabilities: npt.NDArray[np.float64]
    known: Moments
    converted: Flags
    replaced: Flags


def follow_outcomes(
    design: OutcomeDesign,
    leads: Charted,
    *,
    on_evaluation: Callable[[ChartEvaluation], object] = lambda _: None,
) -> OutcomesSaid:
    """Chart all outcomes, from the first on.

    An outcome is taken in at the first evaluation whose last lead came after it was known, and counts for the
    evaluation of its own lead. Leads and outcomes since the last whole evaluation are left for later.

    Args:
        design: The chart.
        leads: Those that are charted, as far as they have come.
        on_evaluation: Told what each evaluation shows.
    """
    every = design.every
    evaluations = len(leads.at) // every
    rows, pending = evaluations * every, len(leads.at) % every
    leads = _first(leads if design.timed else _asked(leads, design.wait), rows)
    arrived, ends = np.arange(rows) // every + 1, leads.at[every - 1 :: every]
    seen = np.maximum(np.searchsorted(ends, leads.known, side="left") + 1, arrived)
    some = leads.known != NEVER
    days = np.where(some, np.maximum(leads.known - leads.at, 0), np.inf) / _DAY
    in_time = (days <= design.wait) & (seen - arrived < design.chart.horizon)
    taken = in_time & (seen <= evaluations)
    order = np.flatnonzero(taken)
    order = order[np.argsort(seen[order], kind="stable")]
    bounds = np.searchsorted(seen[order], np.arange(1, evaluations + 2))
    state, offset, evaluation, alarms = start_outcomes(design.chart), 0, None, Alarms()
    for end in range(1, evaluations + 1):
        new = order[bounds[end - 1] : bounds[end]]
        # After an alarm the chart starts afresh, without the leads before it.
        new = new[arrived[new] > offset]
        known = NewOutcomes(arrived[new] - offset, leads.probabilities[new], leads.converted[new], days[new])
        arriving = leads.probabilities[(end - 1) * every : end * every]
        step = watch_outcomes(design.chart, state, arriving, known)
        began = (offset + step.since - 1) * every if step.since else None
        state, evaluation = step.state, _evaluation_of(leads, step, end * every - 1, began)
        on_evaluation(evaluation)
        if step.alarm:
            alarms, offset = alarms.and_one(evaluation), end
    last = int(ends[-1]) if evaluations else 0
    young = (last - leads.at <= design.wait * _DAY) & (evaluations - arrived < design.chart.horizon - 1)
    # Scored again before any outcome: it goes to the newer score.
    replaced = leads.replaced & ~some
    waiting = ~taken & young & ~(some & ~in_time) & ~replaced
    return OutcomesSaid(
        followed=rows,
        pending=pending,
        known=len(order),
        waiting=int(waiting.sum()),
        unknown=int((~taken & ~waiting & ~replaced).sum()),
        replaced=int(replaced.sum()),
        evaluation=evaluation,
        alarms=alarms,
    )


def joined(parts: Sequence[Charted]) -> Charted:
    """Parts of a stream that follow each other, at least one."""
    return Charted(*(np.concatenate([getattr(p, field.name) for p in parts]) for field in fields(Charted)))


def _first(leads: Charted, rows: int) -> Charted:
    return Charted(*(getattr(leads, field.name)[:rows] for field in fields(leads)))


def _asked(leads: Charted, wait: float) -> Charted:
    """As if each outcome became known at the age at which all are asked; those that came later never do."""
    age = int(wait * _DAY)
    came = (leads.known != NEVER) & (leads.known - leads.at <= age)
    return replace(leads, known=np.where(came, leads.at + age, NEVER))


def _evaluation_of(leads: Charted, step: OutcomeStep, last: int, began: int | None) -> ChartEvaluation:
    return ChartEvaluation(
        at=as_utc(int(leads.at[last])),
        lead=int(leads.number[last]),
        statistic=step.statistic,
        level=step.level,
        signs=(Sign("outcomes", step.bet, step.statistic),),
        since=None if began is None else as_utc(int(leads.at[began])),
        since_lead=None if began is None else int(leads.number[began]),
    )
