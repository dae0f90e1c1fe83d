"""Compute the PSI that a canary's analysis will see, from the replay. Pure.

The canary's analysis compares two versions on different leads, in fixed bins of probability and by
grade, by the PSI. The replay knows what that figure comes to on the same leads, so it is computed
here over the same bins, on all requests and on the newest alone (the population may have shifted
just now), and its sampling error is added.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from leadscore.arrays import Counts
from leadscore.drift.statistics.distances import half_row_psi
from leadscore.release.expected import ExpectedPsi
from leadscore.scoring.grades import GRADES
from leadscore.scoring.probability_bins import PROBABILITY_EDGES

# The canary's leads will be most like the newest requests.
NEWEST: Final = 2_000
ERRORS: Final = 2.0
_DRAWS: Final = 200
_CANARY: Final = 1_000


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


def gate_psi(one: Counts, other: Counts) -> npt.NDArray[np.float64]:
    """The PSI of counts per bin (…, bins) as the chart's analysis computes it.

    Half a lead is added to every bin, and bins that are empty in both are left out.
    """
    return np.where(one + other > 0, half_row_psi(one, other), 0.0).sum(axis=-1)


def _largest(one: npt.NDArray[np.intp], other: npt.NDArray[np.intp], size: int) -> tuple[float, float, float]:
    """The larger upper bound of all requests and of the newest, its standard error (bootstrap), its spread.

    The bootstrap is paired.
    """
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
