"""The contract as JSON Schema.

Of one lead (for the OpenAPI 3.1 document), and of the contract file itself.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Collection
from typing import cast

import msgspec

from leadscore.contract.categories import categories_of
from leadscore.contract.model import Boolean, Categorical, Feature, FeatureContract, Numeric, Target
from leadscore.contract.plain import BLANKS, ID_MAX, ID_MIN
from leadscore.contract.words import allowed

OPENAPI_TIME_PATTERN = (
    r"^[0-9]{4}-[0-9]{2}(-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]{1,9})?)?"
    r"(Z|[+-][0-9]{2}(:?[0-9]{2})?)?)?)?$"
)

# "    name: text", and the lines that continue it.
_ATTRIBUTE = re.compile(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", re.MULTILINE)

Schema = dict[str, object]

# Of an id that is text, beside its type.
OPENAPI_ID: Schema = {
    "minLength": 1,
    "maxLength": 256,
    "pattern": rf"^[^\u0000-\u001f\u007f]*[^\u0000-\u001f\u007f{BLANKS}][^\u0000-\u001f\u007f]*$",
}


def lead_schema(contract: FeatureContract) -> Schema:
    """JSON Schema (2020-12) of a request lead: valid if and only if `LeadDecoder` accepts the lead.

    Ranges and categories are told in `x-expected-range` and `x-categories`, not as constraints:
    values outside them are scored and flagged.
    """
    properties: dict[str, Schema] = {
        contract.id: {
            "description": "Identifies the lead.",
            "anyOf": [
                {"type": "string", **OPENAPI_ID},
                {"type": "integer", "minimum": ID_MIN, "maximum": ID_MAX},
            ],
        }
    }
    if contract.time is not None:
        properties[contract.time] = {
            "description": "When the lead was created; accepted and ignored.",
            "type": ["string", "null"],
            "pattern": OPENAPI_TIME_PATTERN,
        }
    for feature in contract.features:
        properties[feature.name] = _feature_schema(feature)
    schema: Schema = {
        "type": "object",
        "title": f"Lead of {contract.name}",
        "properties": properties,
        "required": [contract.id, *(f.name for f in contract.features if f.required)],
        "examples": [example_lead(contract)],
    }
    outcomes = [
        c for c in (contract.target.column, contract.target.known_at, contract.value) if c is not None
    ]
    if contract.unknown_fields == "refuse":
        schema["additionalProperties"] = False
    else:
        schema["not"] = {"anyOf": [{"required": [column]} for column in outcomes]}
    return schema


def example_lead(contract: FeatureContract) -> dict[str, object]:
    """A valid lead within every range, for documentation and smoke tests."""
    lead: dict[str, object] = {contract.id: "L-1001"}
    if contract.time is not None:
        lead[contract.time] = "2026-03-31T09:30:00Z"
    return lead | {feature.name: _example(feature) for feature in contract.features}


def json_schema() -> Schema:
    """JSON Schema of contract files (`leadscore contract schema` prints it).

    Descriptions come from the types' docstrings, so that an editor shows them.
    """
    (reference,), definitions = msgspec.json.schema_components([FeatureContract])
    for kind in (FeatureContract, Target, Numeric, Categorical, Boolean):
        _describe(kind, definitions[kind.__name__])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "LeadScore feature contract",
        **reference,
        "$defs": definitions,
    }


def _describe(kind: type[msgspec.Struct], definition: Schema) -> None:
    """Move the docstring's attributes to the properties they describe."""
    properties = cast("dict[str, Schema]", definition["properties"])
    names = {field.name: field.encode_name for field in msgspec.structs.fields(kind)}
    for documented in (*kind.__bases__, kind):
        summary, _, attributes = (inspect.getdoc(documented) or "").partition("\n\nAttributes:\n")
        definition["description"] = " ".join(summary.split())
        for name, text in _ATTRIBUTE.findall(attributes):
            if name in names:
                properties[names[name]]["description"] = " ".join(text.split())


def _feature_schema(feature: Feature) -> Schema:
    kind = _json_type(feature)
    described = ". ".join(part for part in (feature.description.rstrip("."), allowed(feature)) if part)
    schema: Schema = {
        "description": f"{described[0].upper()}{described[1:]}.",
        "type": kind if feature.required else [kind, "null"],
        "examples": [_example(feature)],
    }
    if isinstance(feature, Categorical):
        schema["x-categories"] = list(feature.categories)
        if feature.required:
            schema["not"] = {"pattern": _pattern_of(categories_of(feature).missing)}
    elif isinstance(feature, Numeric):
        schema["x-expected-range"] = list(feature.range)
        if feature.unit:
            schema["x-unit"] = feature.unit
    if feature.sensitive:
        schema["x-sensitive"] = True
    return schema


def _pattern_of(words: Collection[str]) -> str:
    """A pattern, as JSON Schema has them, of these texts with any spaces around them."""
    listed = "|".join(re.sub(r"[\\^$.*+?()\[\]{}|/]", r"\\\g<0>", word) for word in sorted(words))
    return rf"^\s*(?:{listed})\s*$"


def _json_type(feature: Feature) -> str:
    match feature:
        case Numeric():
            return "integer" if feature.integer else "number"
        case Categorical():
            return "string"
        case Boolean():
            return "boolean"


def _example(feature: Feature) -> float | int | str | bool:
    match feature:
        case Numeric():
            return _example_number(feature)
        case Categorical():
            return feature.categories[0]
        case Boolean():
            return True


def _example_number(feature: Numeric) -> float | int:
    low, high = feature.range
    if low is None:
        low = 0.0 if high is None or high >= 0 else high - 1.0
    if high is None:
        high = low + 100.0
    third = low + (high - low) / 3.0
    if feature.integer:
        return min(max(round(third), math.ceil(low)), max(math.floor(high), math.ceil(low)))
    return min(max(float(f"{third:.3g}"), low), high)
