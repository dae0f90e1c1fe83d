"""Two models on the same leads: how their answers differ, and which one outcomes agree with. Pure."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import numpy as np
import numpy.typing as npt
from scipy import stats

from leadscore.arrays import Codes, Floats
from leadscore.drift.statistics.distances import half_row_psi, largest_gap
from leadscore.intervals import Estimate, auc_difference, auc_estimate
from leadscore.release.expected import ExpectedPsi, allowance
from leadscore.scoring.grades import GRADES

COMPARISON_BINS = 10
# A PSI this high on the *same* leads means that thresholds set on the old scores mean something else now.
NOTABLE_PSI = 0.25
NOTABLE_OVERLAP = 0.5
NOTABLE_GRADES = 0.3
HISTOGRAM_EDGES = tuple(round(0.05 * i, 2) for i in range(21))
# tau-b is O(n log n) but slow in constants; a sample this large gives it to two digits.
_TAU_ROWS = 200_000


class Distribution(msgspec.Struct, frozen=True, kw_only=True):
    """How scores are spread; both models on the same leads.

    Attributes:
        psi: Population stability index over the champion's deciles; half a lead is added to each bin of both,
            so an empty bin is finite and the addition vanishes with rows.
        ks: Largest difference of the distribution functions.
        champion_mean: Mean probability.
        candidate_mean: Mean probability.
        edges: Edges of the histograms (21,).
        champion: Leads per bin (20,).
        candidate: Leads per bin (20,).
    """

    psi: float
    ks: float
    champion_mean: float
    candidate_mean: float
    edges: tuple[float, ...]
    champion: tuple[int, ...]
    candidate: tuple[int, ...]


class Ranks(msgspec.Struct, frozen=True, kw_only=True):
    """How the order of leads changes; None where all scores of a model are equal.

    Attributes:
        spearman: Rank correlation.
        kendall: tau-b, on a random sample of `kendall_rows`.
        kendall_rows: Leads it was computed on.
        top_decile_overlap: Share of the champion's best tenth that is in the candidate's.
    """

    spearman: float | None
    kendall: float | None
    kendall_rows: int
    top_decile_overlap: float


class GradeChanges(msgspec.Struct, frozen=True, kw_only=True):
    """Grades under each model's own thresholds.

    `matrix[i][j]`: champion's grade i, candidate's j (A to D).
    """

    matrix: tuple[tuple[int, ...], ...]
    changed: float
    better: float
    worse: float


class KnownOutcomes(msgspec.Struct, frozen=True, kw_only=True):
    """The leads whose outcome is known already.

    Attributes:
        rows: Labelled leads.
        converted: Of these.
        completeness: Labelled share of the leads that are old enough; None when none is.
        maturity_days: What old enough means.
        champion: AUC with DeLong's interval; None if a class is missing.
        candidate: The same.
        difference: Candidate minus champion, DeLong's paired interval.
    """

    rows: int
    converted: int
    completeness: float | None
    maturity_days: float
    champion: Estimate | None
    candidate: Estimate | None
    difference: Estimate | None


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Microseconds per lead in this process, on this machine."""

    champion: float
    candidate: float


def distribution(champion: Floats, candidate: Floats) -> Distribution:
    """Compare the spread of two models' probabilities (n,)."""
    cuts = np.unique(np.quantile(champion, np.linspace(0, 1, COMPARISON_BINS + 1)[1:-1]))
    counts = [
        np.bincount(np.searchsorted(cuts, p, side="right"), minlength=len(cuts) + 1)
        for p in (champion, candidate)
    ]
    edges = np.array(HISTOGRAM_EDGES)
    histograms = [
        tuple(int(c) for c in np.histogram(np.clip(p, 0, 1), edges)[0]) for p in (champion, candidate)
    ]
    return Distribution(
        psi=float(half_row_psi(counts[0], counts[1]).sum()),
        ks=largest_gap(champion, candidate),
        champion_mean=float(champion.mean()),
        candidate_mean=float(candidate.mean()),
        edges=HISTOGRAM_EDGES,
        champion=histograms[0],
        candidate=histograms[1],
    )


