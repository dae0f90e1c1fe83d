"""`POST /score-lead`: the hot path.

Everything between the request's body and the reply's is one synchronous function of a few
tens of microseconds: it holds no lock, starts no task and allocates little. What only
some requests need is a branch that others skip.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from leadscore.events.records import Prediction
from leadscore_service.engine import Engine
from leadscore_service.http import IDEMPOTENCY_KEY, REQUEST_ID, Reply, Request
from leadscore_service.idempotency import RecordedReply
from leadscore_service.idempotent_reply import NewId, answer_once
from leadscore_service.media import JSON_TYPE, body_of, media_type
from leadscore_service.parameters import reasons_of
from leadscore_service.replies import ScoredLead

_JSON_TYPES = (JSON_TYPE,)
_encode = msgspec.json.Encoder().encode


async def score_lead(engine: Engine, request: Request) -> Reply:
    """Score one lead, log the prediction, answer with score, grade and the reasons that were asked for."""
    media_type(request, _JSON_TYPES)
    settings = engine.settings
    reasons = reasons_of(request.query, settings.reasons, len(engine.about.profile.features))
    body = await body_of(request, settings.max_lead_bytes, settings.body_timeout_s, engine.room)
    if request.headers[IDEMPOTENCY_KEY] is None:
        # Without a request id of the caller's, request and prediction share one.
        own = request.headers[REQUEST_ID] is None
        prediction_id = request.request_id if own else engine.ids.next(request.now_ns)
        return Reply(200, _score(engine, request, body, reasons, prediction_id, engine.log_prediction))

    async def compute(new_id: NewId) -> RecordedReply:
        records: list[Prediction] = []
        return RecordedReply(
            JSON_TYPE.decode(), _score(engine, request, body, reasons, new_id(), records.append), records
        )

    return await answer_once(engine, request, body, compute)


def _score(
    engine: Engine,
    request: Request,
    body: bytes,
    reasons: int,
    prediction_id: str,
    log: Callable[[Prediction], None],
) -> bytes:
    """The reply's body, after its prediction was logged; what cannot be logged is not counted as scored."""
    model, about = engine.model, engine.about
    lead = model.decoder.decode(body)
    score = model.score_row(lead.row)
    request.lead_id = lead.lead_id
    request.prediction_id = prediction_id
    reply = ScoredLead(
        lead.lead_id,
        score.score,
        score.probability,
        score.grade,
        model.explain_row(lead.row, reasons) if reasons else (),
        lead.warnings,
        about.name,
        about.version,
        about.contract_version,
        prediction_id,
    )
    encoded = _encode(reply)
    scored = (score.probability, score.score, score.grade)
    log(engine.prediction(request, prediction_id, lead.lead_id, scored, lead.row.tobytes(), lead.warnings))
    engine.bins.note(lead.row, score.probability)
    if lead.warnings:
        engine.counters.warn(lead.warnings)
    return encoded
