"""How far the candidate's scores may lie from the champion's in the canary, as the replay has found. Pure.

The canary's analysis compares two versions on different leads, in fixed bins of probability and by grade, by the PSI. The
replay knows what that figure comes to on the same leads, so it is computed here over the same bins, on all requests and on
the newest alone (the market may have turned a moment ago), and its sampling error is added.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from leadscore.scoring.grades import GRADES
from leadscore.scoring.probability_bins import PROBABILITY_EDGES

# The market of the canary is rather that of the newest requests.
NEWEST: Final = 2_000
ERRORS: Final = 2.0
# Below this a person need not be told.
NOTABLE: Final = 0.1
_DRAWS: Final = 200
_CANARY: Final = 1_000

Counts = npt.NDArray[np.int64]


class ExpectedPsi(msgspec.Struct, frozen=True, kw_only=True):
    """The PSI between a candidate and the version that it was replayed against.

    Attributes:
        against: That version.
        scores: Of the scores, the larger one of all requests and of the newest, two standard errors added.
        grades: The same of the grades.
        scores_error: Standard error in `scores`.
        grades_error: Standard error in `grades`.
        scores_spread: Variance of the figure that n leads of the canary and m of stable give, over 1/n + 1/m: the larger
            a PSI, the less sure is a sample of it.
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
        if not all(np.isfinite(f) and f >= 0 for f in figures):
            raise ValueError("a PSI is a number from 0 on")


def expected_psi(
    champion: npt.NDArray[np.float64],
    candidate: npt.NDArray[np.float64],
    champion_grades: npt.NDArray[np.intp],
    candidate_grades: npt.NDArray[np.intp],
    *,
    against: int,
) -> ExpectedPsi:
    """What a canary's analysis would see in the long run.

    Args:
        champion: Its probabilities (n,), oldest request first.
        candidate: The candidate's, of the same requests.
        champion_grades: Grade codes (n,).
        candidate_grades: Grade codes (n,).
        against: The champion's version.
    """
    edges = np.array(PROBABILITY_EDGES)
    bins = [np.searchsorted(edges, p, side="left") for p in (champion, candidate)]
    scores, scores_error, scores_spread = _largest(bins[0], bins[1], len(edges) + 1)
    grades, grades_error, grades_spread = _largest(champion_grades, candidate_grades, len(GRADES))
    return ExpectedPsi(
        against=against, scores=scores, grades=grades, scores_error=scores_error, grades_error=grades_error,
        scores_spread=scores_spread, grades_spread=grades_spread,
    )  # fmt: skip


def allowance(expected: ExpectedPsi) -> str:
    """What approving means for the canary, in a sentence."""
    return (
        f"Approving lets its canary differ by a PSI of {expected.scores:.2f} in scores and {expected.grades:.2f} in"
        f" grades from version {expected.against}, and analysis.maxPsi more."
    )


def gate_psi(one: Counts, other: Counts) -> npt.NDArray[np.float64]:
    """The PSI of counts per bin (…, bins) as the chart's analysis computes it.

    Half a lead is added to every bin, and bins that are empty in both are left out.
    """
    shares = [(c + 0.5) / (c + 0.5).sum(axis=-1, keepdims=True) for c in (one, other)]
    terms = (shares[1] - shares[0]) * np.log(shares[1] / shares[0])
    return np.where(one + other > 0, terms, 0.0).sum(axis=-1)


def _largest(one: npt.NDArray[np.intp], other: npt.NDArray[np.intp], size: int) -> tuple[float, float, float]:
    """The larger upper bound of all requests and of the newest, its standard error (paired bootstrap), its spread."""
    return max(_upper(one[part], other[part], size) for part in (slice(None), slice(-NEWEST, None)))


def _upper(one: npt.NDArray[np.intp], other: npt.NDArray[np.intp], size: int) -> tuple[float, float, float]:
    joint = np.bincount(one * size + other, minlength=size * size).astype(np.int64)
    rows = int(joint.sum())
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(rows, joint / rows, size=_DRAWS).reshape(-1, size, size)
    error = float(gate_psi(drawn.sum(axis=2), drawn.sum(axis=1)).std())
    table = joint.reshape(size, size)
    before, after = table.sum(axis=1), table.sum(axis=0)
    # What a canary sees: other leads for each version, so many of each.
    seen = [rng.multinomial(_CANARY, counts / rows, size=_DRAWS) for counts in (before, after)]
    spread = float(gate_psi(seen[0], seen[1]).var()) * _CANARY / 2
    return float(gate_psi(before, after)) + ERRORS * error, error, spread
