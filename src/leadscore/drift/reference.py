"""The reference profile that later windows are compared with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from leadscore.contract import Boolean, Categorical, Feature, FeatureContract
from leadscore.scoring.profile import SCORE_QUANTILES, FeatureProfile, ReferenceProfile

REFERENCE_BINS = 10

FloatColumn = npt.NDArray[np.float32]


def build_profile(
    contract: FeatureContract,
    matrix: npt.NDArray[np.float32],
    probabilities: npt.NDArray[np.float64],
    *,
    unseen: Sequence[int] | None = None,
) -> ReferenceProfile:
    """Count encoded leads into bins.

    Numbers are cut at their deciles (fewer bins where values repeat), so that each bin is about as likely as
    the others and small shifts show.

    Args:
        contract: Whose inputs the columns are.
        matrix: Encoded leads float32 (n, inputs).
        probabilities: Scores of the same leads (n,), of a model that has not trained on them: a model is
            surer of leads it knows, and live scores would seem to drift.
        unseen: Per input, how many of the leads have a category that the contract does not list
            (`EncodedBatch.unseen`). They are missing in the matrix; None (logged leads, whose texts
            nobody kept) counts them as missing.
    """
    unlisted = [0] * len(contract.inputs) if unseen is None else [int(count) for count in unseen]
    edges = _edges(probabilities)
    return ReferenceProfile(
        rows=len(matrix),
        features=tuple(_profile(f, matrix[:, i], unlisted[i]) for i, f in enumerate(contract.inputs)),
        score_edges=tuple(edges.tolist()),
        score_counts=_counts(np.searchsorted(edges, probabilities, side="right"), len(edges) + 1),
        quantiles=tuple(np.quantile(probabilities, np.linspace(0, 1, SCORE_QUANTILES)).tolist()),
    )


def _profile(feature: Feature, column: FloatColumn, unseen: int) -> FeatureProfile:
    present = column[~np.isnan(column)]
    missing = len(column) - len(present)
    if isinstance(feature, Categorical):
        counts = (*_counts(present, len(feature.categories)), unseen)
        return FeatureProfile(name=feature.name, kind="categorical", counts=counts, missing=missing - unseen)
    if isinstance(feature, Boolean):
        return FeatureProfile(name=feature.name, kind="boolean", counts=_counts(present, 2), missing=missing)
    return _numeric(feature.name, present.astype(np.float64), missing)


def _numeric(name: str, values: npt.NDArray[np.float64], missing: int) -> FeatureProfile:
    edges = _edges(values)
    bins = np.searchsorted(edges, values, side="right")
    counts = np.bincount(bins, minlength=len(edges) + 1)
    filled = np.maximum(counts, 1)
    means = np.bincount(bins, weights=values, minlength=len(counts)) / filled
    squares = np.bincount(bins, weights=(values - means[bins]) ** 2, minlength=len(counts)) / filled
    empty = len(values) == 0
    return FeatureProfile(
        name=name,
        kind="numeric",
        edges=tuple(edges.tolist()),
        counts=tuple(counts.tolist()),
        missing=missing,
        mean=None if empty else float(values.mean()),
        std=None if empty else float(values.std()),
        minimum=None if empty else float(values.min()),
        maximum=None if empty else float(values.max()),
        bin_means=tuple(means.tolist()),
        bin_stds=tuple(np.sqrt(squares).tolist()),
    )


def _edges(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Inner cut points at the deciles; every cut is a value that occurs and no bin is empty."""
    if len(values) == 0:
        return np.empty(0)
    cuts = np.unique(np.quantile(values, np.arange(1, REFERENCE_BINS) / REFERENCE_BINS, method="higher"))
    return cuts[cuts > values.min()]


def _counts(codes: npt.NDArray[np.generic], length: int) -> tuple[int, ...]:
    return tuple(np.bincount(codes.astype(np.intp), minlength=length).tolist())
