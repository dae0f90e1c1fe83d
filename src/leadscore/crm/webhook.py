"""The webhook route: one changed score, one signed message to one endpoint."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec
import sqlalchemy as sa

from leadscore.crm.endpoints import KEY_VARIABLE, SecretKey, WebhookEndpoint, note_attempts
from leadscore.crm.fence import SequenceFence
from leadscore.crm.signing import WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP, sign_webhook
from leadscore.crm.updates import ScoreUpdate, parse_update
from leadscore.crm.webhook_http import post_webhook
from leadscore.errors import BadInputError
from leadscore.outbox.attempts import FIRST_SECONDS, LONGEST_SECONDS, SendResult
from leadscore.outbox.http import HttpConnections
from leadscore.outbox.queue import OutboxMessage, hold_channel
from leadscore.outbox.tables import SECOND_US
from leadscore.outbox.worker import MessageEnd

EVENT_TYPE: Final = "lead.scored"
# Of one endpoint: what a killed process may leave to be sent again with the same id, and requests under way.
WEBHOOK_PAGE: Final = 64
WEBHOOKS_AT_ONCE: Final = 4
_GONE: Final = 410


class WebhookScore(msgspec.Struct, frozen=True, kw_only=True):
    """What a receiver is told of a lead; fields are only ever added.

    Attributes:
        lead_id: The CRM's record id.
        prediction_id: Of the score.
        model_name: What scored it.
        model_version: Its version.
        probability: Of conversion.
        score: 0 to 100.
        grade: `A` to `D`.
        reasons: Sentences, strongest first.
        scored_at: RFC 3339, UTC.
        sequence: Of two scores of a lead, the one with the greater text is the newer.
    """

    lead_id: str
    prediction_id: str
    model_name: str
    model_version: str
    probability: float
    score: float
    grade: str
    reasons: tuple[str, ...]
    scored_at: str
    sequence: str


class WebhookBody(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a message, as Standard Webhooks advises.

    Attributes:
        type: `lead.scored`.
        timestamp: When the lead was scored.
        data: The score.
    """

    type: str
    timestamp: str
    data: WebhookScore


def webhook_body(update: ScoreUpdate) -> bytes:
    """The body for a score: the same bytes at each attempt."""
    at = datetime.fromtimestamp(update.scored_at / SECOND_US, UTC).isoformat(timespec="microseconds")
    score = WebhookScore(
        lead_id=update.lead_id,
        prediction_id=update.prediction_id,
        model_name=update.model_name,
        model_version=update.model_version,
        probability=update.probability,
        score=update.score,
        grade=update.grade,
        reasons=update.reasons,
        scored_at=at,
        sequence=update.sequence_text,
    )
    return msgspec.json.encode(WebhookBody(type=EVENT_TYPE, timestamp=at, data=score))


def webhook_id(message: OutboxMessage) -> str:
    """The header `webhook-id`: the same at each attempt, and without what only a body should say."""
    return f"msg_{hashlib.sha256(message.message_id.encode()).hexdigest()[:32]}"


class WebhookSender:
    """Sends to one endpoint.

    Args:
        endpoint: As it is now.
        key: What its secrets are derived from.
        connections: That it is sent over.
        now: Microseconds since the epoch.
    """

    pace_seconds = 0.0

    def __init__(
        self,
        endpoint: WebhookEndpoint,
        key: SecretKey,
        connections: HttpConnections,
        now: Callable[[], int],
    ) -> None:
        self._endpoint = endpoint
        self._key = key
        self._connections = connections
        self._now = now

    def send(self, message: OutboxMessage) -> SendResult:
        """Sign it anew and post it."""
        if self._key.mark != self._endpoint.key_mark:
            said = (
                f"the key of {KEY_VARIABLE} is not the one that the secret was made with: rotate the secret"
            )
            return SendResult("failed", said)
        try:
            body = webhook_body(parse_update(message.payload))
        except BadInputError as error:
            return SendResult("refused", error.message)
        now = self._now()
        name, seconds = webhook_id(message), now // SECOND_US
        headers = {
            WEBHOOK_ID: name,
            WEBHOOK_TIMESTAMP: str(seconds),
            WEBHOOK_SIGNATURE: sign_webhook(self._key.signing(self._endpoint, now), name, seconds, body),
        }
        return post_webhook(self._connections, self._endpoint.url, body, headers)


class EndpointGuard(SequenceFence):
    """The fence of an endpoint, which also keeps how the endpoint does.

    What fails at one message after the other is left alone for longer each time: the receiver is away. A
    message that fails alone holds up no other.
    """

    def __init__(self, endpoint: WebhookEndpoint) -> None:
        super().__init__(endpoint.name)
        self._endpoint = endpoint

    def note(self, connection: sa.Connection, ends: Sequence[MessageEnd], now: int) -> None:
        """Keep how attempts ended."""
        super().note(connection, ends, now)
        results = [result for _, result in ends]
        gone = any(result.status == _GONE for result in results)
        accepted = [result.outcome == "accepted" for result in results]
        failures = note_attempts(connection, self._endpoint.name, accepted, gone=gone, now=now)
        if failures > 1 or gone:
            wait = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(max(failures - 1, 0), 30))
            until = now + round(wait * SECOND_US)
            hold_channel(connection, self._endpoint.channel, until, results[-1].detail)
