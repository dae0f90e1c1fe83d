"""The webhook route from a score to a receiver, on both databases, with what receivers do."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Callable

import pytest
import sqlalchemy as sa
from tests.integration.crm.conftest import LOCAL, WHO, Inbox, posted
from tests.support.scored_leads import no_models, score_leads

from leadscore.crm.choose import choose_scores
from leadscore.crm.endpoints import (
    SecretKey,
    WebhookEndpoint,
    find_endpoint,
    rotate_secret,
    set_endpoint_state,
)
from leadscore.crm.fence import note_written
from leadscore.crm.signing import verify_webhook
from leadscore.crm.status import crm_dead_letters, read_target_statuses, resend_scores
from leadscore.crm.tables import crm_states
from leadscore.crm.targets import CrmTargets
from leadscore.crm.updates import parse_update
from leadscore.crm.webhook import EndpointGuard, WebhookSender
from leadscore.crm.webhook_http import webhook_connections
from leadscore.events.store import EventStore
from leadscore.outbox.tables import outbox
from leadscore.outbox.worker import DeliveryRound, deliver_due

US = 1_000_000
NOW = 1_900_000_000 * US
DAY = 86_400 * US


class Clock:
    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> int:
        return self.at


def deliver(store: EventStore, key: SecretKey, now: Callable[[], int]) -> DeliveryRound:
    with store.reading() as connection:
        endpoint = find_endpoint(connection, "crm-one")
    if endpoint.state != "on":
        return DeliveryRound()
    with webhook_connections(LOCAL) as connections:
        sender = WebhookSender(endpoint, key, connections, now)
        return deliver_due(store, endpoint.channel, sender, now=now, guard=EndpointGuard(endpoint))


def choose(store: EventStore, endpoint: WebhookEndpoint, now: Callable[[], int] = lambda: NOW) -> int:
    return choose_scores(store, endpoint.subscriber, no_models, now).chosen


def test_a_changed_score_arrives_signed(
    store: EventStore, key: SecretKey, inbox: Inbox, endpoint: WebhookEndpoint
) -> None:
    score_leads(store, [("lead ü\n1", 0.25, 1_800_000_000_123_456)])
    choose(store, endpoint)
    assert deliver(store, key, lambda: NOW) == DeliveryRound(delivered=1)
    ((headers, body),) = inbox.got
    name = verify_webhook(key.secret("crm-one", 1), headers, body, NOW / US)
    assert name.startswith("msg_")
    assert name.isascii()
    said = json.loads(body)
    assert said["type"] == "lead.scored"
    assert said["timestamp"] == "2027-01-15T08:00:00.123456+00:00"
    assert said["data"]["lead_id"] == "lead ü\n1"
    assert said["data"]["sequence"] == "00001800000000123456/p-lead ü\n1-1800000000123456"
    assert (said["data"]["score"], said["data"]["grade"]) == (25.0, "B")


def test_every_attempt_has_the_same_id_and_body_and_its_own_time(
    store: EventStore, key: SecretKey, inbox: Inbox, endpoint: WebhookEndpoint
) -> None:
    score_leads(store, [("a", 0.25, 10)])
    choose(store, endpoint)
    clock = Clock()
    inbox.answers = [(500, {}), (504, {}), (200, {})]
    for _ in range(3):
        deliver(store, key, clock)
        clock.at += 3_600 * US
    (first, second, third) = inbox.got
    assert first[1] == second[1] == third[1]
    assert len({h["webhook-id"] for h, _ in inbox.got}) == 1
    assert len({h["webhook-signature"] for h, _ in inbox.got}) == 3
    with store.reading() as connection:
        (status,) = read_target_statuses(connection, CrmTargets(), 0)
    assert (status.leads, status.backlog.delivered, status.backlog.uncertain) == (1, 1, 1)
    assert status.failing_since is None


def test_both_secrets_sign_for_a_day_after_a_rotation(
    store: EventStore, key: SecretKey, inbox: Inbox, endpoint: WebhookEndpoint
) -> None:
    rotate_secret(store, key, "crm-one", WHO, NOW)
    for at, known in ((NOW + 1, {1, 2}), (NOW + DAY + US, {2})):
        score_leads(store, [("a", at % 97 / 97, at)])
        choose(store, endpoint)
        deliver(store, key, lambda at=at: at)
        headers, body = inbox.got[-1]
        signed = len(headers["webhook-signature"].split())
        assert signed == len(known)
        for generation in known:
            verify_webhook(key.secret("crm-one", generation), headers, body, at / US)


def test_gone_switches_the_endpoint_off_and_keeps_what_waits(
    store: EventStore, key: SecretKey, inbox: Inbox, endpoint: WebhookEndpoint
) -> None:
    score_leads(store, [("a", 0.25, 10), ("b", 0.25, 10)])
    choose(store, endpoint)
    inbox.answers = [(410, {})]
    clock = Clock()
    deliver(store, key, clock)
    assert len(inbox.got) == 1
    with store.reading() as connection:
        (status,) = read_target_statuses(connection, CrmTargets(), NOW)
        (later,) = read_target_statuses(connection, CrmTargets(), NOW + DAY)
    assert (status.held_until, status.held_why) == (NOW + 5 * US, "HTTP 410")
    assert (later.held_until, later.held_why) == (None, "")
    assert (status.state, status.backlog.waiting, status.backlog.dead) == ("disabled", 2, 0)
    assert "410" in status.reason
    clock.at += 3_600 * US
    assert deliver(store, key, clock) == DeliveryRound()
    set_endpoint_state(store, "crm-one", "on", WHO, clock.at)
    assert deliver(store, key, clock).delivered == 2


@pytest.mark.parametrize("status", [301, 302, 400, 401, 404, 422, 500, 503])
def test_whatever_is_no_acceptance_is_tried_for_three_days_and_then_given_up(
    store: EventStore, key: SecretKey, inbox: Inbox, endpoint: WebhookEndpoint, status: int
) -> None:
    elsewhere = {"Location": inbox.url.replace("hooks", "elsewhere")} if status < 400 else {}
    inbox.answers = [(status, elsewhere)] * 2_000
    score_leads(store, [("a", 0.25, 10)])
    clock = Clock()
    choose(store, endpoint, clock)
    for _ in range(4 * 4):
        deliver(store, key, clock)
        clock.at += 6 * 3_600 * US
    with store.reading() as connection:
        (letter,) = crm_dead_letters(connection)
    assert str(status) in letter.last_error
    assert 3 * DAY - 7 * 3_600 * US < letter.settled_at - NOW <= 3 * DAY + 6 * 3_600 * US
    asked = len(inbox.got)
    inbox.answers = []
    with store.writing() as connection:
        assert resend_scores(connection, [letter.number], "", clock.at) == 1
    assert deliver(store, key, clock).delivered == 1
    assert len(inbox.got) == asked + 1


def test_a_dead_letter_older_than_what_the_receiver_has_is_passed_over(
    store: EventStore, key: SecretKey, inbox: Inbox, endpoint: WebhookEndpoint
) -> None:
    score_leads(store, [("a", 0.25, 10)])
    choose(store, endpoint)
    with store.writing() as connection:
        connection.execute(sa.update(outbox).values(state="dead", settled_at=NOW))
    score_leads(store, [("a", 0.75, 20)])
    choose(store, endpoint)
    assert deliver(store, key, lambda: NOW).delivered == 1
    with store.writing() as connection:
        assert resend_scores(connection, (), "crm-one", NOW) == 1
    assert deliver(store, key, lambda: NOW) == DeliveryRound()
    assert [json.loads(body)["data"]["score"] for _, body in inbox.got] == [75.0]
    with store.reading() as connection:
        assert crm_dead_letters(connection) == []


def test_what_was_written_never_goes_back(store: EventStore, endpoint: WebhookEndpoint) -> None:
    score_leads(store, [("a", 0.25, 10)])
    choose(store, endpoint)
    with store.writing() as connection:
        update = parse_update(connection.execute(sa.select(outbox.c.payload)).scalar_one())
        newer = dataclasses.replace(update, scored_at=20)
        note_written(connection, "crm-one", [newer])
        note_written(connection, "crm-one", [update])
    with store.reading() as connection:
        assert connection.execute(sa.select(crm_states.c.written_at)).scalar_one() == 20


def test_a_receiver_that_is_away_is_left_alone_for_longer_and_longer(
    store: EventStore, key: SecretKey, inbox: Inbox, endpoint: WebhookEndpoint
) -> None:
    inbox.usual = 503
    score_leads(store, [(f"L{n}", 0.25, 10) for n in range(60)])
    clock = Clock()
    choose(store, endpoint, clock)
    for _ in range(360):
        deliver(store, key, clock)
        clock.at += 10 * US
    # Of an hour; each of the messages alone would have been tried some ten times.
    assert len(inbox.got) < 20
    inbox.usual = 200
    clock.at += 900 * US
    while deliver(store, key, clock).delivered:
        clock.at += US
    clock.at += 3_600 * US
    deliver(store, key, clock)
    assert len({headers["webhook-id"] for headers, _ in inbox.got}) == 60


def test_one_message_that_always_fails_holds_up_no_other(
    store: EventStore, key: SecretKey, inbox: Inbox, endpoint: WebhookEndpoint
) -> None:
    score_leads(store, [("bad", 0.25, 10)])
    choose(store, endpoint)
    clock = Clock()
    for n in range(10):
        score_leads(store, [(f"L{n}", 0.25, 10)])
        choose(store, endpoint, clock)
        inbox.answers = [(500, {})] if n == 0 else []
        deliver(store, key, clock)
        with store.writing() as connection:
            connection.execute(
                sa.update(outbox).where(outbox.c.stream == "bad").values(next_at=clock.at + DAY)
            )
        clock.at += US
    assert len(inbox.got) == 11


def test_another_key_sends_nothing_that_nobody_can_verify(
    store: EventStore, key: SecretKey, inbox: Inbox, endpoint: WebhookEndpoint
) -> None:
    score_leads(store, [("a", 0.25, 10)])
    choose(store, endpoint)
    other = SecretKey(b"x" * 32)
    assert deliver(store, other, lambda: NOW).waiting == 1
    assert inbox.got == []
    rotate_secret(store, other, "crm-one", WHO, NOW)
    clock = Clock()
    clock.at += 60 * US
    assert deliver(store, other, clock).delivered == 1


# --- The request itself -----------------------------------------------------------------------------------


def test_a_private_address_is_refused_before_anything_is_sent(inbox: Inbox) -> None:
    found = posted(inbox.url, allowed=())
    assert found.outcome == "failed"
    assert "private network (127.0.0.1)" in found.detail
    assert inbox.got == []


def test_the_address_that_was_checked_is_the_one_that_is_connected_to(inbox: Inbox) -> None:
    port = inbox.url.rpartition(":")[2].partition("/")[0]
    asked: list[str] = []

    def rebinding(host: str, port: int) -> list[str]:
        # A public address for whoever checks, a private one for whoever connects a moment later.
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    found = posted(f"http://crm.example:{port}/hooks", look_up=rebinding)
    assert (found.outcome, asked) == ("accepted", ["crm.example"])
    assert inbox.got[0][0]["host"] == f"crm.example:{port}"
    public_and_private = ["93.184.216.34", "10.0.0.1"]
    mixed = posted(f"http://crm.example:{port}/hooks", allowed=(), look_up=lambda *_: public_and_private)
    assert "10.0.0.1" in mixed.detail


def test_a_receiver_that_hangs_is_given_up(inbox: Inbox) -> None:
    inbox.before_answer = threading.Event()
    found = posted(inbox.url, seconds=0.3)
    assert (found.outcome, found.detail) == ("uncertain", "no answer (ReadTimeout)")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/", "http://no-such-host.invalid/", "ftp://crm.example/", "x"]
)
def test_where_nobody_is_nothing_was_sent(url: str) -> None:
    assert posted(url, seconds=2).outcome == "failed"
