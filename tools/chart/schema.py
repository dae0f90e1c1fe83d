"""values.schema.json: what Helm checks before it renders anything."""

from __future__ import annotations

import json
from typing import Final

from tools.chart.values import Plain, Value

_TYPES: Final[tuple[tuple[type, str], ...]] = (
    (bool, "boolean"),
    (int, "integer"),
    (float, "number"),
    (str, "string"),
    (list, "array"),
    (dict, "object"),
)


def schema_of(values: tuple[Value, ...]) -> str:
    """The schema as JSON text; unknown keys are refused wherever the keys are documented."""
    document = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the lead-scoring chart",
        **_object(values),
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _object(values: tuple[Value, ...], *, root: bool = True) -> dict[str, object]:
    properties: dict[str, object] = {value.path[-1]: _property(value) for value in values}
    if root:
        # Helm adds it to the values of a subchart.
        properties["global"] = {
            "type": "object",
            "description": "Values shared with other charts; not used here.",
        }
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _property(value: Value) -> dict[str, object]:
    if value.children:
        return {"description": value.sentence, **_object(value.children, root=False)}
    return {"description": value.sentence, "type": _type_of(value.default), **value.keywords}


def _type_of(default: Plain) -> str:
    return next((name for kind, name in _TYPES if isinstance(default, kind)), "null")
