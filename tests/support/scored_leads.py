"""Scores of leads as the roll-up worker keeps them, made without it."""

from __future__ import annotations

from collections.abc import Iterable

from tests.support.events import prediction

from leadscore.errors import NotFoundError
from leadscore.events.records import Prediction
from leadscore.events.store import EventStore
from leadscore.monitoring.rollups.leads import refresh_leads
from leadscore.scoring.model import ScoringModel


def score_leads(
    store: EventStore, scores: Iterable[tuple[str, float, int]], **fields: str
) -> list[Prediction]:
    """Log scores (lead, probability, moment) and bring `lead_scores` up to date, as the monitor does."""
    made: list[Prediction] = []
    for lead, probability, at in scores:
        one = prediction(
            f"p-{lead}-{at}", lead, scored_at=at, probability=probability, **{"model_name": "leads", **fields}
        )
        found = {name: getattr(one, name) for name in one.__struct_fields__}
        made.append(
            Prediction(**{**found, "score": 100 * probability, "grade": "A" if probability > 0.5 else "B"})
        )
    store.append(made, ())
    with store.writing() as connection:
        refresh_leads(connection, {one.lead_id for one in made})
    return made


def no_models(name: str, version: str) -> ScoringModel:
    """A registry without any: reasons cannot be said."""
    raise NotFoundError(f"There is no {name}/{version}.")
