"""Count outcomes that belong to a prediction, and predictions that have an outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from leadscore.events import schema
from leadscore.events.records import SHADOW_ROLE, Outcome
from leadscore.events.store import EventStore

# Dates that are bare mean the end of their day, wherever on Earth that day is: a day ahead is no mistake.
FUTURE_MARGIN: Final = 86_400_000_000
# Fewer than the variables that one statement may have (SQLite: 999 before 3.32).
_LOOKUP: Final = 900


@dataclass(frozen=True, slots=True)
class OutcomeMatch:
    """Where some outcomes belong.

    Attributes:
        matched: They label a prediction.
        never_scored: Neither their lead nor the prediction that they name is in the store.
        before_scored: They happened before their lead was first scored, and label nothing.
        unknown_leads: Different lead ids among those never scored.
        leads: Different lead ids in all.
    """

    matched: int
    never_scored: int
    before_scored: int
    unknown_leads: int
    leads: int


@dataclass(frozen=True, slots=True)
class StoreMatch:
    """Counts of outcomes and predictions that belong together.

    Attributes:
        matched: Outcomes that belong to a prediction.
        unmatched: Outcomes that belong to none.
        future: Outcomes that are said to have happened later than a day from now.
        labelled: Predictions, but those of shadows, whose lead has an outcome since.
        share: The same as a share of them; None without predictions.
    """

    matched: int
    unmatched: int
    future: int
    labelled: int
    share: float | None


def match_outcomes(store: EventStore, outcomes: Sequence[Outcome]) -> OutcomeMatch:
    """Look up which of these outcomes belong to a stored prediction."""
    p = schema.predictions.c
    leads = sorted({outcome.lead_id for outcome in outcomes})
    named = sorted({outcome.prediction_id for outcome in outcomes if outcome.prediction_id is not None})
    first: dict[str, int] = {}
    known: set[str] = set()
    with store.reading() as connection:
        for start in range(0, len(leads), _LOOKUP):
            some = p.lead_id.in_(leads[start : start + _LOOKUP])
            query = sa.select(p.lead_id, sa.func.min(p.scored_at)).where(some).group_by(p.lead_id)
            first |= {row[0]: row[1] for row in connection.execute(query)}
        for start in range(0, len(named), _LOOKUP):
            query = sa.select(p.prediction_id).where(p.prediction_id.in_(named[start : start + _LOOKUP]))
            known |= set(connection.execute(query).scalars())
    matched = never = 0
    for outcome in outcomes:
        scored = first.get(outcome.lead_id)
        if outcome.prediction_id in known or (scored is not None and outcome.occurred_at >= scored):
            matched += 1
        elif scored is None:
            never += 1
    return OutcomeMatch(
        matched=matched,
        never_scored=never,
        before_scored=len(outcomes) - matched - never,
        unknown_leads=len(leads) - len(first),
        leads=len(leads),
    )


def match_store(store: EventStore, now: int) -> StoreMatch:
    """Count how outcomes and predictions of the whole store meet; `now` in microseconds."""
    p, o = schema.predictions.c, schema.outcomes.c
    named = sa.exists().where(p.prediction_id == o.prediction_id)
    by_lead = sa.exists().where(p.lead_id == o.lead_id, p.scored_at <= o.occurred_at)
    belongs = sa.or_(named.correlate(schema.outcomes), by_lead.correlate(schema.outcomes))
    labelled = sa.or_(named.correlate(schema.predictions), by_lead.correlate(schema.predictions))
    answered = p.role != SHADOW_ROLE
    with store.reading(any_revision=True) as connection:

        def count(table: sa.Table, *conditions: sa.ColumnElement[bool]) -> int:
            query = sa.select(sa.func.count()).select_from(table).where(*conditions)
            return connection.execute(query).scalar_one()

        everything = count(schema.outcomes)
        matched = count(schema.outcomes, belongs)
        future = count(schema.outcomes, o.occurred_at > now + FUTURE_MARGIN)
        with_label = count(schema.predictions, answered, labelled)
        of = count(schema.predictions, answered)
    return StoreMatch(matched, everything - matched, future, with_label, with_label / of if of else None)
