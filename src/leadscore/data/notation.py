"""Whether all parts of a table write the numbers of a column alike: one currency, and one meaning of the dot.

A part is a file of a folder, or some thousand rows of a large file. Each is read by the contract;
contradictions between parts are found here.
"""

# Arrow makes its compute functions when it is imported.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from leadscore.contract import ColumnFormat
from leadscore.errors import TableError

# How likely it may be that a part has three digits behind each mark by chance, before its column is refused.
_BY_CHANCE: Final = 1e-6
_AFTER_MARK: Final = {".": r"[0-9]\.[0-9]", ",": r"[0-9],[0-9]"}
_THREES: Final = {
    ".": r"^[^0-9.,]*[1-9][0-9]{0,2}(\.[0-9]{3})+[^0-9.,]*$",
    ",": r"^[^0-9.,]*[1-9][0-9]{0,2}(,[0-9]{3})+[^0-9.,]*$",
}


@dataclass(frozen=True, slots=True)
class Written:
    """How a part of a column writes its numbers.

    Attributes:
        units: Currencies and percent signs; empty text for numbers without one.
        threes: Numbers with three digits behind each decimal mark: the mark may group thousands.
        others: Numbers with a decimal mark that cannot.
    """

    units: frozenset[str]
    threes: int
    others: int

    @classmethod
    def of(cls, texts: pa.Array, form: ColumnFormat, units: Collection[str]) -> Written:
        """Look at the texts of one part, null where there is no value."""
        if form.thousands:
            return cls(frozenset(units), 0, 0)
        marked = pc.match_substring_regex(texts, _AFTER_MARK[form.decimal])
        count = pc.sum(marked).as_py() or 0
        threes = 0 if not count else pc.sum(pc.match_substring_regex(texts, _THREES[form.decimal])).as_py()
        return cls(frozenset(units), threes, count - threes)


class Notation:
    """Collects how the parts of a table are written; several threads may tell it."""

    def __init__(self) -> None:
        self._parts: dict[str, list[Written]] = {}

    def see(self, column: str, written: Written) -> None:
        """One more part of that column."""
        self._parts.setdefault(column, []).append(written)

    def check(self, decided: Collection[str] = ()) -> None:
        """Refuse columns whose parts, so far, do not go together.

        Args:
            decided: Columns of which the contract says how they are written.

        Raises:
            TableError: Two currencies, percent signs on some numbers only, or a part in which every decimal
                mark stands before three digits, as thousands do, where it does not in the others.
        """
        for column, parts in list(self._parts.items()):
            check_units(column, frozenset[str]().union(*(part.units for part in parts)))
            if column not in decided and _one_groups_thousands(parts):
                raise TableError(
                    f"Column {column!r}: in one part of the table (a file of the folder, or some rows of "
                    "the file) three digits stand behind each decimal mark, as if it grouped "
                    "thousands; elsewhere they do not.",
                    hint="Write the numbers alike everywhere; or say that they are decimals all the same, by "
                    f'`formats: {{{column}: {{decimal: "."}}}}` in the contract.',
                )


def check_units(column: str, units: Collection[str]) -> None:
    """Refuse numbers that cannot be compared: of two currencies, or with a percent sign and without."""
    money = sorted(set(units) - {"", "%"})
    if len(money) > 1:
        raise TableError(
            f"Column {column!r} holds amounts in more than one currency: {', '.join(money)}.",
            hint="Convert them to one: numbers of two currencies cannot be compared.",
        )
    if "%" in units and len(units) > 1:
        raise TableError(
            f"Column {column!r} holds numbers with a percent sign and numbers without.",
            hint="Write all of them alike: `45 %` is read as 45.",
        )


def _one_groups_thousands(parts: Sequence[Written]) -> bool:
    settled = [part for part in parts if part.others]
    threes = sum(part.threes for part in settled)
    share = (threes + 1) / (threes + sum(part.others for part in settled) + 2)
    return bool(settled) and any(share**part.threes < _BY_CHANCE for part in parts if not part.others)
