"""What a target is told of a lead, and which of two scores is the newer one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from leadscore.documents import DECODE_ERRORS
from leadscore.errors import BadInputError

# What a mapping may name. Two of them are of the scoring, not of the lead: a score that says the same under
# another id has not changed.
UPDATE_FIELDS: Final = (
    "score",
    "probability",
    "grade",
    "reasons",
    "model_name",
    "model_version",
    "prediction_id",
    "scored_at",
)
_OF_THE_SCORING: Final = frozenset(("prediction_id", "scored_at"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreUpdate:
    """What one target is to know of one lead.

    Attributes:
        lead_id: The CRM's own record id (the contract's id column); never an e-mail address.
        prediction_id: Of the score.
        model_name: What scored it.
        model_version: Its version.
        probability: Of conversion.
        score: 0 to 100.
        grade: `A` to `D`.
        reasons: Sentences, strongest first; may be empty.
        scored_at: Microseconds since the epoch.
    """

    lead_id: str
    prediction_id: str
    model_name: str
    model_version: str
    probability: float
    score: float
    grade: str
    reasons: tuple[str, ...]
    scored_at: int

    @property
    def sequence(self) -> tuple[int, str]:
        """What orders the scores of a lead: the greater one is the newer."""
        return self.scored_at, self.prediction_id

    @property
    def sequence_text(self) -> str:
        """The same as text of one length up to the id, so that texts compare as the sequences do."""
        return f"{self.scored_at:020d}/{self.prediction_id}"

    def message_id(self, target: str) -> str:
        """What makes it one message to a target, however often it is put in."""
        return f"{target}/{self.lead_id}/{self.prediction_id}"

    def digest(self, fields: Iterable[str]) -> str:
        """Of what a target is told: the same while these fields say the same."""
        said = {name: getattr(self, name) for name in sorted(set(fields) - _OF_THE_SCORING)}
        return hashlib.sha256(msgspec.json.encode(said)).hexdigest()[:32]

    def to_json(self) -> str:
        """As a message's payload."""
        return msgspec.json.encode(self).decode()


def parse_update(payload: str) -> ScoreUpdate:
    """Read a message's payload.

    Raises:
        BadInputError: It is none.
    """
    try:
        return msgspec.json.decode(payload, type=ScoreUpdate)
    except DECODE_ERRORS as error:
        raise BadInputError(
            f"A message is no score update: {error}.",
            hint="Was it put in by a newer release? Upgrade the monitor.",
        ) from error
