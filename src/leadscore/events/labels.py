"""Which outcome belongs to which prediction: the one rule, as SQL.

An outcome that names a prediction belongs to it. An outcome that names none belongs, in each stream of
predictions (same model name and role), to the lead's newest prediction that is not later than `occurred_at`;
so does one that names a prediction of another stream, which is how shadow and canary predictions get their
labels. What happened before the lead was first scored labels nothing. Of several outcomes of one prediction
the one with the latest `recorded_at` counts (ties: the greater `outcome_id`); all of them stay in the store.
The match is not stored: each read finds late, corrected and early outcomes anew.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from leadscore.events.schema import outcomes, predictions


@dataclass(frozen=True, slots=True)
class PredictionSelection:
    """Which predictions: scored in [start, end), microseconds since the epoch; None means any."""

    start: int
    end: int
    model_name: str | None = None
    model_version: str | None = None
    role: str | None = None
    contract_version: str | None = None
    without_source: str | None = None

    def where(self) -> sa.ColumnElement[bool]:
        """The condition on the predictions table."""
        c = predictions.c
        conditions: list[sa.ColumnElement[bool]] = [c.scored_at >= self.start, c.scored_at < self.end]
        wanted = (
            (c.model_name, self.model_name),
            (c.model_version, self.model_version),
            (c.role, self.role),
            (c.contract_version, self.contract_version),
        )
        conditions += [column == value for column, value in wanted if value is not None]
        if self.without_source is not None:
            # Records of a release before have none.
            conditions.append(sa.func.coalesce(c.source, "") != self.without_source)
        return sa.and_(*conditions)


def select_predictions(selection: PredictionSelection) -> sa.Select[tuple[object, ...]]:
    """The predictions of a selection, by time, then id."""
    c = predictions.c
    return sa.select(predictions).where(selection.where()).order_by(c.scored_at, c.prediction_id)


def select_labelled(
    selection: PredictionSelection, known_by: int | None = None
) -> sa.Select[tuple[object, ...]]:
    """The predictions of a selection, each with its outcome (or nulls) and whether it is superseded.

    Args:
        selection: Which predictions.
        known_by: Ignore outcomes recorded later than this; None takes all.
    """
    p = predictions.c
    outcome, newer, named = outcomes.alias("outcome"), predictions.alias("newer"), predictions.alias("named")
    o = outcome.c
    in_stream_after = sa.and_(
        newer.c.lead_id == p.lead_id,
        newer.c.model_name == p.model_name,
        newer.c.role == p.role,
        # Says no more than the next line, but by it PostgreSQL passes over the partitions of months before.
        newer.c.scored_at >= p.scored_at,
        sa.tuple_(newer.c.scored_at, newer.c.prediction_id) > sa.tuple_(p.scored_at, p.prediction_id),
    )
    newer_when_it_occurred = (
        sa.exists().where(in_stream_after, newer.c.scored_at <= o.occurred_at).correlate(predictions, outcome)
    )
    names_one_of_this_stream = (
        sa.exists()
        .where(
            named.c.prediction_id == o.prediction_id,
            named.c.model_name == p.model_name,
            named.c.role == p.role,
        )
        .correlate(predictions, outcome)
    )
    by_lead = sa.and_(
        o.lead_id == p.lead_id,
        o.occurred_at >= p.scored_at,
        sa.not_(newer_when_it_occurred),
        sa.or_(o.prediction_id.is_(None), sa.not_(names_one_of_this_stream)),
    )
    counts = sa.select(o.outcome_id).where(sa.or_(o.prediction_id == p.prediction_id, by_lead))
    superseding = in_stream_after
    if known_by is not None:
        counts = counts.where(o.recorded_at <= known_by)
        superseding = sa.and_(in_stream_after, newer.c.scored_at <= known_by)
    latest = (
        counts.order_by(o.recorded_at.desc(), o.outcome_id.desc())
        .limit(1)
        .correlate(predictions)
        .scalar_subquery()
    )
    label = outcomes.alias("label")
    return (
        sa.select(
            predictions,
            label.c.outcome_id,
            label.c.converted,
            label.c.value,
            label.c.occurred_at,
            label.c.recorded_at,
            sa.exists().where(superseding).correlate(predictions).label("superseded"),
        )
        .select_from(predictions.outerjoin(label, label.c.outcome_id == latest))
        .where(selection.where())
        .order_by(p.scored_at, p.prediction_id)
    )
