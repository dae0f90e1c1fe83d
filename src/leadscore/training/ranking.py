"""Conversions and revenue in the top of the list of leads by score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from leadscore.intervals import Floats

Weights = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """Leads by falling score; leads with equal scores form one group, taken in part where needed.

    Attributes:
        order: Row numbers by falling score (n,).
        ends: Last place of each group of equal scores.
    """

    order: npt.NDArray[np.intp]
    ends: npt.NDArray[np.intp]

    @classmethod
    def of(cls, scores: Floats) -> Self:
        """Rank scores (n,)."""
        order = np.argsort(-scores, kind="stable")
        ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
        return cls(order, ends)

    def cumulative(self, weights: Weights, amounts: npt.NDArray[np.floating] | None = None) -> Floats:
        """Sums of `weights` (r, n) times `amounts` (n,) down the list, at the end of each group.

        (r, groups).
        """
        ordered = weights[:, self.order]
        if amounts is not None:
            ordered *= amounts[self.order].astype(np.float32)
        # Counts are exact in float64; revenue may span many orders of magnitude.
        sums = np.cumsum(ordered, axis=1, dtype=np.float64)
        return sums if len(self.ends) == len(self.order) else sums[:, self.ends]

    def in_top(self, leads: Floats, amounts: Floats, share: float) -> Floats:
        """Amount in the top `share` of the leads, (r,), from two `cumulative` results.

        The group that straddles the cut counts with the part of it that still fits, as if its leads were
        taken at random.
        """
        wanted = share * leads[:, -1:]
        last = np.minimum((leads < wanted).sum(axis=1), leads.shape[1] - 1)
        rows = np.arange(len(leads))
        before = np.maximum(last - 1, 0)
        leads_before = np.where(last > 0, leads[rows, before], 0.0)
        amount_before = np.where(last > 0, amounts[rows, before], 0.0)
        size = leads[rows, last] - leads_before
        part = np.where(size > 0, (wanted[:, 0] - leads_before) / np.where(size > 0, size, 1.0), 0.0)
        return amount_before + part * (amounts[rows, last] - amount_before)


def average_precision(leads: Floats, converted: Floats) -> Floats:
    """Area under the precision-recall curve as the step sum, (r,), from two `cumulative` results."""
    total = converted[:, -1:]
    steps = np.diff(converted, axis=1, prepend=0)
    precision = converted / np.maximum(leads, 1e-12)
    return (precision * steps).sum(axis=1) / np.maximum(total[:, 0], 1e-12)
