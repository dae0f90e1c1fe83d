import json
from itertools import islice

import pytest
from loadtests.leads import LeadSourceError, from_table, generated, lead_schema

from leadscore.contract import openapi, parse_contract
from leadscore.contract.request import LeadDecoder

PROPERTIES = {
    "lead_id": {"type": ["string", "integer"]},
    "created_at": {"type": "string", "format": "date-time"},
    "budget": {"type": "number", "minimum": 100, "maximum": 200},
    "employees": {"type": ["integer", "null"], "minimum": 1, "maximum": 9},
    "source": {"anyOf": [{"type": "string", "enum": ["web", "fair"]}, {"type": "null"}]},
    "newsletter": {"type": "boolean"},
    "open_end": {"type": "number", "minimum": 1000},
}


def document(properties=PROPERTIES, *, by_reference=True):
    schema = {"type": "object", "required": ["lead_id", "budget"], "properties": properties}
    request = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/a~1b"}}}}
    if not by_reference:
        request["content"]["application/json"]["schema"] = schema
    return {
        "paths": {"/score-lead": {"post": {"requestBody": request}}},
        "components": {"schemas": {"a/b": schema}},
    }


@pytest.mark.parametrize("by_reference", [True, False])
def test_the_schema_is_read_inline_or_by_reference(by_reference):
    schema = lead_schema(document(by_reference=by_reference))

    assert schema.id_field == "lead_id"
    assert schema.names == set(PROPERTIES)


def test_generated_leads_stay_inside_ranges_and_categories():
    for lead in islice(generated(lead_schema(document()), seed=5), 500):
        assert 100 <= lead["budget"] <= 200
        assert lead.get("employees", 1) in range(1, 10)
        assert isinstance(lead.get("employees", 1), int)
        assert lead.get("source", "web") in {"web", "fair"}
        assert isinstance(lead.get("newsletter", True), bool)
        assert lead.get("open_end", 1000) >= 1000
        assert "created_at" not in lead


def test_generated_leads_have_fresh_ids_and_repeat_with_the_seed():
    schema = lead_schema(document())
    first, again = list(islice(generated(schema, 5), 100)), list(islice(generated(schema, 5), 100))

    assert first == again
    assert len({lead["lead_id"] for lead in first}) == 100


def test_required_fields_are_always_there_and_optional_ones_sometimes_missing():
    leads = list(islice(generated(lead_schema(document()), seed=5), 500))

    assert all("budget" in lead for lead in leads)
    assert 0 < sum("newsletter" not in lead for lead in leads) < 60


def test_leads_made_from_a_contracts_own_schema_are_accepted_without_a_warning():
    contract = parse_contract("""
        name: Leads
        id: lead
        time: created
        target: {column: won}
        features:
          - {type: numeric, name: budget, range: [10, 20], required: true}
          - {type: numeric, name: visits, range: [null, 5], integer: true}
          - {type: categorical, name: source, categories: [web, fair]}
          - {type: boolean, name: urgent, required: true}
    """)
    api = document()
    api["components"]["schemas"]["a/b"] = openapi.lead_schema(contract)
    decoder = LeadDecoder(contract)

    for lead in islice(generated(lead_schema(api), seed=5), 200):
        assert decoder.decode(json.dumps(lead).encode()).warnings == ()


def test_a_document_without_the_endpoint_is_refused():
    with pytest.raises(LeadSourceError, match="does not describe POST /score-lead"):
        lead_schema({"paths": {}})


def test_a_schema_without_an_id_is_refused():
    with pytest.raises(LeadSourceError, match="0 fields"):
        lead_schema(document({"budget": {"type": "number"}}))


def test_leads_from_json_lines_repeat_and_leave_out_what_the_service_does_not_take(tmp_path):
    path = tmp_path / "leads.jsonl"
    rows = [{"lead_id": "a", "budget": 1, "converted": 1}, {"lead_id": "b", "budget": None, "source": "web"}]
    path.write_text("\n".join(map(json.dumps, rows)))

    leads = list(islice(from_table(lead_schema(document()), path), 3))

    assert leads == [
        {"lead_id": "a", "budget": 1},
        {"lead_id": "b", "source": "web"},
        {"lead_id": "a", "budget": 1},
    ]


def test_a_table_without_the_id_column_is_refused(tmp_path):
    path = tmp_path / "leads.jsonl"
    path.write_text('{"budget": 1}\n')

    with pytest.raises(LeadSourceError, match="no row with the column 'lead_id'"):
        next(from_table(lead_schema(document()), path))
