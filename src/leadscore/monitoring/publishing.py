"""Everything that the lake is given of the event store, one table after the other."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from leadscore.errors import LeadScoreError
from leadscore.events.store import EventStore
from leadscore.lake.outcomes import publish_outcomes
from leadscore.lake.publishing import PublishedRows
from leadscore.monitoring.metrics import publish_drift_metrics
from leadscore.monitoring.model_facts import ModelFacts
from leadscore.monitoring.model_metrics import MODEL_METRICS, publish_model_metrics
from leadscore.monitoring.published_leads import publish_leads


def publish_lake(
    store: EventStore, lake: str, facts_of: Callable[[str, str], ModelFacts | None], now: datetime
) -> tuple[tuple[PublishedRows, ...], tuple[LeadScoreError, ...]]:
    """Append what the lake's tables lack; a table that cannot be written holds up no other.

    Args:
        store: The event store.
        lake: Root of the lake: folder or URL.
        facts_of: What a version's artefact says; None if it cannot be had.
        now: UTC.

    Returns:
        What was appended, and why other tables were not written.
    """
    done: list[PublishedRows] = []
    failed: list[LeadScoreError] = []
    for publish in (
        lambda: publish_outcomes(store, lake),
        lambda: publish_leads(store, lake, facts_of, now),
        lambda: publish_drift_metrics(store, lake),
        lambda: _model_metrics(store, lake, facts_of, now),
    ):
        try:
            done.append(publish())
        except LeadScoreError as error:
            failed.append(error)
    return tuple(done), tuple(failed)


def _model_metrics(
    store: EventStore, lake: str, facts_of: Callable[[str, str], ModelFacts | None], now: datetime
) -> PublishedRows:
    commit = publish_model_metrics(store, lake, facts_of, now)
    return PublishedRows(MODEL_METRICS.name, commit.rows, commit.version)
