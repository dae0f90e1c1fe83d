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
from leadscore.monitoring.rollups.tables import lead_scores


def refresh_leads(connection: sa.Connection, leads: set[str]) -> None:
    """Bring rows of `lead_scores` up to date, in the caller's write transaction.

    A lead whose answers have all been removed has no row afterwards.
    """
    for part in in_parts(connection, sorted(leads)):
        these = is_among(connection, lead_scores.c.lead_id, part)
        connection.execute(sa.delete(lead_scores).where(these))
        columns = [column.name for column in lead_scores.columns]
        connection.execute(sa.insert(lead_scores).from_select(columns, _newest(connection, part)))


def next_leads(connection: sa.Connection, after: str, limit: int) -> list[str]:
    """Return ids of leads in their order, those after one: to go through all, some at a time."""
    lead = predictions.c.lead_id
    query = sa.select(lead).where(lead > after).distinct().order_by(lead).limit(limit)
    return list(connection.execute(query).scalars())


def _newest(connection: sa.Connection, leads: Sequence[str]) -> sa.Select[*tuple[Any, ...]]:
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
        )
        .select_from(ranked.outerjoin(outcomes, outcomes.c.outcome_id == newest_outcome))
        .where(ranked.c.newest)
    )
