"""Groups of leads, by the values of one column, that may all have one outcome."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from leadscore.contract.leaks.cells import MISSING_CELL, KnownCells

_LEARN_RATIO = 10.0
_LEAST_ROWS = 3  # of one outcome, for a value to be learnt


@dataclass(frozen=True, slots=True)
class LeadGroup:
    """Leads in question.

    Attributes:
        rows: Which rows of the cells they are.
        how: `empty`, `filled`, `other` than the commonest value, that value itself (`same`), or `learnt`
            values.
        values: The values, where they are few and known; NaN for bins of numbers.
    """

    rows: NDArray[np.bool_]
    how: Literal["empty", "filled", "other", "same", "learnt"]
    values: tuple[float, ...] = ()

    @property
    def kind(self) -> Literal["presence", "value"]:
        """Whether it is about being filled in, or about a value."""
        return "presence" if self.how in {"empty", "filled"} else "value"

    def phrase(self, names: Sequence[str]) -> str:
        """The group in words: "in which it is filled in".

        Args:
            names: What the codes 0, 1, … stand for; empty for numbers.
        """
        if self.how in {"empty", "filled"}:
            return "in which it is empty" if self.how == "empty" else "in which it is filled in"
        if self.how == "other":
            return f"in which it is other than {_shown(self.values[0], names)}"
        if len(self.values) == 1 and not math.isnan(self.values[0]):
            return f"in which it is {_shown(self.values[0], names)}"
        return f"with one of {len(self.values)} of its values" if names else "in some of its ranges"


def groups_of(cells: KnownCells, wanted: NDArray[np.bool_]) -> Iterator[LeadGroup]:
    """The groups worth asking about.

    Filled in or not, the commonest value or not, and values learnt to be pure.

    Args:
        cells: The column.
        wanted: Which rows have the outcome in question; values are learnt on one half for the other.
    """
    everywhere = np.ones(len(wanted), dtype=np.bool_)
    sizes = cells.count(everywhere)
    missing = cells.of_row == MISSING_CELL
    if sizes[MISSING_CELL]:
        yield LeadGroup(missing, "empty")
        yield LeadGroup(~missing, "filled")
    commonest = MISSING_CELL + 1 + int(np.argmax(sizes[MISSING_CELL + 1 :]))
    value = float(cells.values[commonest])
    if not math.isnan(value):
        same = cells.of_row == commonest
        yield LeadGroup(same, "same", (value,))
        yield LeadGroup(~same & ~missing, "other", (value,))
    inside = np.zeros(len(wanted), dtype=np.bool_)
    for learn, judge in cells.folds():
        inside |= judge & _pure(cells, learn, wanted)[cells.of_row]
    places = np.flatnonzero(_pure(cells, everywhere, wanted))
    if len(places):
        yield LeadGroup(inside, "learnt", tuple(float(v) for v in cells.values[places]))


def _pure(cells: KnownCells, rows: NDArray[np.bool_], wanted: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Cells that stand with the wanted outcome ten times as often as with the other."""
    hits, misses = cells.count(rows & wanted), cells.count(rows & ~wanted)
    ratios = ((hits + 0.5) / (hits.sum() + 1.0)) / ((misses + 0.5) / (misses.sum() + 1.0))
    return (hits >= _LEAST_ROWS) & (ratios >= _LEARN_RATIO)


def _shown(value: float, names: Sequence[str]) -> str:
    return f"“{names[int(value)]}”" if names else f"{value:g}"
