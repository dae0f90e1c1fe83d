"""How far the candidate's scores may lie from the champion's in the canary, as its replay has found.

Only data.

The operator starts with this, so it takes no NumPy: the figures are computed in `canary_psi`.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

# Below this a person need not be told.
NOTABLE: Final = 0.1


class ExpectedPsi(msgspec.Struct, frozen=True, kw_only=True):
    """The PSI between a candidate and the version that it was replayed against.

    Attributes:
        against: That version.
        scores: Of the scores, the larger one of all requests and of the newest, two standard errors added.
        grades: The same of the grades.
        scores_error: Standard error in `scores`.
        grades_error: Standard error in `grades`.
        scores_spread: Variance of the figure that n leads of the canary and m of stable give, over 1/n + 1/m:
            the larger a PSI, the less sure is a sample of it.
        grades_spread: The same of the grades.
    """

    against: int
    scores: float
    grades: float
    scores_error: float = 0.0
    grades_error: float = 0.0
    scores_spread: float = 0.0
    grades_spread: float = 0.0

    def __post_init__(self) -> None:
        figures = [getattr(self, name) for name in self.__struct_fields__]
        if not all(math.isfinite(f) and f >= 0 for f in figures):
            raise ValueError("a PSI is a number from 0 on")


def allowance(expected: ExpectedPsi) -> str:
    """What approving means for the canary, in a sentence."""
    return (
        f"Approving lets its canary differ by a PSI of {expected.scores:.2f} in scores and "
        f"{expected.grades:.2f} in grades from version {expected.against}, and analysis.maxPsi more."
    )
