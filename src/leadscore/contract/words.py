"""Texts of problems and warnings: types, ranges and categories, never a value."""

from __future__ import annotations

from enum import Enum

from leadscore.contract.lead import LeadWarning
from leadscore.contract.model import Boolean, Categorical, Feature, Numeric

SHOWN_CATEGORIES = 10
SHOWN_NAME = 128

ALLOWED_ID = (
    "text of 1 to 256 characters, not only blanks, without control characters, "
    "or an integer of at most 64 bits"
)
ALLOWED_TIME = "an ISO 8601 date or time such as 2026-03-31 or 2026-03-31T09:30:00Z"


class NotFinite(Enum):
    """Stands for the literals NaN, Infinity and -Infinity, which are not JSON."""

    LITERAL = "not a finite number"


def allowed(feature: Feature) -> str:
    """What a request may hold in this field, as a phrase."""
    phrase = _allowed_value(feature)
    return phrase if feature.required else f"{phrase}; null or absent when unknown"


def _allowed_value(feature: Feature) -> str:
    match feature:
        case Numeric():
            noun = "a whole number" if feature.integer else "a number"
            span = span_of(feature)
            return f"{noun}, expected {span}" if span else noun
        case Categorical():
            shown = ", ".join(repr(c) for c in feature.categories[:SHOWN_CATEGORIES])
            more = len(feature.categories) - SHOWN_CATEGORIES
            tail = f", … ({len(feature.categories)} categories)" if more > 0 else ""
            return f"text: {shown}{tail}; other text is scored as unseen"
        case Boolean():
            return "true or false"


def span_of(feature: Numeric) -> str:
    """The expected range in words; empty when both ends are open."""
    low, high = feature.range
    if low is not None and high is not None:
        return f"from {low:g} to {high:g}"
    if low is not None:
        return f"at least {low:g}"
    return f"at most {high:g}" if high is not None else ""


def json_type(value: object) -> str:
    """The JSON type of a parsed value, in words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, NotFinite):
        return value.value
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def short_name(name: str) -> str:
    """A field name as the caller sent it, cut to a length that is safe to repeat."""
    return name if len(name) <= SHOWN_NAME else name[:SHOWN_NAME] + "…"


def flag_of(feature: Numeric | Categorical) -> LeadWarning:
    """The warning for a value of this feature that the model was not trained on."""
    if isinstance(feature, Numeric):
        span = span_of(feature) or "within single precision"
        message = f"{feature.name} is outside the expected range ({span}); it was scored as it is."
        return LeadWarning(field=feature.name, reason="out_of_range", message=message)
    message = f"{feature.name} holds a category the model has not seen; it was scored as missing."
    return LeadWarning(field=feature.name, reason="unseen_category", message=message)


def no_features_flag(id_name: str) -> LeadWarning:
    """The warning for a lead of which the model knows nothing: every input is absent, null or unseen."""
    message = "No feature of this lead has a value that the model knows; the score says nothing about it."
    return LeadWarning(field=id_name, reason="no_features", message=message)


def unknown_flag(name: str) -> LeadWarning:
    """The warning for a field that the contract does not name, where it says `unknownFields: warn`."""
    short = short_name(name)
    return LeadWarning(
        field=short, reason="unknown_field", message=f"{short} is not in the contract; it was ignored."
    )
