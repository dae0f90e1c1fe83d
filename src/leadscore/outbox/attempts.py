"""What becomes of a message after an attempt to deliver it. Pure: times and chance are given.

Back-off doubles from a few seconds to a quarter of an hour, with jitter over its upper half, so that what
failed together is not tried together. The end is an age, not a number of attempts: a receiver that is away
over a night gets everything in the morning, and after a day a person decides (a dead letter).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, Literal

from leadscore.outbox.tables import SECOND_US, OutboxState

FIRST_SECONDS: Final = 5.0
LONGEST_SECONDS: Final = 900.0
GIVE_UP_SECONDS: Final = 86_400.0
# A receiver may ask for a pause of any length; beyond a message's own end there is nothing to wait for.
_LONGEST_PAUSE_SECONDS: Final = GIVE_UP_SECONDS
# The same document is answered the same next time.
_CONTENT: Final = frozenset((400, 406, 411, 412, 413, 414, 415, 416, 417, 422, 428, 431))

SendOutcome = Literal["accepted", "refused", "failed", "uncertain"]


@dataclass(frozen=True, slots=True)
class SendResult:
    """How one attempt ended.

    Attributes:
        outcome: `accepted`: the receiver has it. `refused`: it will never take this message. `failed`: it has
            not taken it now. `uncertain`: nobody knows whether it has it.
        detail: In a few words, without secrets or content.
        status: Of HTTP or SMTP; None if there was no answer.
        retry_after: Seconds that the receiver asks to be left alone; None: it did not say.
    """

    outcome: SendOutcome
    detail: str
    status: int | None = None
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class NextAttempt:
    """What to write down.

    Attributes:
        state: Of the message from now on.
        at: When to try again, microseconds since the epoch; None: not at all.
        channel_until: Nothing is sent to the whole channel before; None: it did not ask.
    """

    state: OutboxState
    at: int | None = None
    channel_until: int | None = None


def next_attempt(
    result: SendResult, attempt: int, now: int, *, give_up_at: int, chance: float
) -> NextAttempt:
    """Decide what becomes of a message.

    Args:
        result: Of the attempt.
        attempt: Its number, from 1.
        now: Microseconds since the epoch.
        give_up_at: When the message is given up, microseconds since the epoch.
        chance: Uniform in 0 … 1, for the jitter.
    """
    if result.outcome == "accepted":
        return NextAttempt("delivered")
    if result.outcome == "refused":
        return NextAttempt("dead")
    pause = 0.0 if result.retry_after is None else min(max(result.retry_after, 0.0), _LONGEST_PAUSE_SECONDS)
    longest = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(attempt - 1, 30))
    wait = max(pause, longest * (0.5 + chance / 2))
    until = now + round(pause * SECOND_US) if pause else None
    at = now + round(wait * SECOND_US)
    if at <= give_up_at:
        return NextAttempt("waiting", at, until)
    # One last attempt at the end, whatever the back-off would be; none after it.
    if now < give_up_at and (until is None or until <= give_up_at):
        return NextAttempt("waiting", give_up_at, until)
    return NextAttempt("dead", None, until)


def result_of_status(status: int, retry_after: str | None, now: float) -> SendResult:
    """What an HTTP status says about a message.

    What is wrong with the message (`_CONTENT`) stays wrong. Everything else can be put right while it waits:
    a key, an address that has moved (redirects are not followed), what stands in between. A gateway that gave
    up waiting (502, 504) may have passed it on.

    Args:
        status: Of the reply.
        retry_after: The header `Retry-After`: seconds or a date; None if there was none.
        now: Seconds since the epoch.
    """
    asked = parse_retry_after(retry_after, now)
    detail = f"HTTP {status}"
    if 200 <= status < 300:
        return SendResult("accepted", detail, status)
    if status in {502, 504}:
        return SendResult("uncertain", detail, status, asked)
    if status in _CONTENT:
        return SendResult("refused", detail, status)
    moved = ": redirects are not followed, give the new address" if 300 <= status < 400 else ""
    return SendResult("failed", detail + moved, status, asked)


def parse_retry_after(text: str | None, now: float) -> float | None:
    """Seconds that a header `Retry-After` asks for (RFC 9110, 10.2.3); None if there is none to be read."""
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.replace(".", "", 1).isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.fromtimestamp(now, UTC)).total_seconds())
