"""A window of leads in counts: the reference profile's bins, missing and unseen values, means and extremes.

Counts add up, so a window may come in one matrix, in batches from the event store, or from the service's own
counters, and a detector's memory of windows without drift is their sum.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from leadscore.arrays import Matrix
from leadscore.errors import BadInputError
from leadscore.scoring.profile import FeatureProfile, ReferenceProfile, comparable_cells

Probabilities = npt.NDArray[np.float64]

# The columns of a block stay in the second-level cache while one comparison per cut runs over them. Comparing
# and counting is SIMD code and, for some dozens of cuts, three times as fast as sorting the column.
_BLOCK_ROWS: Final = 32_768


class FeatureCounts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One feature in a window.

    Attributes:
        counts: Rows per bin, category (one last for unseen ones) or truth value, as in
            `FeatureProfile.counts`.
        missing: Rows without a value (unseen categories not among them, as far as the window tells).
        below: Rows below the contract's range.
        above: Rows above it.
        fine: Rows per cell of the finer grid, empty without one; numeric features only, as are the rest.
        total: Sum of the values.
        minimum: Smallest value; None if there is none.
        maximum: Largest value.
    """

    counts: tuple[int, ...]
    missing: int
    below: int = 0
    above: int = 0
    fine: tuple[int, ...] = ()
    total: float = 0.0
    minimum: float | None = None
    maximum: float | None = None

    @property
    def present(self) -> int:
        """Rows with a value, unseen categories included."""
        return sum(self.counts)

    def cells(self, kind: str) -> tuple[int, ...]:
        """Rows per cell, absent values last, comparable with another sample's (see `comparable_cells`)."""
        return comparable_cells(kind, self.counts, self.missing)

    @property
    def mean(self) -> float | None:
        """Mean of the values; None if there is none (numeric features)."""
        return self.total / self.present if self.present else None


