"""Leads to send: made from the service's own contract (its OpenAPI document), or read from a table.

Nothing here names a column: types, ranges and categories come from the JSON Schema of the lead.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]
Lead = dict[str, Json]

MISSING_SHARE = 0.05


class LeadSourceError(ValueError):
    """The service's document or the table cannot be made into leads; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Field:
    """One property of the lead's schema, reduced to what a generator needs.

    `choices` come from `enum` or from our own `x-categories`; `low` and `high` from
    `minimum` and `maximum` or from `x-expected-range`, since values outside a contract's
    range are scored too and so are no constraint.
    """

    name: str
    types: tuple[str, ...]
    required: bool
    choices: tuple[Json, ...] = ()
    low: float | None = None
    high: float | None = None

    @property
    def opaque(self) -> bool:
        """Free text, such as the time column: the service ignores it or would not understand ours."""
        return not self.choices and not {"number", "integer", "boolean"} & set(self.types)


@dataclass(frozen=True, slots=True)
class LeadSchema:
    """The fields of a lead; `id_field` is the one that identifies it."""

    id_field: str
    fields: tuple[Field, ...]

    @property
    def names(self) -> frozenset[str]:
        """Every name that a request may carry."""
        return frozenset(field.name for field in self.fields)


def lead_schema(document: Mapping[str, Json]) -> LeadSchema:
    """Read the request schema of `POST /score-lead` from an OpenAPI 3.1 document.

    Raises:
        LeadSourceError: The document has no such request, or no id field.
    """
    try:
        operation = _mapping(_mapping(_mapping(document["paths"])["/score-lead"])["post"])
        content = _mapping(_mapping(_resolve(document, operation["requestBody"]))["content"])
        schema = _mapping(_resolve(document, _mapping(content["application/json"])["schema"]))
        properties = _mapping(schema["properties"])
    except KeyError as error:
        raise LeadSourceError(
            f"The OpenAPI document does not describe POST /score-lead: no {error}."
        ) from error
    required = set(cast("Sequence[str]", schema.get("required", ())))
    fields = tuple(
        _field(name, _mapping(_resolve(document, raw)), required=name in required)
        for name, raw in properties.items()
    )
    ids = [field.name for field in fields if {"string", "integer"} <= set(field.types)]
    if len(ids) != 1:
        raise LeadSourceError(
            f"The lead's schema has {len(ids)} fields that may be text or an integer (its id)."
        )
    return LeadSchema(ids[0], fields)


def generated(schema: LeadSchema, seed: int) -> Iterator[Lead]:
    """Endless leads with fresh ids, drawn evenly from ranges and categories.

    Optional fields are sometimes null.
    """
    source = random.Random(seed)
    for number in _count():
        lead: Lead = {}
        for field in schema.fields:
            if field.name == schema.id_field:
                lead[field.name] = f"load-{seed}-{number}"
            elif not field.required and (field.opaque or source.random() < MISSING_SHARE):
                continue
            else:
                lead[field.name] = _value(field, source)
        yield lead


def from_table(schema: LeadSchema, path: Path, *, limit: int = 50_000) -> Iterator[Lead]:
    """Endless leads from the first `limit` rows of a table or JSON-lines file, over and over.

    Columns that the service does not know (the outcome, above all) are left out, and so are nulls.

    Raises:
        LeadSourceError: The file has no rows, or none of the contract's columns.
    """
    rows = (
        _json_lines(path, limit) if path.suffix in {".jsonl", ".ndjson"} else _table_rows(path, schema, limit)
    )
    leads: list[Lead] = [
        {name: value for name, value in row.items() if name in schema.names and value is not None}
        for row in rows
    ]
    leads = [lead for lead in leads if schema.id_field in lead]
    if not leads:
        raise LeadSourceError(f"{path} has no row with the column {schema.id_field!r}.")
    for number in _count():
        yield leads[number % len(leads)]


def _json_lines(path: Path, limit: int) -> list[Lead]:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line, _ in zip(lines, range(limit), strict=False) if line.strip()]


def _table_rows(path: Path, schema: LeadSchema, limit: int) -> list[Lead]:
    # Arrow is heavy, and only this path needs it.
    from leadscore.data.tables import read_table  # noqa: PLC0415

    table = read_table(path)
    # A time column would arrive as a datetime, which JSON has no form for; the service ignores it anyway.
    opaque = {field.name for field in schema.fields if field.opaque and field.name != schema.id_field}
    known = [name for name in table.column_names if name in schema.names - opaque]
    return cast("list[Lead]", table.select(known).slice(0, limit).to_pylist())


def _field(name: str, raw: Mapping[str, Json], *, required: bool) -> Field:
    options = [raw, *(_mapping(o) for o in (*_sequence(raw.get("anyOf")), *_sequence(raw.get("oneOf"))))]
    types: list[str] = []
    choices: list[Json] = []
    for option in options:
        stated = option.get("type")
        types += [stated] if isinstance(stated, str) else [str(t) for t in _sequence(stated)]
        listed = (*_sequence(option.get("enum")), *_sequence(option.get("x-categories")))
        choices += [value for value in listed if value is not None]
    expected = (*_sequence(raw.get("x-expected-range")), None, None)
    return Field(
        name=name,
        types=tuple(types),
        required=required,
        choices=tuple(choices),
        low=_number(expected[0]) if _number(expected[0]) is not None else _first(options, "minimum"),
        high=_number(expected[1]) if _number(expected[1]) is not None else _first(options, "maximum"),
    )


def _value(field: Field, source: random.Random) -> Json:
    if field.choices:
        return source.choice(field.choices)
    if "boolean" in field.types:
        return source.random() < 0.5
    low, high = _span(field)
    if "number" in field.types:
        return round(source.uniform(low, high), 3)
    if "integer" in field.types:
        return source.randint(math.ceil(low), math.floor(high))
    return "text"


def _span(field: Field) -> tuple[float, float]:
    """The stated range; an open end is a hundred away from the other."""
    if field.low is None and field.high is None:
        return 0.0, 100.0
    if field.low is None:
        return cast("float", field.high) - 100.0, cast("float", field.high)
    return field.low, field.low + 100.0 if field.high is None else field.high


def _first(options: Sequence[Mapping[str, Json]], key: str) -> float | None:
    return next((number for option in options if (number := _number(option.get(key))) is not None), None)


def _number(value: Json) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _resolve(document: Mapping[str, Json], node: Json) -> Json:
    """Follow a local `$ref` (RFC 6901 JSON Pointer)."""
    if isinstance(node, Mapping) and isinstance(node.get("$ref"), str):
        target: Json = document
        for part in str(node["$ref"]).removeprefix("#/").split("/"):
            target = _mapping(target)[part.replace("~1", "/").replace("~0", "~")]
        return _resolve(document, target)
    return node


def _mapping(node: Json) -> Mapping[str, Json]:
    if not isinstance(node, Mapping):
        raise LeadSourceError(f"The OpenAPI document has {type(node).__name__} where an object belongs.")
    return node


def _sequence(node: Json) -> Sequence[Json]:
    return node if isinstance(node, Sequence) and not isinstance(node, str) else ()


def _count() -> Iterator[int]:
    number = 0
    while True:
        yield number
        number += 1
