"""Which values of a target column the contract does not name.

They count as not converted, and a person is told so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from leadscore.contract.arrow import ArrowColumn, counts
from leadscore.contract.findings import with_rows
from leadscore.contract.guess.target import (
    Meaning,
    Value,
    ValueCounts,
    ValueSpellings,
    meaning_of,
    spellings_of,
)
from leadscore.contract.model import FeatureContract, Target
from leadscore.contract.text import is_missing, is_value, missing_words_of, read_number, read_truth

Says = Literal["won", "open", "unknown"]


@dataclass(frozen=True, slots=True)
class Unlisted:
    """Values that count as not converted though neither the contract nor a word of theirs says so.

    Attributes:
        says: What their words say instead.
        groups: The values, most frequent first.
    """

    says: Says
    groups: tuple[ValueSpellings, ...]

    @property
    def spellings(self) -> frozenset[object]:
        """The values as the table holds them."""
        return frozenset(value for group in self.groups for value, _ in group.spellings)

    @property
    def rows(self) -> int:
        """Rows that hold one of them."""
        return sum(group.rows for group in self.groups)

    @property
    def sentence(self) -> str:
        """What happens to the values, and what to do about it."""
        shown = with_rows((group.value, group.rows) for group in self.groups)
        one = len(self.groups) == 1
        counted = f"{shown} {'counts' if one else 'count'} as not converted"
        it = "it" if one else "them"
        match self.says:
            case "won":
                return (
                    f"{counted}, though {'its' if one else 'their'} words mean converted: write {it} as "
                    "the positive value in the table, or correct `target.positive`"
                )
            case "open":
                return (
                    f"{counted}, though {'its' if one else 'their'} words mean that the outcome is still "
                    f"open: list {it} under `target.open_values`"
                )
            case "unknown":
                return (
                    f"{counted}, which no word says: list {it} under `target.open_values` if the outcome "
                    "is not known yet, or correct `target.positive`"
                )


def is_outcome(value: object, wanted: Value) -> bool:
    """As `leadscore.data.matrix.labels` decides it.

    Text by its meaning, booleans by truth, numbers by number.
    """
    if isinstance(value, str):
        return is_value(value, wanted)
    if isinstance(value, bool):
        return value is read_truth(str(wanted))
    number = read_number(wanted) if isinstance(wanted, str) else float(wanted)
    return value == number


def unlisted_outcomes(target: Target, seen: ValueCounts) -> tuple[Unlisted, ...]:
    """What counts as not converted and may not mean it.

    What seems to mean converted first, then open, then the rest.

    A value whose words mean lost is none of these. Nor is the only value beside the positive and the open
    ones, unless its words mean converted or open: it must be the other outcome.

    Args:
        target: What the contract says.
        seen: The column's values with their rows, missing ones left out.
    """
    listed = (target.positive, *target.open_values)
    groups = spellings_of([(v, n) for v, n in seen if not any(is_outcome(v, wanted) for wanted in listed)])
    said = [(_meaning(target.positive, group), group) for group in groups]
    if len(said) == 1 and said[0][0] == "unknown":
        return ()
    kinds: Sequence[Says] = ("won", "open", "unknown")
    found = [Unlisted(says, tuple(group for meaning, group in said if meaning == says)) for says in kinds]
    return tuple(unlisted for unlisted in found if unlisted.groups)


def unlisted_in(contract: FeatureContract, column: ArrowColumn) -> tuple[Unlisted, ...]:
    """`unlisted_outcomes` of a table's target column."""
    words = missing_words_of(contract, contract.target.column)
    known = [(v, n) for v, n in counts(column) if not (isinstance(v, str) and is_missing(v, words))]
    return unlisted_outcomes(contract.target, known)


def _meaning(positive: Value, group: ValueSpellings) -> Meaning:
    """What a value says beside that positive one.

    Where to be lost is what is predicted, won is the other outcome.
    """
    value, meaning = group.value, group.meaning
    number = isinstance(value, int) and not isinstance(value, bool)
    if number and isinstance(positive, int) and positive not in {0, 1}:
        # Codes: 1 means nothing where 2 is the positive one.
        return "lost" if value == 0 else "unknown"
    if meaning_of(positive) == "lost" and meaning in {"won", "lost"}:
        return "lost" if meaning == "won" else "won"
    return meaning
