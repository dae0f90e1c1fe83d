"""values.schema.json: what Helm checks before it renders anything."""

from __future__ import annotations

import json
from typing import Final

from tools.chart.errors import ValuesError
from tools.chart.values import Plain, Value

_TYPES: Final[tuple[tuple[type, str], ...]] = (
    (bool, "boolean"),
    (int, "integer"),
    (float, "number"),
    (str, "string"),
    (list, "array"),
    (dict, "object"),
)

# (minimum, exclusiveMinimum, maximum) of the numbers that there are.
_FRACTIONS: Final[dict[tuple[Plain, ...], str]] = {
    (0, None, None): r"^[0-9]+([.][0-9]+)?$",
    (1, None, None): r"^0*[1-9][0-9]*([.][0-9]+)?$",
    (None, 0, None): r"^([0-9]*[1-9][0-9]*([.][0-9]+)?|[0-9]+[.][0-9]*[1-9][0-9]*)$",
    (0, None, 1): r"^(0([.][0-9]+)?|1([.]0+)?)$",
    (None, 0, 1): r"^(0[.][0-9]*[1-9][0-9]*|1([.]0+)?)$",
}


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
    keywords = {"type": _type_of(value.default), **value.keywords}
    if keywords["type"] == "number":
        # `--set` hands a fraction over as text: bounds hold for numbers, the pattern holds the text to the
        # same ones.
        keywords |= {"type": ["number", "string"], "pattern": _fraction(value)}
    return {"description": value.sentence, **keywords}


def _fraction(value: Value) -> str:
    """The pattern of decimal numbers within a value's bounds."""
    bounds = tuple(value.keywords.get(key) for key in ("minimum", "exclusiveMinimum", "maximum"))
    if bounds not in _FRACTIONS:
        raise ValuesError(
            f"values.yaml, line {value.line}: {value.name} is a number with bounds that have no pattern yet.",
            hint="Add them to _FRACTIONS in tools/chart/schema.py.",
        )
    return _FRACTIONS[bounds]


def _type_of(default: Plain) -> str:
    return next((name for kind, name in _TYPES if isinstance(default, kind)), "null")
