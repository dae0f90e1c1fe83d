"""Which of the outcomes that a CRM tells are news: it may say the same again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from leadscore.events.records import Outcome
from leadscore.events.store import EventStore


def outcome_news(
    store: EventStore, outcomes: Sequence[Outcome], adds_nothing: Callable[[Outcome, Outcome], bool]
) -> list[Outcome]:
    """Outcomes that add something to the newest of their lead.

    Args:
        store: Where the newest is recorded.
        outcomes: In the order in which they were said.
        adds_nothing: Whether an outcome says nothing beyond the newest before it.

    Raises:
        StoreUnavailableError: The store cannot be read.
    """
    newest = store.newest_outcomes(outcome.lead_id for outcome in outcomes)
    found: list[Outcome] = []
    for outcome in outcomes:
        known = newest.get(outcome.lead_id)
        if known is None or not adds_nothing(outcome, known):
            newest[outcome.lead_id] = outcome
            found.append(outcome)
    return found
