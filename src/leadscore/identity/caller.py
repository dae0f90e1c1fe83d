"""The caller as one value, as it stands in predictions and evidence records."""

from __future__ import annotations

from typing import Final

import msgspec

from leadscore.errors import BadInputError

# How a caller is known.
KEY: Final = "key"
OIDC: Final = "oidc"
SERVICE_ACCOUNT: Final = "service-account"
SYSTEM: Final = "system"
ANONYMOUS: Final = "anonymous"


class Caller(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Who asked for something.

    New fields go to the end with a default, and `kind` is text rather than an enumeration:
    records of a newer release stay readable.

    Attributes:
        kind: How we know: `key` (an API key), `oidc` (an OpenID Connect token), `service-account`
            (a Kubernetes one) or `system` (a part of this system that acts by itself), or
            `anonymous` (nobody was asked who they are).
        name: The key's name, the token's subject, the account's `namespace:name`, the part's name; empty if
            anonymous.
        address: The client's IP address; empty if it is not known.
    """

    kind: str
    name: str
    address: str = ""


def checked_reason(reason: str, most: int) -> str:
    """The reason that somebody gives for what they do, without space around it.

    Args:
        reason: As it was given.
        most: Characters that it may have.

    Raises:
        BadInputError: It is none, says nothing, or is too long.
    """
    reason = reason.strip()
    if not any(character.isalnum() for character in reason):
        raise BadInputError(
            f"The reason says nothing: {reason[:40]!r}." if reason else "No reason was given.",
            hint="Say why in a few words: it is kept, and shown to whoever asks.",
        )
    if len(reason) > most:
        raise BadInputError(
            f"The reason has {len(reason):,} characters.", hint=f"Say why in at most {most:,} characters."
        )
    return reason