class WindowCounts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A window in counts.

    Attributes:
        rows: Leads.
        features: One per contract input, in matrix column order.
        scores: Leads per bin of the probability histogram; empty if the window has no probabilities.
    """

    rows: int
    features: tuple[FeatureCounts, ...]
    scores: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for feature in self.features:
            if feature.present + feature.missing != self.rows:
                raise ValueError(f"counts of a feature do not add up to {self.rows} rows")
        if self.scores and sum(self.scores) != self.rows:
            raise ValueError(f"score counts do not add up to {self.rows} rows")

    def __add__(self, other: WindowCounts) -> WindowCounts:
        """Both windows together."""
        if len(self.features) != len(other.features):
            raise BadInputError(
                f"Counts of {len(self.features)} and of {len(other.features)} features cannot be added.",
                hint="They belong to different contracts.",
            )
        return WindowCounts(
            rows=self.rows + other.rows,
            features=tuple(
                _add(left, right) for left, right in zip(self.features, other.features, strict=True)
            ),
            scores=_add_where_known(self.scores, self.rows, other.scores, other.rows),
        )


class Ranges(msgspec.Struct, frozen=True):
    """Per contract input the inclusive range that the contract allows; None where it is open."""

    low: tuple[float | None, ...]
    high: tuple[float | None, ...]


def count_window(
    profile: ReferenceProfile,
    matrix: Matrix,
    probabilities: Probabilities | None = None,
    *,
    unseen: Mapping[str, int] | None = None,
    ranges: Ranges | None = None,
    grid: tuple[tuple[float, ...], ...] | None = None,
) -> WindowCounts:
    """Count encoded leads into the bins of a profile.

    Args:
        profile: Whose bins.
        matrix: Encoded leads float32 (n, inputs), NaN for missing, categories as indices; any memory order.
        probabilities: Their scores (n,); None if the window has none.
        unseen: Per feature, how many of its missing values are categories that the contract does not list:
            the encoder makes NaN of both, only the request's warnings or the table tell them apart.
        ranges: What counts as below and above.
        grid: Per feature finer inner cut points (increasing), empty for none.

    Raises:
        BadInputError: The matrix has another number of columns than the profile, or a value is not finite.
    """
    if matrix.ndim != 2 or matrix.shape[1] != len(profile.features):
        raise BadInputError(
            f"The window's matrix has shape {matrix.shape}; the profile has "
            f"{len(profile.features)} features.",
            hint="Window and profile belong to different contracts.",
        )
    tallies = [
        _Tally(feature, grid[i] if grid else (), _limits(ranges, i))
        for i, feature in enumerate(profile.features)
    ]
    for start in range(0, len(matrix), _BLOCK_ROWS):
        block = np.ascontiguousarray(matrix[start : start + _BLOCK_ROWS].T)
        for tally, column in zip(tallies, block, strict=True):
            tally.add(column)
    features = tuple(
        tally.done((unseen or {}).get(feature.name, 0))
        for tally, feature in zip(tallies, profile.features, strict=True)
    )
    scores = () if probabilities is None else _scores(profile, probabilities, len(matrix))
    return WindowCounts(rows=len(matrix), features=features, scores=scores)


def empty_counts(profile: ReferenceProfile, *, scored: bool = True) -> WindowCounts:
    """No leads: what a sum begins with."""
    features = tuple(FeatureCounts(counts=(0,) * len(f.counts), missing=0) for f in profile.features)
    return WindowCounts(rows=0, features=features, scores=(0,) * len(profile.score_counts) if scored else ())


def reference_counts(profile: ReferenceProfile) -> WindowCounts:
    """The training window as if it were counted by `count_window` (without finer grid and range)."""
    return WindowCounts(
        rows=profile.rows,
        features=tuple(_as_counts(feature, profile.rows - feature.missing) for feature in profile.features),
        scores=profile.score_counts,
    )


def fine_grid(profile: ReferenceProfile, sample: Matrix, cuts: int = 40) -> tuple[tuple[float, ...], ...]:
    """Inner cut points of each numeric feature at about `cuts` quantiles of reference rows (n, inputs)."""
    grid: list[tuple[float, ...]] = []
    for i, feature in enumerate(profile.features):
        column = sample[:, i]
        values = column[~np.isnan(column)].astype(np.float64)
        if feature.kind != "numeric" or len(values) == 0:
            grid.append(())
            continue
        quantiles = np.unique(np.quantile(values, np.arange(1, cuts) / cuts, method="higher"))
        grid.append(tuple(quantiles[quantiles > values.min()].tolist()))
    return tuple(grid)


class _Tally:
    """Running counts of one column."""

    def __init__(
        self, feature: FeatureProfile, grid: tuple[float, ...], limits: tuple[float | None, float | None]
    ) -> None:
        self._feature = feature
        # One pass for both kinds of cuts: how many values are at or above each.
        self._cuts = np.unique(np.array([*feature.edges, *grid], np.float32))
        self._grid = grid
        self._limits = limits
        self._at_least = np.zeros(len(self._cuts), np.int64)
        self._codes = np.zeros(len(feature.counts) + 1, np.int64)
        self._rows = self._missing = self._below = self._above = 0
        self._total = 0.0
        self._minimum, self._maximum = np.inf, -np.inf

    def add(self, column: npt.NDArray[np.float32]) -> None:
        self._rows += len(column)
        if self._feature.kind == "numeric":
            self._add_numbers(column)
        else:
            self._add_codes(column)

    def _add_numbers(self, column: npt.NDArray[np.float32]) -> None:
        for i, cut in enumerate(self._cuts):
            self._at_least[i] += np.count_nonzero(column >= cut)
        low, high = self._limits
        if low is not None:
            self._below += int(np.count_nonzero(column < np.float32(low)))
        if high is not None:
            self._above += int(np.count_nonzero(column > np.float32(high)))
        total = float(column.sum(dtype=np.float64))
        values = column
        if not np.isfinite(total):
            values = column[~np.isnan(column)]
            self._missing += len(column) - len(values)
            total = float(values.sum(dtype=np.float64))
            if not np.isfinite(total):
                raise BadInputError(f"Feature {self._feature.name!r} has a value that is not finite.")
        self._total += total
        if len(values):
            self._minimum = min(self._minimum, float(values.min()))
            self._maximum = max(self._maximum, float(values.max()))

    def _add_codes(self, column: npt.NDArray[np.float32]) -> None:
        last = len(self._codes) - 1
        # Missing becomes one more code; a code that the profile does not know is refused, not folded in.
        codes = np.where(np.isnan(column), np.float32(last), column).astype(np.intp)
        if len(codes) and (codes.min() < 0 or codes.max() > last):
            raise BadInputError(
                f"Feature {self._feature.name!r} has a category code outside the profile's.",
                hint="Window and profile belong to different contracts.",
            )
        self._codes += np.bincount(codes, minlength=last + 1)

    def done(self, unseen: int) -> FeatureCounts:
        if self._feature.kind != "numeric":
            return self._done_codes(unseen)
        some = self._rows > self._missing
        return FeatureCounts(
            counts=self._between(np.array(self._feature.edges, np.float32)),
            missing=self._missing,
            below=self._below,
            above=self._above,
            fine=self._between(np.array(self._grid, np.float32)) if self._grid else (),
            total=self._total,
            minimum=self._minimum if some else None,
            maximum=self._maximum if some else None,
        )

    def _done_codes(self, unseen: int) -> FeatureCounts:
        counts = self._codes[:-1].copy()
        missing = int(self._codes[-1])
        if not 0 <= unseen <= missing:
            raise BadInputError(
                f"Feature {self._feature.name!r}: {unseen} unseen categories among {missing} missing values."
            )
        if self._feature.kind == "categorical":
            counts[-1] += unseen
            missing -= unseen
        return FeatureCounts(counts=tuple(counts.tolist()), missing=missing)

    def _between(self, cuts: npt.NDArray[np.float32]) -> tuple[int, ...]:
        at_least = self._at_least[np.searchsorted(self._cuts, cuts)]
        steps = np.concatenate([[self._rows - self._missing], at_least, [0]])
        return tuple((steps[:-1] - steps[1:]).tolist())


def _scores(profile: ReferenceProfile, probabilities: Probabilities, rows: int) -> tuple[int, ...]:
    if len(probabilities) != rows:
        raise BadInputError(f"The window has {rows} rows and {len(probabilities)} probabilities.")
    if not np.isfinite(probabilities).all():
        raise BadInputError("A probability of the window is not a number.")
    at_least = [np.count_nonzero(probabilities >= edge) for edge in profile.score_edges]
    steps = np.array([rows, *at_least, 0])
    return tuple((steps[:-1] - steps[1:]).tolist())


def _limits(ranges: Ranges | None, index: int) -> tuple[float | None, float | None]:
    return (None, None) if ranges is None else (ranges.low[index], ranges.high[index])


def _as_counts(feature: FeatureProfile, present: int) -> FeatureCounts:
    return FeatureCounts(
        counts=feature.counts,
        missing=feature.missing,
        total=0.0 if feature.mean is None else feature.mean * present,
        minimum=feature.minimum,
        maximum=feature.maximum,
    )


def _add(left: FeatureCounts, right: FeatureCounts) -> FeatureCounts:
    lows = [v for v in (left.minimum, right.minimum) if v is not None]
    highs = [v for v in (left.maximum, right.maximum) if v is not None]
    return FeatureCounts(
        counts=_add_counts(left.counts, right.counts),
        missing=left.missing + right.missing,
        below=left.below + right.below,
        above=left.above + right.above,
        fine=_add_where_known(left.fine, left.present, right.fine, right.present),
        total=left.total + right.total,
        minimum=min(lows, default=None),
        maximum=max(highs, default=None),
    )


def _add_where_known(
    left: tuple[int, ...], left_rows: int, right: tuple[int, ...], right_rows: int
) -> tuple[int, ...]:
    """Sum of counts that a side may lack.

    A sum over a part of the rows would be no sum, so then there is none.
    """
    if not left_rows:
        return right if right_rows else left or right
    if not right_rows:
        return left
    return _add_counts(left, right) if left and right else ()


def _add_counts(left: tuple[int, ...], right: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip(left, right, strict=True))
