"""What a check compares: a model's reference and a window, prepared once."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

import msgspec
import numpy as np
import numpy.typing as npt

from leadscore.contract import Categorical, FeatureContract, Numeric
from leadscore.drift.statistics.overlap import CellMatrix, independent_cells
from leadscore.drift.windows.counts import (
    Matrix,
    Probabilities,
    Ranges,
    WindowCounts,
    count_window,
    fine_grid,
    reference_counts,
)
from leadscore.scoring.profile import ReferenceProfile, comparable_cells, feature_cells


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """What a model was trained on, in the form that checks take.

    Attributes:
        model_name: Registered name.
        model_version: Its version.
        contract: Its feature contract.
        profile: Its reference profile.
        sample: Sampled reference rows (n, inputs); None if there are none.
        base: The profile in counts, with the finer grid's counts where there is a sample.
        grid: Finer cut points per feature.
        ranges: The contract's ranges.
        cells: Cell of each sampled row per feature and, last, of its score.
        attention: Mean absolute Shapley value of each feature in each of its cells, missing last; None if
            unknown.
    """

    model_name: str
    model_version: str
    contract: FeatureContract
    profile: ReferenceProfile
    sample: Matrix | None
    base: WindowCounts
    grid: tuple[tuple[float, ...], ...] | None
    ranges: Ranges
    cells: CellMatrix
    attention: tuple[tuple[float, ...], ...] | None = None

    @classmethod
    def of(
        cls,
        model_name: str,
        model_version: str,
        contract: FeatureContract,
        profile: ReferenceProfile,
        *,
        sample: Matrix | None = None,
        sample_probabilities: Probabilities | None = None,
        explained: tuple[Matrix, npt.NDArray[np.float64]] | None = None,
    ) -> Self:
        """Prepare a reference.

        Args:
            model_name: Registered name.
            model_version: Its version.
            contract: Its feature contract.
            profile: Its reference profile.
            sample: Rows of `reference_sample.arrow` (n, inputs): they tell how features hang together, and
                allow a finer grid for KS and triage by rows.
            sample_probabilities: The model's probabilities of the same rows (n,).
            explained: Some reference rows and their Shapley values, both (m, inputs).
        """
        base = reference_counts(profile)
        grid = None
        if sample is not None and len(sample):
            grid = fine_grid(profile, sample)
            base = _with_fine(base, count_window(profile, sample, grid=grid))
            cells = _cells(profile, sample, sample_probabilities)
        else:
            sample = None
            counts = [comparable_cells(f.kind, f.counts, f.missing) for f in profile.features]
            counts.append((*profile.score_counts, 0))
            cells = independent_cells(tuple(np.array(c[:-1]) for c in counts), tuple(c[-1] for c in counts))
        attention = None if explained is None else _attention(profile, *explained)
        return cls(
            model_name=model_name,
            model_version=model_version,
            contract=contract,
            profile=profile,
            sample=sample,
            base=base,
            grid=grid,
            ranges=ranges_of(contract),
            cells=cells,
            attention=attention,
        )

    @property
    def model(self) -> str:
        """`NAME/VERSION`."""
        return f"{self.model_name}/{self.model_version}"

    def in_range(self, index: int) -> bool:
        """Whether the training window is known to keep the contract's range of a feature."""
        low, high = self.ranges.low[index], self.ranges.high[index]
        feature = self.profile.features[index]
        if (low is None and high is None) or feature.minimum is None or feature.maximum is None:
            return False
        return (low is None or feature.minimum >= low) and (high is None or feature.maximum <= high)


