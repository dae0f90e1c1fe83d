"""Outcomes that a CRM sends: Standard Webhooks in, outcomes with their source out.

`POST /crm/outcomes` at the monitor. A message is taken when it is signed with one of the secrets in the file
that `LEADSCORE_OUTCOME_SECRETS` names (one a line, so that a new one can be added before the old one goes).
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from leadscore.crm.outcomes import outcome_news
from leadscore.crm.signing import read_secret, verify_webhook
from leadscore.documents import DECODE_ERRORS, decode_json
from leadscore.errors import BadInputError, LeadScoreError, UnauthorizedError
from leadscore.events.records import Outcome, now_us
from leadscore.events.store import EventStore
from leadscore.events.windows import to_microseconds
from leadscore.files import read_file

_log = logging.getLogger(__name__)
SECRETS_VARIABLE: Final = "LEADSCORE_OUTCOME_SECRETS"
_SOURCE: Final = "webhook"
_MOST: Final = 1_000
_LIMIT: Final = 64 * 1024
_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f]+$")]
_Value = Annotated[float, msgspec.Meta(ge=-1e300, le=1e300)]
_Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class _Told(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    lead_id: _Id
    converted: bool
    prediction_id: _Id | None = None
    value: _Value | None = None
    occurred_at: _Moment | None = None


class _Message(msgspec.Struct, frozen=True, kw_only=True):
    type: Literal["lead.outcome"]
    data: _Told | list[_Told]


class OutcomeReceiver:
    """Takes outcomes.

    Args:
        store: Where they go.
        environ: Names the file of secrets.
        now: Microseconds since the epoch.
    """

    def __init__(
        self, store: EventStore, environ: Mapping[str, str] = os.environ, now: Callable[[], int] = now_us
    ) -> None:
        self._store = store
        self._environ = environ
        self._now = now

    def __call__(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, str]:
        """Take a message; status and text of the reply. 5xx asks the sender to send it again."""
        now = self._now()
        try:
            outcomes = read_message(body, self._verify(body, headers, now), now)
            done = self._store.append((), outcome_news(self._store, outcomes, _says_the_same))
        except UnauthorizedError as error:
            return 401, str(error)
        except BadInputError as error:
            return 400, str(error)
        except LeadScoreError as error:
            _log.error("outcomes not taken", extra={"fields": {"error": error.message}})
            return 503, "The outcomes could not be stored; send them again."
        return 200, f"{done.outcomes} new of {len(outcomes)}"

    def _verify(self, body: bytes, headers: Mapping[str, str], now: int) -> str:
        """The message's id."""
        path = self._environ.get(SECRETS_VARIABLE)
        if not path:
            raise UnauthorizedError(f"No secret is set: {SECRETS_VARIABLE} names a file of them.")
        try:
            lines = read_file(Path(path), _LIMIT).decode("utf-8", "replace").split()
        except OSError as error:
            _log.error("secrets of outcomes not read", extra={"fields": {"error": error.strerror or ""}})
            raise UnauthorizedError("The secrets cannot be read.") from error
        last = UnauthorizedError("The file of secrets is empty.")
        for line in lines:
            try:
                return verify_webhook(read_secret(line), headers, body, now / 1e6)
            except (UnauthorizedError, BadInputError) as error:
                last = UnauthorizedError(error.message, hint=error.hint)
        raise last


def read_message(body: bytes, message_id: str, now: int) -> list[Outcome]:
    """The outcomes of a message; sent again, it has the same ids.

    The message is part of them: a lead that was won, lost and won again is told three times, the first and
    the last time in the same words.

    Args:
        body: `{"type": "lead.outcome", "data": …}`: one outcome or up to 1,000.
        message_id: Its `webhook-id`.
        now: Microseconds since the epoch, for times that are not told.

    Raises:
        BadInputError: It is none; the message says what is wrong.
    """
    hint = 'Send {"type": "lead.outcome", "data": {"lead_id": "00Q…", "converted": true}}.'
    try:
        found = decode_json(body, _Message).data
    except DECODE_ERRORS as error:
        raise BadInputError(f"That is no message of outcomes: {error}.", hint=hint) from error
    told = found if isinstance(found, list) else [found]
    if len(told) > _MOST:
        raise BadInputError(f"At most {_MOST} outcomes are taken in a message.")
    outcomes: list[Outcome] = []
    for number, each in enumerate(told):
        occurred = None if each.occurred_at is None else to_microseconds(each.occurred_at)
        if occurred is not None and not 0 <= occurred <= now:
            place = f"data[{number}].occurred_at" if isinstance(found, list) else "data.occurred_at"
            raise BadInputError(
                f"`{place}` lies before 1970 or in the future; nothing of the message was stored.",
                hint="Correct or leave it out, and send the message again.",
            )
        # Of several of a lead in one message the last counts.
        recorded = now - len(told) + 1 + number
        outcomes.append(
            Outcome(
                outcome_id=_outcome_id(message_id, number, each),
                lead_id=each.lead_id,
                prediction_id=each.prediction_id,
                converted=each.converted,
                value=each.value,
                occurred_at=recorded if occurred is None else occurred,
                recorded_at=recorded,
                source=_SOURCE,
            )
        )
    return outcomes


def _outcome_id(message_id: str, number: int, told: _Told) -> str:
    said = msgspec.json.encode((message_id, number, told))
    return hashlib.sha256(said).hexdigest()[:32]


def _says_the_same(outcome: Outcome, known: Outcome) -> bool:
    """Whether an outcome adds nothing to a known one; a time that was not told is none of its own."""
    told = outcome.occurred_at != outcome.recorded_at
    return (outcome.converted, outcome.value, outcome.prediction_id) == (
        known.converted, known.value, known.prediction_id,
    ) and not (told and outcome.occurred_at != known.occurred_at)  # fmt: skip
