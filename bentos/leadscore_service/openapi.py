"""`/openapi.json` (OpenAPI 3.1), made from the model's own contract, so that it cannot disagree with it."""

from __future__ import annotations

from typing import cast

import msgspec

from leadscore import __version__
from leadscore.contract import FeatureContract
from leadscore.contract.openapi import OPENAPI_ID, example_lead, lead_schema
from leadscore.contract.plain import ID_MAX, ID_MIN
from leadscore_service.errors import ErrorBody
from leadscore_service.explain import MAX_SAMPLES, MAX_SEED, MAX_TOP, MIN_SAMPLES
from leadscore_service.media import ARROW_TYPE, JSON_TYPE
from leadscore_service.metrics_export import ServedModel
from leadscore_service.outcomes import MAX_OUTCOMES, VALUE_MAX
from leadscore_service.replies import (
    Explanation,
    Index,
    Liveness,
    OutcomesTaken,
    Readiness,
    ScoredLead,
    ScoredLeads,
)
from leadscore_service.settings import Settings

OpenApiObject = dict[str, object]

_MODELS = (ScoredLead, ScoredLeads, Explanation, OutcomesTaken, Readiness, Liveness, Index, ErrorBody)
# What callers should send; more is understood (see docs/api.md).
_TIME = (
    r"^(197[1-9]|19[89][0-9]|20[0-9]{2})-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])"
    r"(T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{3})?(Z|[+-](0[0-9]|1[0-3]):[0-5][0-9])?)?$"
)
_WORDS = {
    400: "The body or a parameter is not understood.",
    401: "No API key, an unknown or an expired one.",
    403: "The API key lacks the scope.",
    408: "The body took too long to arrive.",
    413: "The body or the number of leads is over the limit.",
    415: "The media type is not taken.",
    422: "One entry in `fields` per bad field; or an Idempotency-Key used for another request.",
    503: "Not ready, stopping, or the spool takes nothing; see Retry-After.",
}
_POSTED = (400, 401, 403, 408, 413, 415, 422, 503)


def openapi_document(contract: FeatureContract, about: ServedModel, settings: Settings) -> bytes:
    """The document, encoded."""
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": f"LeadScore: {contract.name}",
                "version": __version__,
                "description": "Scores leads, says why, and takes what became of them.",
                "x-model": f"{about.name}/{about.version}",
                "x-contract-version": about.contract_version,
            },
            "paths": _paths(contract, settings),
            "components": {
                "schemas": {**_schemas(), "Lead": lead_schema(contract), "Outcome": _outcome()},
                "securitySchemes": {
                    "bearer": {"type": "http", "scheme": "bearer"},
                    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                },
            },
            "security": [{"bearer": []}, {"header": []}] if settings.auth == "keys" else [],
        }
    )


def _schemas() -> OpenApiObject:
    _, components = msgspec.json.schema_components(_MODELS, ref_template="#/components/schemas/{name}")
    return cast("OpenApiObject", components)


def _outcome() -> OpenApiObject:
    moment = {"type": ["string", "null"], "pattern": _TIME}
    return {
        "type": "object",
        "description": (
            "What became of a lead. The same outcome sent twice is stored once; the latest correction counts."
        ),
        "properties": {
            "lead_id": {
                "anyOf": [
                    {"type": "string", **OPENAPI_ID},
                    {"type": "integer", "minimum": ID_MIN, "maximum": ID_MAX},
                ]
            },
            "converted": {"type": "boolean"},
            "prediction_id": {"type": ["string", "null"], **OPENAPI_ID},
            "value": {"type": ["number", "null"], "minimum": -VALUE_MAX, "maximum": VALUE_MAX},
            "occurred_at": {**moment, "description": "When it happened; now, if left out."},
            "recorded_at": {**moment, "description": "When it was noted; now, if left out."},
        },
        "required": ["lead_id", "converted"],
        "additionalProperties": False,
        "examples": [
            {"lead_id": "L-1001", "converted": True, "value": 1200.0, "occurred_at": "2026-05-04T10:00:00Z"}
        ],
    }


