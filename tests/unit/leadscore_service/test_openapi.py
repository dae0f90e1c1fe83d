"""The OpenAPI document: valid, and its examples are accepted by the service it describes."""

from __future__ import annotations

import pytest
from jsonschema_rs import Draft202012Validator, meta

from leadscore.contract.plain import ID_MAX, ID_MIN
from leadscore_service.metrics_layout import ENDPOINTS


@pytest.fixture
def document(service) -> dict:
    return service.ask("GET", "/openapi.json").json


def test_it_is_openapi_3_1_and_every_reference_leads_somewhere(document) -> None:
    assert document["openapi"].startswith("3.1")
    schemas = document["components"]["schemas"]
    for schema in schemas.values():
        meta.validate(schema)

    def walk(node) -> None:
        if isinstance(node, dict):
            reference = node.get("$ref")
            if reference is not None:
                assert reference.removeprefix("#/components/schemas/") in schemas
            for child in node.values():
                walk(child)
        elif isinstance(node, list):
            for child in node:
                walk(child)

    walk(document)


def test_an_outcome_names_any_lead_that_may_be_scored(document) -> None:
    schemas = document["components"]["schemas"]
    whole = [
        kind for kind in schemas["Outcome"]["properties"]["lead_id"]["anyOf"] if kind["type"] == "integer"
    ]
    assert whole == [{"type": "integer", "minimum": ID_MIN, "maximum": ID_MAX}]


def test_it_describes_the_endpoints_for_callers(document) -> None:
    undescribed = set(ENDPOINTS) - set(document["paths"])
    assert undescribed == {"other", "/metrics", "/openapi.json"}


def test_every_example_is_accepted_and_the_reply_is_as_described(service, document) -> None:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            example = (
                operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")
            )
            answer = service.post(path, example) if method == "post" else service.ask("GET", path)
            described = operation["responses"][str(answer.status)]["content"]["application/json"]["schema"]
            schema = {**described, "components": document["components"]}
            Draft202012Validator(schema).validate(answer.json)
            assert answer.status < 300


def test_errors_are_as_described(service, document, lead) -> None:
    schema = {"$ref": "#/components/schemas/ErrorBody", "components": document["components"]}
    for body in (b"{", {**lead, "budget": "x"}):
        answer = service.post("/score-lead", body)
        Draft202012Validator(schema).validate(answer.json)
        assert str(answer.status) in document["paths"]["/score-lead"]["post"]["responses"]


def test_it_asks_for_a_key_only_where_one_is_needed(make_service, document) -> None:
    assert document["security"] == []
    keyed = make_service(LEADSCORE_AUTH="keys").start().ask("GET", "/openapi.json").json
    assert keyed["security"]
    assert keyed["paths"]["/readyz"]["get"]["security"] == []
