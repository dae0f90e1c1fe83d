"""Outcomes out of a CRM: what was won or lost since the last look, as outcomes with their source.

A look begins a little before the last change that was seen, because a CRM may show an earlier change later;
what is known already is not recorded again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from leadscore.crm.cursors import read_cursor, set_cursor
from leadscore.crm.outcomes import outcome_news
from leadscore.crm.vendors.link import VendorLink
from leadscore.crm.vendors.protocol import DealState, OutcomeFields
from leadscore.events.records import Outcome, now_us, outcome_id_of
from leadscore.events.store import EventStore
from leadscore.outbox.tables import SECOND_US

_CURSOR: Final = "outcomes"
_OVERLAP_US: Final = 300 * SECOND_US
_DAY_US: Final = 86_400 * SECOND_US
_PAGES: Final = 1_000


@dataclass(frozen=True, slots=True)
class OutcomesPulled:
    """What a look found.

    Attributes:
        read: Deals that had changed.
        new: Outcomes that were recorded.
        known: That were known already.
        still_open: Deals that are neither won nor lost.
        without_lead: Deals that name no lead.
        until: The last change that was seen, microseconds since the epoch; 0: none ever was.
    """

    read: int
    new: int
    known: int
    still_open: int
    without_lead: int
    until: int


def pull_outcomes(
    store: EventStore,
    target: str,
    link: VendorLink,
    source: OutcomeFields,
    *,
    now: Callable[[], int] = now_us,
) -> OutcomesPulled:
    """Read what has changed since the last look, page by page.

    The cursor follows each page, so that whoever is killed goes on there.

    Args:
        store: Where outcomes and cursor are.
        target: Name of the target: the outcomes' source.
        link: To its CRM.
        source: Where its deals are.
        now: Microseconds since the epoch.

    Raises:
        UnavailableError: The CRM or the store; what was read is recorded.
    """
    with store.reading() as connection:
        position = read_cursor(connection, target, _CURSOR)
    until = int(position) if position else 0
    since, after = max(0, until - _OVERLAP_US), ""
    counts = dict.fromkeys(("read", "new", "known", "still_open", "without_lead"), 0)
    for _ in range(_PAGES):
        reply = link.send(link.vendor.encode_deals(source, since, after))
        deals, after = link.vendor.decode_deals(source, reply)
        outcomes = [found for deal in deals if (found := outcome_of(deal, source, target)) is not None]
        new = not_known(store, outcomes)
        store.append((), new)
        until = max([until, *(deal.modified_at for deal in deals)])
        with store.writing() as connection:
            set_cursor(connection, target, _CURSOR, str(until), now())
        closed = source.won | source.lost
        counts["read"] += len(deals)
        counts["new"] += len(new)
        counts["known"] += len(outcomes) - len(new)
        counts["still_open"] += sum(deal.stage not in closed for deal in deals)
        counts["without_lead"] += sum(not deal.lead_id and deal.stage in closed for deal in deals)
        if not after:
            break
    return OutcomesPulled(**counts, until=until)


def outcome_of(deal: DealState, source: OutcomeFields, target: str) -> Outcome | None:
    """The outcome that a deal is; None while it is open, or where it names no lead.

    A closing date later than the last change is a plan, or the end of that day: the change counts.
    """
    if not deal.lead_id or deal.stage not in source.won | source.lost:
        return None
    converted = deal.stage in source.won
    value = deal.amount if converted else None
    closed = deal.modified_at if deal.closed_at is None else min(deal.closed_at, deal.modified_at)
    occurred = max(0, closed)
    return Outcome(
        outcome_id=outcome_id_of(deal.lead_id, None, converted, value, occurred, deal.modified_at),
        lead_id=deal.lead_id,
        prediction_id=None,
        converted=converted,
        value=value,
        occurred_at=occurred,
        recorded_at=deal.modified_at,
        source=target,
    )


def not_known(store: EventStore, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Outcomes that say something else than the newest that is recorded for their lead.

    A deal changes also in ways that are none of ours: the same result of the same day is the same outcome.
    """
    return outcome_news(store, sorted(outcomes, key=lambda each: each.recorded_at), _adds_nothing)


def _adds_nothing(outcome: Outcome, known: Outcome) -> bool:
    return known.recorded_at > outcome.recorded_at or (
        (known.converted, known.value) == (outcome.converted, outcome.value)
        and abs(known.occurred_at - outcome.occurred_at) < _DAY_US
    )
