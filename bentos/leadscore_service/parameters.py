"""Query parameters, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import parse_qsl

from leadscore.errors import BadInputError


def parse_query(query: bytes, allowed: tuple[str, ...]) -> dict[str, str]:
    """The parameters of a query.

    BadInputError if one is not in `allowed` (a misspelt one must not be ignored).
    """
    try:
        pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=20)
    except ValueError as error:
        raise BadInputError("The query has too many parameters.", hint="See /openapi.json.") from error
    given: dict[str, str] = {}
    for name, value in pairs:
        if name not in allowed:
            known = ", ".join(allowed) if allowed else "none"
            raise BadInputError(f"The parameter {name[:80]!r} is not known.", hint=f"Known here: {known}.")
        if name in given:
            raise BadInputError(f"The parameter {name!r} is given twice.", hint="Give it once.")
        given[name] = value
    return given


def whole_number(given: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    """A whole number in [low, high]; BadInputError names the parameter otherwise."""
    text = given.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 12 and low <= int(text) <= high):
        raise BadInputError(
            f"The parameter {name!r} is not a whole number from {low} to {high}.", hint="Correct it."
        )
    return int(text)


@lru_cache(maxsize=256)
def reasons_of(query: bytes, default: int, features: int) -> int:
    """How many reasons the caller wants.

    `reasons=N`, at most one per feature (cached: callers repeat themselves).
    """
    given = parse_query(query, ("reasons",))
    return min(whole_number(given, "reasons", default, 0, 10_000), features)
