"""Strict JSON: one document, UTF-8, bounded depth, duplicate keys kept visible (RFC 8259, RFC 7493)."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass

from leadscore.contract.words import NotFinite
from leadscore.errors import MalformedBodyError

MAX_JSON_DEPTH = 16

_BYTE_ORDER_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
# Possessive, and content with an unclosed string: linear on every input.
_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
# Longer than any float64; int() itself refuses more than 4,300 digits.
_MAX_INTEGER_DIGITS = 400


@dataclass(frozen=True, slots=True)
class JsonObject:
    """A JSON object: the last value of each key, and the keys that came more than once."""

    values: dict[str, object]
    duplicates: tuple[str, ...]


def parse_strict(body: bytes) -> object:
    """Parse one JSON document; objects become `JsonObject`, NaN and Infinity literals `NotFinite`.

    Numbers beyond float64 become ±inf: JSON has no infinite numbers, so inf always means "too large".

    Raises:
        MalformedBodyError: Empty, not UTF-8, a byte order mark, not JSON, trailing characters, nested deeper
            than `MAX_JSON_DEPTH`, or half of a surrogate pair.
    """
    text = _text(body)
    _check_depth(text)
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise MalformedBodyError(
            f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}.",
            hint="Send one JSON document (RFC 8259).",
        ) from error


def _text(body: bytes) -> str:
    if not body.strip():
        raise MalformedBodyError("The body is empty.", hint="Send a JSON object.")
    if body.startswith(_BYTE_ORDER_MARKS):
        raise MalformedBodyError("The body starts with a byte order mark.", hint="Send UTF-8 without it.")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedBodyError(
            f"The body is not UTF-8: bad byte at position {error.start}.", hint="Encode it as UTF-8."
        ) from error


def _check_depth(text: str) -> None:
    depth = 0
    for bracket in _BRACKET.findall(_STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > MAX_JSON_DEPTH:
            raise MalformedBodyError(
                f"The body is nested more than {MAX_JSON_DEPTH} levels deep.", hint="A lead is a flat object."
            )


def _object(pairs: list[tuple[str, object]]) -> JsonObject:
    values: dict[str, object] = {}
    duplicates: dict[str, None] = {}
    for key, value in pairs:
        _check_surrogates(key)
        if isinstance(value, str):
            _check_surrogates(value)
        if key in values:
            duplicates[key] = None
        values[key] = value
    return JsonObject(values, tuple(duplicates))


def _check_surrogates(text: str) -> None:
    if not text.isascii() and _SURROGATE.search(text):
        raise MalformedBodyError(
            "The body holds half of a surrogate pair, which is no character.", hint="Send whole characters."
        )


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MAX_INTEGER_DIGITS else math.copysign(math.inf, float(digits))


def _constant(_literal: str) -> NotFinite:
    return NotFinite.LITERAL


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer, parse_constant=_constant)
