"""Impact of a change: Shapley-weighted, and as leads whose grade it has changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from leadscore.drift.windows.counts import Matrix
from leadscore.drift.windows.inputs import LeadWindow, Reference
from leadscore.scoring.profile import FeatureProfile

Grading = Callable[[Matrix], npt.NDArray[np.intp]]

ROWS = 4_000


def shapley_impact(reference: Reference, window: LeadWindow) -> tuple[float, ...] | None:
    """Per feature, how much of the model's attention has moved: 0 (none) to 1 (all).

    Each cell's change of share counts with the mean absolute Shapley value of the leads in
    it, relative to the sum over all features: a large change of what the model ignores is
    small. None if Shapley values are unknown.
    """
    if reference.attention is None:
        return None
    shares: list[float] = []
    totals: list[float] = []
    for feature, before, after, attention in zip(
        reference.profile.features,
        reference.base.features,
        window.counts.features,
        reference.attention,
        strict=True,
    ):
        weights = np.array(attention)
        then, now = _shares(before.cells(feature.kind)), _shares(after.cells(feature.kind))
        # Two distributions that do not meet differ by 2 in sum.
        shares.append(float(np.abs(now - then) / 2 @ weights))
        totals.append(float(then @ weights))
    attention_of_all = sum(totals)
    if attention_of_all <= 0.0:
        return tuple(0.0 for _ in shares)
    return tuple(min(1.0, share / attention_of_all) for share in shares)


def leads_at_risk(
    reference: Reference, rows: Matrix, features: Sequence[int], grade: Grading, *, seed: int = 0
) -> tuple[float, tuple[float, ...]]:
    """Share of leads whose grade would be another one if features still were distributed as in training.

    Each value is moved as little as the reference's distribution allows (rank by rank; categories and missing
    values only as many as there are too many of), so that leads at rest keep their grade.

    Args:
        reference: With a sample.
        rows: Encoded leads of the window (n, inputs); at most `ROWS` evenly spaced ones are used.
        features: Columns that have changed.
        grade: Encoded leads to grade codes.
        seed: Of who is moved where several could be.

    Returns:
        For all the features together, and for each alone. A small share (a few per thousand) is noise.
    """
    sample = reference.sample
    if sample is None or len(rows) == 0 or not features:
        return 0.0, tuple(0.0 for _ in features)
    chosen = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), ROWS)).astype(np.intp))
    rows = np.ascontiguousarray(rows[chosen])
    now = grade(rows)
    rng = np.random.default_rng(seed)
    everything = rows.copy()
    alone: list[float] = []
    for feature in features:
        restored = rows.copy()
        restored[:, feature] = restore(
            reference.profile.features[feature], sample[:, feature], rows[:, feature], rng
        )
        everything[:, feature] = restored[:, feature]
        alone.append(float(np.mean(grade(restored) != now)))
    return float(np.mean(grade(everything) != now)), tuple(alone)


def restore(
    profile: FeatureProfile,
    sample: npt.NDArray[np.float32],
    column: npt.NDArray[np.float32],
    rng: np.random.Generator,
) -> npt.NDArray[np.float32]:
    """The column moved as little as possible to the distribution of the sample."""
    known = np.sort(sample[~np.isnan(sample)])
    result = column.copy()
    if len(known) == 0 or len(column) == 0:
        return result
    wanted = round(len(column) * float(np.isnan(sample).mean()))
    absent = rng.permutation(np.flatnonzero(np.isnan(column)))
    present = rng.permutation(np.flatnonzero(~np.isnan(column)))
    filled = absent[wanted:]
    emptied = present[: max(0, wanted - len(absent))]
    kept = present[len(emptied) :]
    result[emptied] = np.nan
    result[filled] = rng.choice(known, len(filled))
    if profile.kind == "numeric":
        order = kept[np.argsort(column[kept], kind="stable")]
        ranks = (np.arange(len(order)) + 0.5) / max(len(order), 1)
        result[order] = known[(ranks * len(known)).astype(np.intp)]
    else:
        result[kept] = _recode(known, column[kept], len(profile.counts), rng)
    return result


def _recode(
    known: npt.NDArray[np.float32], codes: npt.NDArray[np.float32], size: int, rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Codes with surplus ones, picked at random, turned into those that are too few."""
    shares = np.bincount(known.astype(np.intp), minlength=size) / len(known)
    have = np.bincount(codes.astype(np.intp), minlength=size)
    want = np.floor(shares * len(codes)).astype(np.intp)
    # Rounding leaves some rows over: they stay where they are.
    result = codes.copy()
    givers: list[np.intp] = []
    for code in np.flatnonzero(have > want):
        rows = rng.permutation(np.flatnonzero(codes == code))
        givers.extend(rows[: have[code] - want[code]])
    takers = np.repeat(np.arange(size), np.maximum(want - have, 0))
    chosen = rng.permutation(np.array(givers, np.intp))[: len(takers)]
    result[chosen] = takers[: len(chosen)]
    return result


def _shares(counts: tuple[int, ...]) -> npt.NDArray[np.float64]:
    total = sum(counts)
    return np.array(counts) / total if total else np.zeros(len(counts))
