"""A message through each channel that says it is a test: whether people would be told."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from leadscore.alerts.messages import AlertMessage
from leadscore.outbox.attempts import SendResult
from leadscore.outbox.queue import OutboxMessage
from leadscore.outbox.worker import Sender


def try_channels(channels: Mapping[str, Sender], now: int) -> dict[str, SendResult]:
    """Send a test through each channel, at once and past the outbox, so that its answer can be shown.

    Args:
        channels: By name.
        now: Microseconds since the epoch; makes the test one of its own.
    """
    message = AlertMessage(
        kind="test",
        episode_id=f"test-{now}",
        rule="LeadScoringTest",
        severity="info",
        title="[test] LeadScore can reach you here. Nothing is wrong.",
        lines=("Somebody has run `leadscore alerts test`. There is nothing to do.",),
    )
    payload = msgspec.json.encode(message).decode()
    return {
        name: sender.send(OutboxMessage(f"test-{now}/{name}", name, f"test-{now}", payload))
        for name, sender in channels.items()
    }
