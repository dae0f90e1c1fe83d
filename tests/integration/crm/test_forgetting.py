"""What CRMs were told of a lead goes with the lead's last score, and not before."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from tests.integration.crm.conftest import Inbox
from tests.support.scored_leads import no_models, score_leads

from leadscore.crm.choose import choose_scores
from leadscore.crm.endpoints import WebhookEndpoint
from leadscore.crm.fence import stale_updates
from leadscore.crm.tables import crm_states
from leadscore.crm.updates import parse_update
from leadscore.events import retention
from leadscore.events.partitions import month_after
from leadscore.events.retention import retain
from leadscore.events.store import EventStore
from leadscore.outbox.tables import outbox

US = 1_000_000
OLD = 1_700_000_000 * US
CUT = month_after(month_after(OLD))
NOW = CUT + 40 * 86_400 * US


def told(store: EventStore) -> list[str]:
    with store.reading() as connection:
        query = sa.select(crm_states.c.lead_id).order_by(crm_states.c.lead_id)
        return list(connection.execute(query).scalars())


def deliver_all(store: EventStore) -> None:
    with store.writing() as connection:
        connection.execute(sa.update(outbox).values(state="delivered", settled_at=NOW))


def test_retention_forgets_what_targets_were_told_of_leads_without_scores(
    store: EventStore, endpoint: WebhookEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Several pages of the table.
    monkeypatch.setattr(retention, "_ROWS", 3)
    score_leads(store, [(f"gone-{n}", 0.25, OLD) for n in range(8)])
    score_leads(store, [("again", 0.25, OLD), ("waits", 0.25, OLD)])
    choose_scores(store, endpoint.subscriber, no_models, lambda: OLD)
    with store.writing() as connection:
        others = outbox.c.stream != "waits"
        connection.execute(sa.update(outbox).where(others).values(state="delivered", settled_at=OLD))
    score_leads(store, [("again", 0.75, NOW), ("new", 0.5, NOW)])
    choose_scores(store, endpoint.subscriber, no_models, lambda: NOW)
    with store.reading() as connection:
        again = sa.select(outbox.c.payload).where(outbox.c.stream == "again").order_by(outbox.c.number)
        older, newer = [parse_update(text) for text in connection.execute(again).scalars()]
    assert len(told(store)) == 11

    retain(store, CUT, dry_run=True)
    assert len(told(store)) == 11
    retain(store, CUT)
    assert told(store) == ["again", "new", "waits"]
    with store.reading() as connection:
        stale = stale_updates(connection, endpoint.name, [older, newer])
    assert stale == {older.message_id(endpoint.name)}, "the fence of a lead that has scores holds"

    deliver_all(store)
    retain(store, CUT)
    assert told(store) == ["again", "new"]


def test_a_lead_that_comes_again_is_told_anew(
    store: EventStore, endpoint: WebhookEndpoint, inbox: Inbox
) -> None:
    del inbox
    score_leads(store, [("lead", 0.25, OLD)])
    choose_scores(store, endpoint.subscriber, no_models, lambda: OLD)
    deliver_all(store)
    retain(store, CUT)
    assert told(store) == []
    score_leads(store, [("lead", 0.25, NOW)])
    assert choose_scores(store, endpoint.subscriber, no_models, lambda: NOW).chosen == 1
