"""Say in a sentence for sales what a feature's value did to a score.

Built once per contract from each feature's description, unit and categories; then it is looked up
(categories, yes/no, unknown) or formatted (numbers).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from leadscore.contract import Boolean, Categorical, Feature, Numeric
from leadscore.contract.plurals import one_of

Direction = Literal["raises", "lowers"]
ReasonValue = str | float | bool | None

_PLURAL: dict[Direction, str] = {"raises": "raise", "lowers": "lower"}
_PREPOSITIONS = frozenset(
    [
        "about",
        "after",
        "at",
        "before",
        "by",
        "during",
        "for",
        "from",
        "in",
        "of",
        "on",
        "per",
        "since",
        "through",
        "to",
        "with",
        "within",
    ]
)
_SPANS = frozenset(["seconds", "minutes", "hours", "days", "weeks", "months", "years"])
_LONGEST_LABEL = 80


@dataclass(frozen=True, slots=True)
class Said:
    """One value of one feature: as JSON, and as sentences for both directions."""

    value: ReasonValue
    raises: str
    lowers: str

    def text(self, direction: Direction) -> str:
        """The sentence for a value that raises or lowers the score."""
        return self.raises if direction == "raises" else self.lowers


@dataclass(frozen=True, slots=True)
class Listed:
    """Sentences of a feature with few values: by code (categorical) or by 0/1 (boolean)."""

    by_code: tuple[Said, ...]
    missing: Said

    def say(self, code: float, direction: Direction) -> tuple[ReasonValue, str]:
        """Value and sentence for a code of the encoded row (NaN: missing)."""
        said = self.by_code[int(code)] if 0 <= code < len(self.by_code) else self.missing
        return said.value, said.text(direction)


@dataclass(frozen=True, slots=True)
class Measured:
    """Sentences of a number."""

    missing: Said
    sentence: Callable[[float, Direction], str]

    def say(self, value: float, direction: Direction) -> tuple[ReasonValue, str]:
        """Value and sentence for a number of the encoded row (NaN: missing)."""
        if value != value:  # noqa: PLR0124 - NaN, at a third of the price of math.isnan
            return None, self.missing.text(direction)
        # float32 keeps seven digits: 0.1 comes back as 0.1, not as 0.10000000149.
        return float(f"{value:.7g}"), self.sentence(value, direction)


def sentences_of(feature: Feature) -> Listed | Measured:
    """The sentences of one feature of a contract."""
    label = label_of(feature)
    missing = _said(None, f"{label} is unknown, which")
    if isinstance(feature, Categorical):
        return Listed(tuple(_said(c, f"{label} “{c}”") for c in feature.categories), missing)
    if isinstance(feature, Boolean):
        unknown = _said(None, f"{_whether(label)} is unknown, which")
        return Listed((_said(False, _without(label)), _said(True, _with(label))), unknown)
    return Measured(missing, _number_sentence(feature, label))


def label_of(feature: Feature) -> str:
    """Return the feature's description if that is a short phrase, else its name in words."""
    phrase = feature.description.strip()
    if not (phrase.startswith("“") and phrase.endswith("”")):  # a column's own name may have any sign
        phrase = re.split(r"[.;](?:\s|$)|\s*\(", phrase, maxsplit=1)[0].strip(" .")
    if not phrase or len(phrase) > _LONGEST_LABEL:
        phrase = re.sub(r"[_\-\s]+", " ", feature.name).strip() or feature.name
    return phrase[0].upper() + phrase[1:]


def value_in_words(feature: Feature, value: ReasonValue) -> str:
    """One value of a feature as people write it: `12,000 EUR`, `“Berlin”`, `yes`, `unknown`."""
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return f"“{value}”"
    unit = (
        feature.unit if isinstance(feature, Numeric) and _counted(feature, label_of(feature)) is None else ""
    )
    return f"{_number(value)}{unit if unit in {'', '%'} else f' {unit}'}"


def _said(value: ReasonValue, subject: str) -> Said:
    return Said(value, f"{subject} raises the score.", f"{subject} lowers the score.")


def _whether(label: str) -> str:
    for opening, clause in (("Has ", "Whether there is"), ("Is ", "Whether it is")):
        if label.startswith(opening):
            return f"{clause} {label.removeprefix(opening)}"
    return label


def _with(label: str) -> str:
    for opening, participle in (("Has ", "Having"), ("Is ", "Being")):
        if label.startswith(opening):
            return f"{participle} {label.removeprefix(opening)}"
    return f"{label} (yes)"


def _without(label: str) -> str:
    if label.startswith("Has "):
        return f"No {re.sub('^(?:an?|the) ', '', label.removeprefix('Has '))}"
    if label.startswith("Is "):
        return f"Not being {label.removeprefix('Is ')}"
    return f"{label} (no)"


def _number_sentence(feature: Numeric, label: str) -> Callable[[float, Direction], str]:
    noun = _counted(feature, label)
    if noun is not None:
        one = _singular(noun)

        def count(value: float, direction: Direction) -> str:
            if value == 1.0:
                return f"1 {one} {direction} the score."
            return f"{'No' if value == 0.0 else _number(value)} {noun} {_PLURAL[direction]} the score."

        return count
    unit = feature.unit and (feature.unit if feature.unit == "%" else f" {feature.unit}")
    one = f" {feature.unit[:-1]}" if feature.unit in _SPANS else unit

    def amount(value: float, direction: Direction) -> str:
        return f"{label} of {_number(value)}{one if value == 1.0 else unit} {direction} the score."

    return amount


def _counted(feature: Numeric, label: str) -> str | None:
    """What the number counts ("visits to the pricing page"), or None where it measures."""
    if label.startswith("Number of "):
        return label.removeprefix("Number of ")
    unit = feature.unit.casefold()
    if unit and f"{label.casefold()} ".startswith(f"{unit} "):
        return label[0].lower() + label[1:]
    return None


def _singular(noun: str) -> str:
    """The noun for one: the last word before the first preposition that has a plural loses it."""
    words = noun.split(" ")
    head = next((i for i, word in enumerate(words) if word in _PREPOSITIONS), len(words))
    for i in reversed(range(head)):
        one = one_of(words[i])
        if one != words[i]:
            words[i] = one
            break
    return " ".join(words)


def _number(value: float) -> str:
    """A number for people: 12,000 · 3 · 0.25 · 1.5e+12."""
    if abs(value) < 1e15 and (abs(value) >= 1000.0 or value.is_integer()):
        return f"{value:,.0f}"
    return f"{value:.4g}"
