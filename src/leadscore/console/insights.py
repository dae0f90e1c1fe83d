"""What changed, why it matters and what to do, in a few sentences that are made from measures. Pure.

Every number in a sentence is one of its measures, written as everywhere on the console: a template holds no
digit. Whatever else is to be said of the same findings is held against them (`says_only`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from leadscore.console.numbers import value_text
from leadscore.console.page import NumberUnit, VerdictLevel
from leadscore.monitoring.measures import Measure

MOST_SENTENCES: Final = 5
_RANKS: Final[dict[VerdictLevel, int]] = {"critical": 0, "warning": 1, "unknown": 2, "info": 3, "good": 4}
# A number as it is written, with what may stand between its digits, a sign before and one of per cent behind.
_NUMBER: Final = re.compile(
    r"(?P<sign>(?<![\w.,])[-\u2212])?(?P<digits>\d(?:[\d.,:/\u2013-]*\d)?)(?P<share>\s*(?:%|per\s?cent\b))?",
    re.IGNORECASE,
)
_NUMBER_WORDS: Final = frozenset(
    (  # noqa: SIM905 (read across)
        "zero two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred hundreds "
        "thousand thousands million millions billion billions dozen dozens double doubled doubles doubling "
        "triple tripled triples twice thrice half halved halves halving third thirds quarter quarters fifth "
        "fifths tenth tenths fold"
    ).split()
)


@dataclass(frozen=True, slots=True)
class QuotedMeasure:
    """A measure as a sentence quotes it."""

    measure: Measure
    unit: NumberUnit = "count"

    @property
    def text(self) -> str:
        """The number as people read it."""
        return value_text(self.measure.value, self.unit)


@dataclass(frozen=True, slots=True, kw_only=True)
class InsightSentence:
    """A sentence and its numbers.

    Attributes:
        template: Names in braces stand for numbers and names; it holds no digit of its own.
        numbers: Measures by the name that stands for them.
        names: What is no number: versions, rules, days.
    """

    template: str
    numbers: Mapping[str, QuotedMeasure] = field(default_factory=dict[str, QuotedMeasure])
    names: Mapping[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        if any(character.isdigit() for character in self.template):
            raise ValueError("a number of a sentence is a measure")

    @property
    def text(self) -> str:
        """The sentence as people read it."""
        return self.template.format(**{n: q.text for n, q in self.numbers.items()}, **self.names)


@dataclass(frozen=True, slots=True, kw_only=True)
class InsightFinding:
    """Something worth saying.

    Attributes:
        level: How good or bad it is.
        changed: What is the case, or has changed.
        matters: Why that matters.
        do: What to do; None: nothing.
    """

    level: VerdictLevel
    changed: InsightSentence
    matters: InsightSentence
    do: InsightSentence | None = None


def chosen_insights(findings: Sequence[InsightFinding]) -> tuple[InsightSentence, ...]:
    """Say the worst finding in full, and of the others what has changed: five sentences at most."""
    if not findings:
        return ()
    first, *others = sorted(findings, key=lambda finding: _RANKS[finding.level])
    told = [first.changed, first.matters, *([] if first.do is None else [first.do])]
    rest = [other.changed for other in others]
    return tuple([*told, *rest][:MOST_SENTENCES])


def says_only(text: str, facts: Iterable[str]) -> bool:
    """Whether every number of a text, in digits or in words, stands in the facts as it stands there."""
    known, words = set[str](), set[str]()
    for fact in facts:
        known |= numbers_in(fact)
        words |= _number_words(fact)
    return numbers_in(text) <= known and _number_words(text) <= words


def numbers_in(text: str) -> frozenset[str]:
    """The numbers of a text in one notation: `5406` for 5,406, `14.6%` for 14.6 per cent."""
    # Digits of other scripts become ours; ² and ½ stand alone in what follows, and are in no fact.
    plain = "".join(_digit(character) for character in text)
    found = {
        f"{'-' if match['sign'] else ''}{match['digits'].replace(',', '')}{'%' if match['share'] else ''}"
        for match in _NUMBER.finditer(plain)
    }
    odd = {c for c in plain if not c.isdecimal() and unicodedata.numeric(c, None) is not None}
    return frozenset(found | odd)


def _digit(character: str) -> str:
    return str(unicodedata.decimal(character)) if character.isdecimal() else character


def _number_words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+", text.casefold())) & _NUMBER_WORDS
