"""The newest score of each lead, the one before, and what became of the lead: for lists of leads.

Of whatever role but a shadow's: a sales person means the score that a nightly run gave, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from leadscore.events.records import SHADOW_ROLE
from leadscore.events.schema import outcomes, predictions
from leadscore.monitoring.rollups.lookups import in_parts, is_among
from leadscore.monitoring.rollups.progress import CHANGES
from leadscore.monitoring.rollups.tables import lead_scores, rollup_progress


def refresh_leads(connection: sa.Connection, leads: set[str]) -> None:
    """Bring rows of `lead_scores` up to date, in the caller's write transaction.

    A lead whose answers have all been removed has no row afterwards.
    """
    if not leads:
        return
    number = _next_change(connection)
    for part in in_parts(connection, sorted(leads)):
        these = is_among(connection, lead_scores.c.lead_id, part)
        connection.execute(sa.delete(lead_scores).where(these))
        columns = [column.name for column in lead_scores.columns]
        connection.execute(sa.insert(lead_scores).from_select(columns, _newest(connection, part, number)))


def has_unnumbered(connection: sa.Connection) -> bool:
    """Whether a monitor of the release before has written rows, which have no number of their change."""
    some = sa.select(sa.literal(1)).select_from(lead_scores).where(lead_scores.c.change.is_(None))
    return bool(connection.execute(sa.select(sa.exists(some))).scalar_one())


def number_changes(connection: sa.Connection, limit: int) -> None:
    """Give such rows a number, in the caller's write transaction: they have changed."""
    key = sa.tuple_(lead_scores.c.model_name, lead_scores.c.lead_id)
    some = sa.select(lead_scores.c.model_name, lead_scores.c.lead_id)
    some = some.where(lead_scores.c.change.is_(None)).limit(limit)
    number = _next_change(connection)
    connection.execute(sa.update(lead_scores).where(key.in_(some)).values(change=number))


def _next_change(connection: sa.Connection) -> int:
    """The next number; whoever else takes one waits until this transaction ends."""
    p = rollup_progress.c
    row = p.name == CHANGES
    taken = sa.update(rollup_progress).where(row).values(at=p.at + 1).returning(p.at)
    found = connection.execute(taken).scalar_one_or_none()
    if found is None:
        connection.execute(sa.insert(rollup_progress).values(name=CHANGES, at=1, position=None))
    return found or 1


def next_leads(connection: sa.Connection, after: str, limit: int) -> list[str]:
    """Return ids of leads in their order, those after one: to go through all, some at a time."""
    lead = predictions.c.lead_id
    query = sa.select(lead).where(lead > after).distinct().order_by(lead).limit(limit)
    return list(connection.execute(query).scalars())


def _newest(connection: sa.Connection, leads: Sequence[str], number: int) -> sa.Select[*tuple[Any, ...]]:
    p = predictions.c
    stream: dict[str, Any] = {
        "partition_by": (p.model_name, p.lead_id),
        "order_by": (p.scored_at, p.prediction_id),
    }
    steps = (
        sa.select(
            *(p.model_name, p.lead_id, p.prediction_id, p.model_version),
            *(p.scored_at, p.probability, p.score, p.grade),
            sa.func.min(p.scored_at).over(partition_by=stream["partition_by"]).label("first_scored_at"),
            sa.func.lag(p.prediction_id).over(**stream).label("previous_prediction_id"),
            sa.func.lag(p.probability).over(**stream).label("previous_probability"),
            sa.func.lag(p.grade).over(**stream).label("previous_grade"),
            sa.func.lead(p.prediction_id).over(**stream).label("next_prediction_id"),
        )
        .where(is_among(connection, p.lead_id, leads), p.role != SHADOW_ROLE)
        .cte("steps")
    )
    s = steps.c
    changed = sa.case((s.previous_grade != s.grade, s.scored_at))
    ranked = sa.select(
        *(column for column in s if column.name != "next_prediction_id"),
        sa.func.max(changed).over(partition_by=(s.model_name, s.lead_id)).label("grade_changed_at"),
        s.next_prediction_id.is_(None).label("newest"),
    ).cte("ranked")
    newest_outcome = (
        sa.select(outcomes.c.outcome_id)
        .where(outcomes.c.lead_id == ranked.c.lead_id)
        .order_by(outcomes.c.recorded_at.desc(), outcomes.c.outcome_id.desc())
        .limit(1)
        .correlate(ranked)
        .scalar_subquery()
    )
    return (
        sa.select(
            *(column for column in ranked.c if column.name != "newest"),
            outcomes.c.converted,
            outcomes.c.occurred_at,
            sa.literal(number, sa.BigInteger),
        )
        .select_from(ranked.outerjoin(outcomes, outcomes.c.outcome_id == newest_outcome))
        .where(ranked.c.newest)
    )
