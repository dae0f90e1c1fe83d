"""Values of a category column: which are the same text, which may be, and which are placeholders."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from leadscore.contract.text import nearly

TextCounts = Sequence[tuple[str, int]]
"""Distinct texts with their number of rows, missing ones left out."""

_PLACEHOLDERS = frozenset(
    [
        "select", "please select", "select one", "select an option", "choose", "please choose", "choose one",
        "pick one", "unknown", "unspecified", "not specified", "not set", "(not set)", "not provided",
        "not available", "not given", "not known", "undefined", "tbd", "to be determined", "test", "dummy",
        "default", "xxx", "xx", "x", "foo", "asdf", "missing", "no answer", "no data", "no value", "na",
        "n.a.", "n. a.", "k.a.", "k. a.", "keine angabe", "unbekannt", "bitte wählen", "bitte auswählen",
        "auswählen", "inconnu", "non renseigné", "desconocido", "ohne angabe", "nicht angegeben",
        "nicht bekannt", "tba", "nil",
    ]
)  # fmt: skip


def merged(seen: TextCounts) -> list[tuple[str, int]]:
    """The values with those that differ in Unicode form only taken together, most frequent first.

    Composed and decomposed accents are one text by definition, and are read as one.
    """
    rows: dict[str, int] = {}
    spelled: dict[str, str] = {}
    for text, count in seen:
        key = unicodedata.normalize("NFC", text)
        spelled.setdefault(key, text)
        rows[key] = rows.get(key, 0) + count
    return sorted(
        ((spelled[key], count) for key, count in rows.items()), key=lambda pair: (-pair[1], pair[0])
    )


def spellings(seen: TextCounts) -> list[list[tuple[str, int]]]:
    """Values that differ only in case, spaces or Unicode form, each group most frequent first."""
    found: dict[str, list[tuple[str, int]]] = {}
    for text, count in seen:
        found.setdefault(nearly(text), []).append((text, count))
    return [group for group in found.values() if len(group) > 1]


def placeholders(seen: TextCounts) -> list[tuple[str, int]]:
    """Return placeholder values: what a form shows before a choice, `unknown`, `test`."""
    return [(text, count) for text, count in seen if _plain(text) in _PLACEHOLDERS]


def _plain(text: str) -> str:
    """Without the dashes, dots and brackets that forms put around a prompt ("-- Select --", "Select...")."""
    bare = nearly(text)
    return bare if bare in _PLACEHOLDERS else re.sub(r"^[\W_]+|[\W_]+$", "", bare)