def ranks(champion: Floats, candidate: Floats, *, seed: int = 0) -> Ranks:
    """Compare the order that two models put leads (n,) in."""
    n = len(champion)
    some = np.arange(n)
    if n > _TAU_ROWS:
        some = np.random.default_rng(seed).choice(n, _TAU_ROWS, replace=False)
    top = max(1, round(n / 10))
    best = [set(np.argsort(-p, kind="stable")[:top].tolist()) for p in (champion, candidate)]
    constant = n < 2 or np.ptp(champion) == 0 or np.ptp(candidate) == 0
    return Ranks(
        spearman=None if constant else _correlation(stats.spearmanr(champion, candidate)),
        kendall=None if constant else _correlation(stats.kendalltau(champion[some], candidate[some])),
        kendall_rows=len(some),
        top_decile_overlap=len(best[0] & best[1]) / top,
    )


def grade_changes(champion: Codes, candidate: Codes) -> GradeChanges:
    """Count changes between grade codes (n,), indexes into `GRADES`."""
    size = len(GRADES)
    matrix = np.bincount(champion * size + candidate, minlength=size * size).reshape(size, size)
    n = max(len(champion), 1)
    return GradeChanges(
        matrix=tuple(tuple(int(c) for c in row) for row in matrix),
        changed=float((champion != candidate).sum() / n),
        better=float((candidate < champion).sum() / n),
        worse=float((candidate > champion).sum() / n),
    )


def known_outcomes(
    champion: Floats,
    candidate: Floats,
    converted: npt.NDArray[np.bool_],
    completeness: float | None,
    maturity_days: float,
) -> KnownOutcomes:
    """Compare on leads (n,) whose outcome is known."""
    return KnownOutcomes(
        rows=len(converted),
        converted=int(converted.sum()),
        completeness=completeness,
        maturity_days=maturity_days,
        champion=auc_estimate(converted, champion) if len(converted) else None,
        candidate=auc_estimate(converted, candidate) if len(converted) else None,
        difference=auc_difference(converted, champion, candidate) if len(converted) else None,
    )


def objections(
    known: KnownOutcomes, latency: Latency, *, ratio: float = 2.0, free_us: float = 50.0
) -> list[str]:
    """Return the reasons that refuse the candidate without asking a person."""
    found: list[str] = []
    if known.difference is not None and known.difference.high < 0:
        d = known.difference
        found.append(
            f"on {known.rows:,} known outcomes its AUC is lower by {-d.value:.4f} "
            f"({-d.high:.4f} to {-d.low:.4f})"
        )
    if latency.candidate > free_us and latency.candidate > ratio * latency.champion:
        found.append(
            f"it takes {latency.candidate:.0f} µs per lead, "
            f"{latency.candidate / latency.champion:.1f} times the champion's"
        )
    return found


def remarks(
    spread: Distribution, order: Ranks, grades: GradeChanges, known: KnownOutcomes, expected: ExpectedPsi
) -> list[str]:
    """Return remarks for the person who approves."""
    found: list[str] = []
    if spread.psi >= NOTABLE_PSI:
        found.append(
            f"Scores are spread differently (PSI {spread.psi:.2f}): thresholds on scores mean something else."
            f" {allowance(expected)} A canary that is started by hand goes back unless "
            "analysis.maxPsi is larger."
        )
    if order.top_decile_overlap < NOTABLE_OVERLAP:
        found.append(
            f"Only {order.top_decile_overlap:.0%} of the champion's best tenth are in the candidate's."
        )
    if grades.changed >= NOTABLE_GRADES:
        found.append(f"{grades.changed:.0%} of the leads get another grade.")
    if known.difference is None:
        found.append("No outcome of both kinds is known yet: nothing here says which model is better.")
    elif known.completeness is None:
        found.append("No lead is old enough for its outcome to be due: early outcomes favour fast ones.")
    elif known.completeness < 0.8:
        found.append(
            f"Only {known.completeness:.0%} of the outcomes that should be known are: early "
            "outcomes favour fast ones."
        )
    return found


def _correlation(result: object) -> float:
    return float(cast("Any", result).statistic)
