"""One lead: every score that it was given, why, what became of it, and why its score changed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import sqlalchemy as sa

from leadscore.drift.verdict import as_utc
from leadscore.errors import NotFoundError
from leadscore.events.errors import DamagedRowError
from leadscore.events.records import SHADOW_ROLE, Prediction
from leadscore.events.rows import prediction_of
from leadscore.events.schema import predictions
from leadscore.events.store import EventStore
from leadscore.events.windows import decode_features
from leadscore.investigation.models import ModelShelf
from leadscore.scoring.model import ScoringModel
from leadscore.scoring.reasons import Reason
from leadscore.scoring.score_change import ScoreChange, ScoredRow, explain_change

# Of a lead that is scored every night, the newest are read.
MOST_ANSWERS: Final = 50
_REASONS: Final = 5
_ALIKE: Final = 5


@dataclass(frozen=True, slots=True)
class LeadAnswer:
    """One score that was given for the lead.

    Attributes:
        prediction_id: Of the record.
        model: Registered name.
        version: Its version.
        shadow: Whether it was computed on a copy: nobody was told.
        scored_at: When, UTC.
        probability: Chance of conversion.
        score: The same, 0 to 100.
        grade: A to D.
        warnings: `field:reason` for each flagged field.
        reasons: The strongest reasons, largest first; empty if they cannot be said.
        unexplained: Why they cannot.
    """

    prediction_id: str
    model: str
    version: str
    shadow: bool
    scored_at: datetime
    probability: float
    score: float
    grade: str
    warnings: tuple[str, ...]
    reasons: tuple[Reason, ...]
    unexplained: str


@dataclass(frozen=True, slots=True)
class LeadOutcome:
    """What was told about the lead.

    Attributes:
        converted: Whether it became a customer.
        value: Revenue; None if unknown.
        occurred_at: When it happened, UTC.
        recorded_at: When we were told, UTC.
        counts: Whether it is the newest word; earlier ones were corrected by it.
    """

    converted: bool
    value: float | None
    occurred_at: datetime
    recorded_at: datetime
    counts: bool


@dataclass(frozen=True, slots=True)
class LeadChange:
    """The way from one answer to the next.

    Attributes:
        before: The earlier prediction.
        after: The later one.
        change: Its parts; None if one of the two cannot be read again.
        unexplained: Why it cannot.
    """

    before: str
    after: str
    change: ScoreChange | None
    unexplained: str


@dataclass(frozen=True, slots=True)
class LeadHistory:
    """Everything that is stored of a lead.

    Attributes:
        lead_id: The caller's id.
        answers: Newest first.
        more: Older answers that were not read.
        outcomes: Newest word first.
        changes: Between answers that callers got from the same model, newest first.
    """

    lead_id: str
    answers: tuple[LeadAnswer, ...]
    more: int
    outcomes: tuple[LeadOutcome, ...]
    changes: tuple[LeadChange, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    prediction: Prediction
    scored: ScoredRow | None
    unexplained: str


def read_lead(store: EventStore, shelf: ModelShelf, lead_id: str, *, most: int = MOST_ANSWERS) -> LeadHistory:
    """Read a lead's story.

    Args:
        store: Event store.
        shelf: The models that answered; what cannot be opened leaves its answers without reasons.
        lead_id: The caller's id.
        most: Answers to read, newest first.

    Raises:
        NotFoundError: No prediction of such a lead is stored; the hint names leads of a similar id.
        UnavailableError: The store cannot be read.
    """
    wanted = predictions.c.lead_id == lead_id
    newest = sa.select(predictions).where(wanted)
    newest = newest.order_by(predictions.c.scored_at.desc(), predictions.c.prediction_id.desc()).limit(most)
    with store.reading() as connection:
        rows = connection.execute(newest).all()
        if not rows:
            raise _unknown(connection, lead_id)
        total = connection.execute(sa.select(sa.func.count()).where(wanted)).scalar_one()
    outcomes = tuple(
        LeadOutcome(o.converted, o.value, as_utc(o.occurred_at), as_utc(o.recorded_at), place == 0)
        for place, o in enumerate(store.outcomes_of(lead_id))
    )
    read = [_read(prediction_of(tuple(row)), shelf) for row in rows]
    return LeadHistory(
        lead_id=lead_id,
        answers=tuple(_answer(one) for one in read),
        more=total - len(rows),
        outcomes=outcomes,
        changes=_changes(read),
    )


def _unknown(connection: sa.Connection, lead_id: str) -> NotFoundError:
    stem = lead_id.strip()[: max(2, len(lead_id.strip()) - 2)]
    column = predictions.c.lead_id
    alike: list[str] = []
    if stem:
        # A range of the index; `LIKE` would read the table.
        query = sa.select(column).distinct().where(column >= stem, column < stem + "\U0010ffff")
        alike = list(connection.execute(query.order_by(column).limit(_ALIKE)).scalars())
    near = f" Leads with a similar id: {', '.join(alike)}." if alike else ""
    return NotFoundError(
        f"No score of a lead {lead_id!r} is stored.",
        hint=f"Compare the id with the CRM's, letter by letter.{near}"
        " A score of the last seconds may still be on its way, and old ones are removed after the time"
        " that was set for keeping them.",
    )


def _read(prediction: Prediction, shelf: ModelShelf) -> _Read:
    model, why = shelf.try_open(prediction.model_name, prediction.model_version)
    if model is None:
        return _Read(prediction, None, why)
    row, why = _row(prediction, model)
    if row is None:
        return _Read(prediction, None, why)
    return _Read(prediction, ScoredRow(prediction.model_version, model, row, prediction.probability), "")


def _row(prediction: Prediction, model: ScoringModel) -> tuple[np.ndarray | None, str]:
    try:
        return np.ascontiguousarray(decode_features([prediction.features], model.contract)[0]), ""
    except DamagedRowError as error:
        return None, error.message


def _answer(read: _Read) -> LeadAnswer:
    p, scored = read.prediction, read.scored
    return LeadAnswer(
        prediction_id=p.prediction_id,
        model=p.model_name,
        version=p.model_version,
        shadow=p.role == SHADOW_ROLE,
        scored_at=as_utc(p.scored_at),
        probability=p.probability,
        score=p.score,
        grade=p.grade,
        warnings=p.warnings,
        reasons=() if scored is None else scored.model.explain_row(scored.row, _REASONS),
        unexplained=read.unexplained,
    )


def _changes(read: list[_Read]) -> tuple[LeadChange, ...]:
    """Between neighbours of what callers were answered, model by model."""
    found: list[LeadChange] = []
    later: dict[str, _Read] = {}
    for earlier in read:
        if earlier.prediction.role == SHADOW_ROLE:
            continue
        name = earlier.prediction.model_name
        if name in later:
            found.append(_change(earlier, later[name]))
        later[name] = earlier
    return tuple(found)


def _change(before: _Read, after: _Read) -> LeadChange:
    ids = before.prediction.prediction_id, after.prediction.prediction_id
    if before.scored is None or after.scored is None:
        return LeadChange(*ids, None, before.unexplained or after.unexplained)
    return LeadChange(*ids, explain_change(before.scored, after.scored), "")
