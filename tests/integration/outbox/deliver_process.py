"""Deliver what waits for a channel, over and over, until killed: `STORE_URL RECEIVER_URL CHANNEL KEYED`."""

from __future__ import annotations

import sys
import time

from leadscore.events.store import EventStore
from leadscore.outbox.attempts import SendResult
from leadscore.outbox.http import HttpConnections
from leadscore.outbox.queue import OutboxMessage
from leadscore.outbox.worker import deliver_due


class Http:
    """A sender to the receiver's process."""

    pace_seconds = 0.0

    def __init__(self, url: str, *, keyed: bool) -> None:
        self._url = url
        self._keyed = keyed

    def send(self, message: OutboxMessage) -> SendResult:
        """Post it."""
        headers = {"Idempotency-Key": message.message_id} if self._keyed else {}
        with HttpConnections() as connections:
            return connections.post_json(self._url, message.payload.encode(), headers=headers)


if __name__ == "__main__":
    url, receiver, channel, keyed = sys.argv[1:]
    with EventStore(url) as store:
        print("ready", flush=True)  # noqa: T201 (how the test learns that it has begun)
        while True:
            deliver_due(store, channel, Http(receiver, keyed=keyed == "keyed"))
            time.sleep(0.01)
