"""`POST /score-leads`: many leads in one request, JSON or Arrow, all or nothing.

Runs on a thread of its own, so that single leads are answered meanwhile.
"""

from __future__ import annotations

from functools import partial

import msgspec
import numpy as np
import numpy.typing as npt

from leadscore.contract.lead import DecodedLeads
from leadscore.errors import BodyTooLargeError
from leadscore.events.records import Prediction
from leadscore.scoring.grades import GRADES, scores_of
from leadscore.scoring.reasons import Reason
from leadscore_service.engine import Engine
from leadscore_service.http import Reply, Request
from leadscore_service.idempotency import RecordedReply
from leadscore_service.idempotent_reply import NewId, answer_once
from leadscore_service.media import ARROW_TYPE, JSON_TYPE, body_of, media_type, wants_arrow
from leadscore_service.metrics_bins import Tally
from leadscore_service.parameters import parse_query, whole_number
from leadscore_service.replies import BulkResult, ScoredLeads

_TYPES = (JSON_TYPE, ARROW_TYPE)
# Exact reasons cost a fraction of a millisecond each.
_MAX_EXPLAINED = 1_000
_encode = msgspec.json.Encoder().encode


async def score_leads(engine: Engine, request: Request) -> Reply:
    """Score up to `max_bulk_rows` leads; one bad lead refuses the request, naming every bad field."""
    kind = media_type(request, _TYPES)
    given = parse_query(request.query, ("reasons",))
    reasons = min(whole_number(given, "reasons", 0, 0, 10_000), len(engine.about.profile.features))
    settings = engine.settings
    body = await body_of(request, settings.max_body_bytes, settings.body_timeout_s, engine.room)
    # Only now: a body that comes slowly must not keep others from the thread.
    with engine.heavy:
        return await _answer(engine, request, body, kind, reasons)


async def _answer(engine: Engine, request: Request, body: bytes, kind: bytes, reasons: int) -> Reply:
    async def compute(new_id: NewId) -> RecordedReply:
        job = partial(_score, engine, request, body, kind, reasons, new_id, as_arrow=wants_arrow(request))
        answer, leads, tally = await engine.heavy.run(job)
        engine.bins.add(tally)
        for warnings in filter(None, leads.warnings):
            engine.counters.warn(warnings)
        return answer

    return await answer_once(engine, request, body, compute)


def _score(
    engine: Engine, request: Request, body: bytes, kind: bytes, reasons: int, new_id: NewId, *, as_arrow: bool
) -> tuple[RecordedReply, DecodedLeads, Tally]:
    leads = _decode(engine, body, kind)
    if reasons and len(leads.lead_ids) > _MAX_EXPLAINED:
        raise BodyTooLargeError(
            f"Reasons are given for at most {_MAX_EXPLAINED} leads in one request.",
            hint="Send fewer leads, or leave `reasons` out.",
        )
    probabilities = engine.model.score_rows(leads.rows)
    grades = [GRADES[code] for code in engine.model.grades.codes(probabilities)]
    scores = zip(probabilities.tolist(), scores_of(probabilities).tolist(), grades, strict=True)
    records = [
        engine.prediction(
            request, new_id(), leads.lead_ids[i], score, leads.rows[i].tobytes(), leads.warnings[i]
        )
        for i, score in enumerate(scores)
    ]
    explained = _reasons(engine, leads.rows, reasons)
    if as_arrow:
        answer = RecordedReply(ARROW_TYPE.decode(), _arrow(leads, probabilities, records), records)
    else:
        results = [
            BulkResult(
                r.lead_id, r.score, r.probability, grades[i], explained[i], leads.warnings[i], r.prediction_id
            )
            for i, r in enumerate(records)
        ]
        about = engine.about
        reply = ScoredLeads(results, about.name, about.version, about.contract_version)
        answer = RecordedReply(JSON_TYPE.decode(), _encode(reply), records)
    return answer, leads, engine.bins.tally(leads.rows, probabilities)


def _decode(engine: Engine, body: bytes, kind: bytes) -> DecodedLeads:
    limit = engine.settings.max_bulk_rows
    decoder = engine.model.decoder
    if kind == JSON_TYPE:
        return decoder.decode_many(body, limit)
    # Imported by the first Arrow request: most deployments never get one.
    from leadscore_service.arrow import read_columns  # noqa: PLC0415

    return decoder.columns_to_rows(read_columns(body, limit, len(engine.model.contract.columns)))


def _reasons(engine: Engine, rows: npt.NDArray[np.float32], top: int) -> list[tuple[Reason, ...]]:
    if not top:
        return [()] * len(rows)
    explainer = engine.model.explainer
    return [
        explainer.reasons(row, values, top)
        for row, values in zip(rows, engine.model.kernel.shapley_many(rows), strict=True)
    ]


def _arrow(
    leads: DecodedLeads,
    probabilities: npt.NDArray[np.float64],
    records: list[Prediction],
) -> bytes:
    from leadscore_service.arrow import write_columns  # noqa: PLC0415

    columns: dict[str, list[str] | npt.NDArray[np.float64]] = {
        "lead_id": leads.lead_ids,
        "score": scores_of(probabilities),
        "probability": probabilities,
        "grade": [record.grade for record in records],
        "warnings": [";".join(record.warnings) for record in records],
        "prediction_id": [record.prediction_id for record in records],
        "model_version": [record.model_version for record in records],
    }
    return write_columns(columns, len(records))
