"""Standard Webhooks 1.0: how a message is signed, and how a receiver checks it.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Final

from leadscore.errors import BadInputError, UnauthorizedError

WEBHOOK_ID: Final = "webhook-id"
WEBHOOK_TIMESTAMP: Final = "webhook-timestamp"
WEBHOOK_SIGNATURE: Final = "webhook-signature"
_PREFIX: Final = "whsec_"
# As the specification advises: older ones may be somebody's recording.
_TOLERANCE_SECONDS: Final = 300
_LEAST_BYTES: Final = 24


def write_secret(key: bytes) -> str:
    """A key as people pass it on."""
    return _PREFIX + base64.b64encode(key).decode()


def read_secret(text: str) -> bytes:
    """The key of a secret.

    Raises:
        BadInputError: It is none, or too short to protect anything; the message does not repeat it.
    """
    try:
        key = base64.b64decode(text.strip().removeprefix(_PREFIX), validate=True)
    except ValueError:
        key = b""
    if len(key) < _LEAST_BYTES:
        raise BadInputError("That is no webhook secret.", hint="It is whsec_ and base64 of 24 bytes or more.")
    return key


def sign_webhook(keys: Sequence[bytes], message_id: str, seconds: int, body: bytes) -> str:
    """The header `webhook-signature`: one signature for each key that a receiver may know."""
    signed = f"{message_id}.{seconds}.".encode() + body
    found = (hmac.new(key, signed, hashlib.sha256).digest() for key in keys)
    return " ".join(f"v1,{base64.b64encode(each).decode()}" for each in found)


def verify_webhook(key: bytes, headers: Mapping[str, str], body: bytes, now: float) -> str:
    """The id of a message whose signature and time are right.

    Args:
        key: Of the secret.
        headers: With names in lower case.
        body: Exactly as it came.
        now: Seconds since the epoch.

    Raises:
        UnauthorizedError: It was not signed with this key, or too long ago.
    """
    message_id, stamp = headers.get(WEBHOOK_ID, ""), headers.get(WEBHOOK_TIMESTAMP, "")
    if not message_id or not (stamp.isascii() and stamp.isdigit()):
        raise UnauthorizedError("The headers webhook-id and webhook-timestamp are missing.")
    if abs(now - int(stamp)) > _TOLERANCE_SECONDS:
        raise UnauthorizedError("The message is from another time.", hint="Are the clocks right?")
    expected = sign_webhook([key], message_id, int(stamp), body).encode()
    given = headers.get(WEBHOOK_SIGNATURE, "").split()
    if not any(hmac.compare_digest(each.encode(), expected) for each in given):
        raise UnauthorizedError("The signature is not of this secret.", hint="Was the secret rotated?")
    return message_id
