"""`POST /score-lead`: the hot path.

Everything between the request's body and the reply's is one synchronous function of a few tens of microseconds:
it holds no lock, starts no task and allocates little. What only some requests need is a branch that others skip.
"""

from __future__ import annotations

import msgspec

from lead_scoring.engine import Engine
from lead_scoring.http import IDEMPOTENCY_KEY, REQUEST_ID, Reply, Request
from lead_scoring.idempotency import Answer
from lead_scoring.media import JSON_TYPE, body_of, media_type
from lead_scoring.once import NewId, answer_once
from lead_scoring.parameters import reasons_of
from lead_scoring.replies import ScoredLead
from leadscore.contract.lead import DecodedLead, LeadWarning
from leadscore.events.records import API_SOURCE, Prediction
from leadscore.scoring.model import Score

_JSON_TYPES = (JSON_TYPE,)
_encode = msgspec.json.Encoder().encode


async def score_lead(engine: Engine, request: Request) -> Reply:
    """Score one lead, log the prediction, answer with score, grade and the reasons that were asked for."""
    media_type(request, _JSON_TYPES)
    settings = engine.settings
    reasons = reasons_of(request.query, settings.reasons, len(engine.about.profile.features))
    body = await body_of(request, settings.max_lead_bytes, settings.body_timeout_s, engine.room)
    if request.headers[IDEMPOTENCY_KEY] is not None:
        return await _score_once(engine, request, body, reasons)
    lead = engine.model.decoder.decode(body)
    # Without a request id of the caller's, request and prediction share one.
    own = request.headers[REQUEST_ID] is None
    prediction_id = request.request_id if own else engine.ids.next(request.now_ns)
    score = engine.model.score_row(lead.row)
    reply, record = _conclude(engine, request, lead, score, reasons, prediction_id)
    engine.log_prediction(record)
    _count(engine, lead, score)
    return Reply(200, reply)


async def _score_once(engine: Engine, request: Request, body: bytes, reasons: int) -> Reply:
    async def compute(new_id: NewId) -> Answer:
        lead = engine.model.decoder.decode(body)
        score = engine.model.score_row(lead.row)
        reply, record = _conclude(engine, request, lead, score, reasons, new_id())
        _count(engine, lead, score)
        return Answer(JSON_TYPE.decode(), reply, [record])

    return await answer_once(engine, request, body, compute)


def _conclude(
    engine: Engine, request: Request, lead: DecodedLead, score: Score, reasons: int, prediction_id: str
) -> tuple[bytes, Prediction]:
    request.lead_id = lead.lead_id
    request.prediction_id = prediction_id
    about = engine.about
    reply = ScoredLead(
        lead.lead_id,
        score.score,
        score.probability,
        score.grade,
        engine.model.explain_row(lead.row, reasons) if reasons else (),
        lead.warnings,
        about.name,
        about.version,
        about.contract_version,
        prediction_id,
    )
    answer = _encode(reply)
    # Last of all: its latency is that of everything but the write itself.
    record = Prediction(
        prediction_id,
        lead.lead_id,
        about.name,
        about.version,
        about.contract_version,
        engine.settings.role,
        request.now_ns // 1000,
        score.probability,
        score.score,
        score.grade,
        lead.row.tobytes(),
        request.request_id,
        flags_of(lead.warnings),
        request.latency_us(),
        API_SOURCE,
    )
    return answer, record


def _count(engine: Engine, lead: DecodedLead, score: Score) -> None:
    engine.bins.note(lead.row, score.probability)
    if lead.warnings:
        engine.counters.warn(lead.warnings)


def flags_of(warnings: tuple[LeadWarning, ...]) -> tuple[str, ...]:
    """Warnings as the event log keeps them: `field:reason`."""
    return tuple(f"{warning.field}:{warning.reason}" for warning in warnings) if warnings else ()
