"""Killed while it chooses and delivers, again and again: nothing is lost, doubles have the same id."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.integration.crm.conftest import LOCAL, Inbox
from tests.support.scored_leads import no_models, score_leads
from tests.support.waiting import wait_until

from leadscore.crm.choose import choose_scores
from leadscore.crm.endpoints import SecretKey, WebhookEndpoint
from leadscore.crm.status import read_target_statuses
from leadscore.crm.targets import CrmTargets
from leadscore.crm.webhook import WEBHOOK_PAGE, EndpointGuard, WebhookSender
from leadscore.crm.webhook_http import webhook_connections
from leadscore.events.store import EventStore
from leadscore.outbox.tables import outbox
from leadscore.outbox.worker import deliver_due
from leadscore.settings import Home

ROOT = Path(__file__).parents[3]
LEADS, KILLS = 40, 4


def test_killed_at_any_moment_every_lead_has_its_newest_score(
    store: EventStore, url: str, home: Home, inbox: Inbox, endpoint: WebhookEndpoint
) -> None:
    command = [sys.executable, "-m", "tests.integration.crm.sync_process", url, str(home.root)]

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})

    for kill in range(1, KILLS + 1):
        # Each time half of the leads have another score, which replaces what still waits.
        score_leads(store, [(f"L{n}", (kill + n) / 200, kill) for n in range(kill % 2, LEADS, 2)])
        process, enough = start(), len(inbox.got) + LEADS // 5
        wait_until(lambda enough=enough: len(inbox.got) >= enough, what="some delivered")
        process.kill()
        process.wait(20)
        # As if its lease had ended: nobody waits a minute in a test.
        with store.writing() as connection:
            connection.execute(sa.update(outbox).where(outbox.c.lease.is_not(None)).values(leased_until=0))

    def done() -> bool:
        with store.reading() as connection:
            (status,) = read_target_statuses(connection, CrmTargets(), 0)
        return status.backlog.waiting == 0 and status.leads == LEADS

    process = start()
    try:
        wait_until(done, what="everything delivered")
    finally:
        process.kill()
        process.wait(20)

    newest: dict[str, str] = {}
    ids: defaultdict[str, set[str]] = defaultdict(set)
    for headers, body in inbox.got:
        score = json.loads(body)["data"]
        ids[score["prediction_id"]].add(headers["webhook-id"])
        newest[score["lead_id"]] = max(newest.get(score["lead_id"], ""), score["sequence"])
    last = {f"L{n}": KILLS if n % 2 == KILLS % 2 else KILLS - 1 for n in range(LEADS)}
    assert newest == {lead: f"{at:020d}/p-{lead}-{at}" for lead, at in last.items()}
    assert all(len(known) == 1 for known in ids.values())
    with store.reading() as connection:
        (status,) = read_target_statuses(connection, CrmTargets(), 0)
    assert status.backlog.dead == 0
    assert len(inbox.got) - len(ids) <= KILLS * WEBHOOK_PAGE


class KilledError(Exception):
    """The process ends here."""


@pytest.mark.parametrize("place", ["before its commit", "after its commit"])
def test_killed_at_each_transaction_nothing_is_lost_and_a_double_has_the_same_id(
    store: EventStore,
    key: SecretKey,
    inbox: Inbox,
    endpoint: WebhookEndpoint,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
) -> None:
    writing, sender = EventStore.writing, WebhookSender(endpoint, key, webhook_connections(LOCAL), lambda: 50)

    def work() -> None:
        choose_scores(store, endpoint.subscriber, no_models, lambda: 50)
        deliver_due(store, endpoint.channel, sender, now=lambda: 50, guard=EndpointGuard(endpoint))

    for step in range(1, 9):
        score_leads(store, [("a", step / 10, step), ("b", step / 20, step)])
        done = 0

        @contextmanager
        def dies(self: EventStore, step: int = step) -> Iterator[sa.Connection]:
            nonlocal done
            done += 1
            with writing(self) as connection:
                yield connection
                if done == step and place == "before its commit":
                    raise KilledError
            if done == step:
                raise KilledError

        monkeypatch.setattr(EventStore, "writing", dies)
        try:
            work()
        except KilledError:
            pass
        else:
            # Choosing is one transaction, each delivery two, and the last claim finds nothing.
            assert step > 6
        monkeypatch.undo()
        with store.writing() as connection:
            connection.execute(sa.update(outbox).where(outbox.c.lease.is_not(None)).values(leased_until=0))
        work()
        with store.reading() as connection:
            (status,) = read_target_statuses(connection, CrmTargets(), 0)
        assert (status.backlog.waiting, status.backlog.dead) == (0, 0)
        arrived = [(h["webhook-id"], json.loads(body)["data"]) for h, body in inbox.got]
        assert {(s["lead_id"], s["scored_at"][-8:-6]) for _, s in arrived} >= {
            ("a", f"0{step}"),
            ("b", f"0{step}"),
        }
        assert len({name for name, _ in arrived}) == len({s["prediction_id"] for _, s in arrived})
