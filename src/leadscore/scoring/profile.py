"""The reference profile: distributions of the training leads' features, in a few kilobytes.

Live counters, drift checks and LIME compare with it; `leadscore.drift.reference` builds it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

from leadscore.documents import DECODE_ERRORS, decode_json
from leadscore.errors import ArtefactError

SCORE_QUANTILES = 101


class FeatureProfile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One feature in the training window.

    Attributes:
        name: As in the contract.
        kind: As in the contract.
        edges: Numeric: inner cut points, k-1 for k bins; a value v is in bin `bisect_right(edges, v)`.
        counts: Rows per bin (numeric), per category in contract order with one last for unseen ones
            (categorical), or false and true (boolean). Missing values are not in it.
        missing: Rows without a value. Where `counts` has no unseen category, some of them may have been
            one: profiles of encoded rows (all that were written until unseen ones were counted, and
            those of logged leads) cannot tell.
        mean: Of the values, in the feature's unit (numeric only, as are the rest; None if no row has a
            value).
        std: Standard deviation of the values.
        minimum: Smallest value.
        maximum: Largest value.
        bin_means: Mean of the values in each bin (0 for an empty bin).
        bin_stds: Standard deviation of the values in each bin (0 for an empty bin).
    """

    name: str
    kind: Literal["numeric", "categorical", "boolean"]
    edges: tuple[float, ...] = ()
    counts: tuple[int, ...]
    missing: int
    mean: float | None = None
    std: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    bin_means: tuple[float, ...] = ()
    bin_stds: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.missing < 0 or any(count < 0 for count in self.counts):
            raise ValueError(f"feature {self.name!r} has a negative count")
        if not all(math.isfinite(edge) for edge in self.edges):
            raise ValueError(f"feature {self.name!r} has an edge that is not finite")
        if any(left >= right for left, right in zip(self.edges, self.edges[1:], strict=False)):
            raise ValueError(f"feature {self.name!r} has edges that do not increase")
        bins = len(self.counts)
        if self.kind == "numeric":
            if not (len(self.edges) + 1 == bins == len(self.bin_means) == len(self.bin_stds)):
                raise ValueError(f"feature {self.name!r} has bins whose counts, edges and means differ")
        elif self.edges or (self.kind == "boolean" and bins != 2) or bins < 2:
            raise ValueError(f"feature {self.name!r} has counts that do not fit its kind")


def comparable_cells(kind: str, counts: Sequence[int], missing: int) -> tuple[int, ...]:
    """Rows per cell of a feature as any two samples can be compared.

    Bins, categories or truth values, absent values last.

    An encoded lead has NaN for a category that the contract does not list as for no value at all, so most
    references (and the service's counters) have both in one number. They are one cell here; the cell of
    unlisted categories stays, empty, so that places of cells do not change.

    Args:
        kind: Of the feature.
        counts: As in `FeatureProfile.counts`.
        missing: Rows without a value.
    """
    if kind == "categorical":
        return (*counts[:-1], 0, missing + counts[-1])
    return (*counts, missing)


def feature_cells(
    feature: FeatureProfile, edges: npt.NDArray[np.float64], values: npt.NDArray[np.float32]
) -> npt.NDArray[np.intp]:
    """Cell of each value, float32 (n,), in the order of `comparable_cells`: the last one is "missing".

    The encoder makes NaN of a category that was unseen as of one that was missing, so both are counted as
    missing here; `leadscore_lead_warnings_total` tells of the unseen ones.

    Args:
        feature: Whose values they are.
        edges: Its cut points as an array.
        values: Encoded.
    """
    missing = np.isnan(values)
    if feature.kind == "numeric":
        bins = np.searchsorted(edges, values, side="right")
    else:
        bins = np.where(missing, 0.0, values).astype(np.intp)
    bins[missing] = len(feature.counts)
    return bins


class ReferenceProfile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The training window in counts.

    Attributes:
        rows: Rows it was built from.
        features: One per contract input, in matrix column order.
        score_edges: Inner cut points of the probability histogram.
        score_counts: Rows per probability bin; one more than `score_edges`.
        quantiles: 0 %, 1 %, …, 100 % quantiles of the probability (101 values, never decreasing).
    """

    rows: int
    features: tuple[FeatureProfile, ...]
    score_edges: tuple[float, ...]
    score_counts: tuple[int, ...]
    quantiles: tuple[float, ...]

    def __post_init__(self) -> None:
        for feature in self.features:
            if sum(feature.counts) + feature.missing != self.rows:
                raise ValueError(f"counts of feature {feature.name!r} do not add up to {self.rows} rows")
        if len(self.score_counts) != len(self.score_edges) + 1 or sum(self.score_counts) != self.rows:
            raise ValueError("score counts do not fit score edges and rows")
        if len(self.quantiles) != SCORE_QUANTILES:
            raise ValueError(f"quantiles must be {SCORE_QUANTILES} values")

    def to_json(self) -> bytes:
        """The document `reference.json`."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, data: bytes) -> ReferenceProfile:
        """Read `reference.json`; ArtefactError if it is not one."""
        try:
            return decode_json(data, type=ReferenceProfile)
        except DECODE_ERRORS as error:
            raise ArtefactError(f"reference.json is not a reference profile: {error}.") from error