@dataclass(frozen=True, slots=True, eq=False)
class LeadWindow:
    """Leads of a span of time.

    Attributes:
        start: First moment, with a zone.
        end: First moment after it.
        counts: In the reference's bins.
        rows: The encoded leads, or some of them, for triage and impact; None if only counts are known.
        probabilities: Of all leads (n,); None if only counts are known.
        unseen_values: Per feature the texts that the contract does not list, with their number of rows, if
            known.
    """

    start: datetime
    end: datetime
    counts: WindowCounts
    rows: Matrix | None = None
    probabilities: Probabilities | None = None
    unseen_values: Mapping[str, Mapping[str, int]] = field(default_factory=dict[str, Mapping[str, int]])

    @classmethod
    def of(
        cls,
        reference: Reference,
        start: datetime,
        end: datetime,
        matrix: Matrix,
        probabilities: Probabilities | None = None,
        *,
        unseen: Mapping[str, int] | None = None,
        unseen_values: Mapping[str, Mapping[str, int]] | None = None,
    ) -> Self:
        """Count a window of encoded leads (n, inputs) with their probabilities (n,)."""
        counts = count_window(
            reference.profile,
            matrix,
            probabilities,
            unseen=unseen,
            ranges=reference.ranges,
            grid=reference.grid,
        )
        return cls(
            start, end, counts, rows=matrix, probabilities=probabilities, unseen_values=unseen_values or {}
        )


def ranges_of(contract: FeatureContract) -> Ranges:
    """The ranges that the contract's inputs state."""
    limits = [f.range if isinstance(f, Numeric) else (None, None) for f in contract.inputs]
    return Ranges(low=tuple(low for low, _ in limits), high=tuple(high for _, high in limits))


def cell_labels(reference: Reference, index: int) -> tuple[str, ...]:
    """What to call each cell of a feature, absent values last.

    The number of features stands for the score.
    """
    profile = reference.profile
    if index == len(profile.features):
        return (*_intervals(profile.score_edges), "missing")
    feature, described = profile.features[index], reference.contract.inputs[index]
    if isinstance(described, Categorical):
        return (*described.categories, "unlisted", "missing or unlisted")
    if feature.kind == "boolean":
        return ("false", "true", "missing")
    return (*_intervals(feature.edges), "missing")


def _intervals(edges: tuple[float, ...]) -> tuple[str, ...]:
    if not edges:
        return ("all",)
    words = [f"{edge:,.0f}" if abs(edge) >= 10_000 else f"{edge:.4g}" for edge in edges]
    inner = [f"{low} – {high}" for low, high in itertools.pairwise(words)]
    return (f"< {words[0]}", *inner, f"≥ {words[-1]}")


def _with_fine(base: WindowCounts, sample: WindowCounts) -> WindowCounts:
    features = tuple(
        msgspec.structs.replace(mine, fine=theirs.fine)
        for mine, theirs in zip(base.features, sample.features, strict=True)
    )
    return msgspec.structs.replace(base, features=features)


def _cells(profile: ReferenceProfile, sample: Matrix, probabilities: Probabilities | None) -> CellMatrix:
    columns = [
        cells_of(np.array(feature.edges) if feature.kind == "numeric" else None, sample[:, i])
        for i, feature in enumerate(profile.features)
    ]
    # Without probabilities the score counts as independent, which can only make critical values stricter.
    scores = (
        independent_cells((np.array(profile.score_counts),), (0,))[np.arange(len(sample)) % 8_000, 0]
        if probabilities is None
        else np.searchsorted(np.array(profile.score_edges), probabilities, side="right")
    )
    return np.stack([*columns, scores.astype(np.int64)], axis=1)


def cells_of(edges: npt.NDArray[np.float64] | None, column: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Cell of each value, -1 for missing; `edges` None for codes."""
    absent = np.isnan(column)
    if edges is None:
        return np.where(absent, -1.0, column).astype(np.int64)
    return np.where(absent, -1, np.searchsorted(edges, column, side="right")).astype(np.int64)


def _attention(
    profile: ReferenceProfile, rows: Matrix, shapley: npt.NDArray[np.float64]
) -> tuple[tuple[float, ...], ...]:
    result: list[tuple[float, ...]] = []
    for i, feature in enumerate(profile.features):
        size = len(feature.counts) + 1
        place = feature_cells(feature, np.array(feature.edges), rows[:, i])
        totals = np.bincount(place, weights=np.abs(shapley[:, i]), minlength=size)
        hits = np.bincount(place, minlength=size)
        # A cell that no row was in gets the feature's mean.
        mean = totals.sum() / max(len(rows), 1)
        result.append(tuple(np.where(hits > 0, totals / np.maximum(hits, 1), mean).tolist()))
    return tuple(result)
