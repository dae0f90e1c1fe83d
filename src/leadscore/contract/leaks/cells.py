"""One column as cells (values, or bins of a number), and what half of the leads teach about the rest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MIN_PER_CLASS = 10
MAX_ROWS = 200_000
LEAK_BINS = 32
MISSING_CELL = 0  # the cell of rows without a value


@dataclass(frozen=True, slots=True)
class KnownCells:
    """A column's rows with a known outcome.

    Attributes:
        codes: The column itself: numbers or category codes, NaN for missing.
        of_row: Cell of each row; 0 is missing.
        values: The one value of each cell; NaN for missing and for cells of several values.
        converted: Whether the row converted.
        half: 0 or 1: each class is divided at random, so that no order of the rows matters.
    """

    codes: NDArray[np.float64]
    of_row: NDArray[np.intp]
    values: NDArray[np.float64]
    converted: NDArray[np.bool_]
    half: NDArray[np.intp]

    @property
    def size(self) -> int:
        """Number of cells, the missing one included."""
        return len(self.values)

    def count(self, rows: NDArray[np.bool_]) -> NDArray[np.float64]:
        """How many of those rows lie in each cell."""
        return np.bincount(self.of_row[rows], minlength=self.size).astype(np.float64)

    def folds(self) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
        """Rows to learn from and rows to judge on, both ways round."""
        for learn in (0, 1):
            yield self.half == learn, self.half != learn


def known_cells(codes: NDArray[np.float64], labels: NDArray[np.float64]) -> KnownCells | None:
    """Put the rows with a known outcome into cells.

    A number of many values gets `LEAK_BINS` quantile bins, with cells of their own for values that fill a bin
    alone (a zero that means "nothing there").

    Args:
        codes: Numbers or category codes, NaN for missing; shape (n,).
        labels: 1, 0 or NaN (unknown); shape (n,).

    Returns:
        None with fewer than `MIN_PER_CLASS` rows of either class in either half. At most `MAX_ROWS` rows are
        used.
    """
    rng = np.random.default_rng(0)
    known = np.flatnonzero(~np.isnan(labels))
    if len(known) > MAX_ROWS:
        known = np.sort(rng.choice(known, MAX_ROWS, replace=False))
    converted = labels[known] > 0.5
    if min(int(converted.sum()), int((~converted).sum())) < 2 * MIN_PER_CLASS:
        return None
    half = np.zeros(len(known), dtype=np.intp)
    for members in (np.flatnonzero(converted), np.flatnonzero(~converted)):
        half[rng.permutation(members)[::2]] = 1
    seen = codes[known].astype(np.float64)
    of_row, values = _cells(seen)
    return KnownCells(seen, of_row, values, converted, half)


def _cells(codes: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    missing = np.isnan(codes)
    present = codes[~missing]
    of_row = np.zeros(len(codes), dtype=np.intp)
    if len(present) == 0:
        return of_row, np.array([np.nan])
    distinct, sizes = np.unique(present, return_counts=True)
    if len(distinct) <= 4 * LEAK_BINS:
        of_row[~missing] = 1 + np.searchsorted(distinct, present)
        return of_row, np.concatenate([[np.nan], distinct])
    heavy = distinct[sizes * LEAK_BINS >= len(present)]
    light = present[~np.isin(present, heavy)]
    edges = np.unique(np.quantile(light, np.linspace(0.0, 1.0, LEAK_BINS + 1)[1:-1]))
    places = np.searchsorted(heavy, present)
    own = np.isin(present, heavy)
    of_row[~missing] = np.where(
        own, 1 + places, 1 + len(heavy) + np.searchsorted(edges, present, side="right")
    )
    bins = np.full(len(edges) + 1, np.nan)
    return of_row, np.concatenate([[np.nan], heavy, bins])