def _paths(contract: FeatureContract, settings: Settings) -> OpenApiObject:
    lead = _ref("Lead")
    example = example_lead(contract)
    reasons = _parameter("reasons", "Signed top factors per lead.", 0, 10_000)
    arrow: OpenApiObject = {ARROW_TYPE.decode(): {}}
    many: OpenApiObject = {
        "type": "object",
        "properties": {"leads": {"type": "array", "items": lead, "maxItems": settings.max_bulk_rows}},
        "required": ["leads"],
        "additionalProperties": False,
    }
    wish: OpenApiObject = {
        "type": "object",
        "properties": {
            "lead": lead,
            "method": {"enum": ["shap", "lime"]},
            "top": {"type": ["integer", "null"], "minimum": 1, "maximum": MAX_TOP},
            "samples": {"type": "integer", "minimum": MIN_SAMPLES, "maximum": MAX_SAMPLES},
            "seed": {"type": "integer", "minimum": 0, "maximum": MAX_SEED},
        },
        "required": ["lead"],
        "additionalProperties": False,
    }
    one_outcome = _ref("Outcome")
    outcomes: OpenApiObject = {
        "anyOf": [one_outcome, {"type": "array", "items": one_outcome, "maxItems": MAX_OUTCOMES}]
    }
    return {
        "/score-lead": {
            "post": _post(
                "score_lead",
                "Score one lead.",
                _body(lead, example),
                _json("ScoredLead"),
                parameters=[reasons, _idempotency_key()],
            )
        },
        "/score-leads": {
            "post": _post(
                "score_leads",
                "Score many leads, all or none.",
                _body(many, {"leads": [example]}, arrow),
                {**_json("ScoredLeads"), **arrow},
                parameters=[reasons, _idempotency_key()],
            )
        },
        "/explain-prediction": {
            "post": _post(
                "explain_prediction",
                "Say why a lead gets its score. Parameters in the query belong to a bare lead.",
                _body({"anyOf": [lead, wish]}, {"lead": example, "method": "shap", "top": 5}),
                _json("Explanation"),
                parameters=[
                    {"name": "method", "in": "query", "schema": {"enum": ["shap", "lime"]}},
                    _parameter("top", "Factors at most.", 1, MAX_TOP),
                    _parameter("samples", "Neighbours (lime).", MIN_SAMPLES, MAX_SAMPLES),
                    _parameter("seed", "Of the neighbours (lime).", 0, MAX_SEED),
                ],
            )
        },
        "/outcomes": {
            "post": _post(
                "take_outcomes",
                "Take what became of leads.",
                _body(outcomes, {"lead_id": "L-1001", "converted": True}),
                _json("OutcomesTaken"),
                status=202,
            )
        },
        "/readyz": {
            "get": _get("readyz", "Whether scores can be had.", _json("Readiness"), _json("Readiness"))
        },
        "/livez": {"get": _get("livez", "Whether the worker answers.", _json("Liveness"))},
        "/": {"get": _get("index", "What there is.", _json("Index"))},
    }


def _post(
    name: str,
    summary: str,
    body: OpenApiObject,
    content: OpenApiObject,
    *,
    status: int = 200,
    parameters: list[OpenApiObject] | None = None,
) -> OpenApiObject:
    errors = {str(code): {"description": _WORDS[code], "content": _json("ErrorBody")} for code in _POSTED}
    return {
        "operationId": name,
        "summary": summary,
        "parameters": parameters or [],
        "requestBody": body,
        "responses": {str(status): {"description": "Done.", "content": content}, **errors},
    }


def _get(
    name: str, summary: str, content: OpenApiObject, unavailable: OpenApiObject | None = None
) -> OpenApiObject:
    responses: OpenApiObject = {"200": {"description": "Done.", "content": content}}
    if unavailable is not None:
        responses["503"] = {"description": _WORDS[503], "content": unavailable}
    return {"operationId": name, "summary": summary, "security": [], "responses": responses}


def _body(schema: OpenApiObject, example: OpenApiObject, more: OpenApiObject | None = None) -> OpenApiObject:
    return {
        "required": True,
        "content": {JSON_TYPE.decode(): {"schema": schema, "example": example}, **(more or {})},
    }


def _json(name: str) -> OpenApiObject:
    return {JSON_TYPE.decode(): {"schema": _ref(name)}}


def _ref(name: str) -> OpenApiObject:
    return {"$ref": f"#/components/schemas/{name}"}


def _parameter(name: str, description: str, low: int, high: int) -> OpenApiObject:
    schema: OpenApiObject = {"type": "integer", "minimum": low, "maximum": high}
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _idempotency_key() -> OpenApiObject:
    return {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "The same key and request get the same reply, on any worker, for a day.",
        "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
    }
