"""Webhooks of a large night: changed scores into the outbox, and out of it to a receiver on this machine.

The store is SQLite and the receiver the tests' own, a process: what it takes bounds the rate.
"""

from __future__ import annotations

import time
from typing import Final

from tests.support.receiver import Receiver
from tests.support.scored_leads import no_models, score_leads

from benchmarks.bench import FULL, Bench, Suite
from benchmarks.row import Row
from leadscore.crm.choose import choose_scores
from leadscore.crm.endpoints import SecretKey, WebhookEndpoint, add_endpoint
from leadscore.crm.webhook import WEBHOOK_PAGE, WEBHOOKS_AT_ONCE, EndpointGuard, WebhookSender
from leadscore.crm.webhook_http import allowed_networks, webhook_connections
from leadscore.events.records import now_us
from leadscore.events.store import EventStore
from leadscore.identity.caller import Caller
from leadscore.outbox.worker import deliver_due

_AT_ONCE: Final = 5_000
_NAMES: Final = ("crm-outbox-rate", "crm-webhook-rate")


def _measure(bench: Bench, wanted: frozenset[str]) -> list[Row]:
    full = bench.effort.bulk_rows == FULL.bulk_rows
    few, many, seconds = (10_000, 1_000_000, 60.0) if full else (200, 1_000, 1.0)
    key = SecretKey(bytes(32))
    rates, filled = list[float](), 0.0
    with Receiver() as receiver:
        for count in (few, many):
            with EventStore(f"sqlite:///{bench.folder / f'webhooks-{count}.db'}") as store:
                bench.say(f"crm: {count:,} changed scores into the outbox")
                url = f"{receiver.url}/{count}"
                endpoint, _ = add_endpoint(store, key, f"night-{count}", url, Caller("key", "bench"), 1)
                filled = _fill(store, endpoint, count)
                bench.say(f"crm: webhooks, {count:,} wait")
                rates.append(_deliver(store, endpoint, key, seconds))
    rows = [
        Row(
            name="crm-outbox-rate",
            what=f"changed scores a second into the outbox, of a night of {many:,}",
            value=filled,
            unit="leads/s",
            goal=None,
            how="SQLite; without reasons, which take a model's time",
        ),
        Row(
            name="crm-webhook-rate",
            what=f"signed webhooks a second to one endpoint, while up to {many:,} wait",
            value=rates[1],
            unit="messages/s",
            goal=None,
            beside=f"while up to {few:,} wait: {rates[0]:,.0f}/s",
            how=f"SQLite, a receiver in Python on the same machine; pages of {WEBHOOK_PAGE}, "
            f"{WEBHOOKS_AT_ONCE} at once, {seconds:g} s",
        ),
    ]
    return [row for row in rows if row.name in wanted]


def _fill(store: EventStore, endpoint: WebhookEndpoint, count: int) -> float:
    for start in range(0, count, _AT_ONCE):
        numbers = range(start, min(count, start + _AT_ONCE))
        score_leads(store, [(f"lead-{n}", n % 100 / 100, 1_800_000_000_000_000 + n) for n in numbers])
    begin = time.perf_counter()
    while not choose_scores(store, endpoint.subscriber, no_models, now_us).complete:
        pass
    return count / (time.perf_counter() - begin)


def _deliver(store: EventStore, endpoint: WebhookEndpoint, key: SecretKey, seconds: float) -> float:
    allowed = allowed_networks({"LEADSCORE_WEBHOOK_NETWORKS": "127.0.0.0/8"})
    done, begin = 0, time.perf_counter()
    while time.perf_counter() - begin < seconds:
        with webhook_connections(allowed, kept=WEBHOOKS_AT_ONCE) as way:
            sender, guard = WebhookSender(endpoint, key, way, now_us), EndpointGuard(endpoint)
            found = deliver_due(
                store, endpoint.channel, sender, guard=guard, most=1_000, page=WEBHOOK_PAGE,
                at_once=WEBHOOKS_AT_ONCE,
            )  # fmt: skip
        assert found.waiting == found.dead == 0, "the receiver takes everything"
        done += found.delivered
        if not found.delivered:
            break
    return done / (time.perf_counter() - begin)


SUITES = (Suite(_NAMES, _measure),)
