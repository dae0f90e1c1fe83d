"""Compare how the model treats groups.

Selection rates and error rates per slice of each sensitive attribute.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import msgspec
import numpy as np
import numpy.typing as npt

from leadscore.contract import Categorical, Feature, FeatureContract, Numeric
from leadscore.intervals import Estimate, Flags, Floats, percentile_estimate

REPLICATES = 2000
_CELLS = 4


class SliceMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """One group.

    Attributes:
        name: Category, `true`/`false`, a quartile's range, or `(missing)`.
        rows: Leads.
        positives: Converted leads.
        too_few: Fewer leads than the minimum: counted, but without figures.
        selection_rate: Share called likely.
        true_positive_rate: Share of the converted leads called likely; None without converted leads.
        false_positive_rate: Share of the other leads called likely; None without other leads.
    """

    name: str
    rows: int
    positives: int
    too_few: bool
    selection_rate: Estimate | None = None
    true_positive_rate: Estimate | None = None
    false_positive_rate: Estimate | None = None


class AttributeFairness(msgspec.Struct, frozen=True, kw_only=True):
    """One sensitive attribute over its groups (those with too few leads left out of the comparison).

    Attributes:
        attribute: Name of the feature.
        slices: Its groups.
        demographic_parity_difference: Largest minus smallest selection rate; None with fewer than two groups.
        demographic_parity_ratio: Smallest by largest selection rate.
        equalized_odds_difference: The larger of the spreads of true and of false positive rates.
        note: Why a figure is missing; empty if none is.
    """

    attribute: str
    slices: tuple[SliceMetrics, ...]
    demographic_parity_difference: Estimate | None
    demographic_parity_ratio: Estimate | None
    equalized_odds_difference: Estimate | None
    note: str


@dataclass(frozen=True, slots=True, eq=False)
class Slices:
    """A sensitive attribute as group codes (n,) and the groups' names."""

    attribute: str
    codes: npt.NDArray[np.intp]
    names: tuple[str, ...]

    def at(self, rows: npt.NDArray[np.intp]) -> Slices:
        """The same attribute for some of the leads."""
        return Slices(self.attribute, self.codes[rows], self.names)


def slice_features(features: Sequence[Feature], matrix: npt.NDArray[np.float32]) -> tuple[Slices, ...]:
    """Groups of each feature from its encoded column: categories, true/false, quartiles.

    Missing is a group.
    """
    return tuple(_slices(f, matrix[:, i]) for i, f in enumerate(features))


def sensitive_contract(contract: FeatureContract) -> FeatureContract | None:
    """A contract whose inputs are the sensitive features, audit-only ones included; None if there are none.

    With it the ordinary encoder reads the attributes that never enter the model.
    """
    if not contract.sensitive:
        return None
    inputs = tuple(msgspec.structs.replace(f, input=True, required=False) for f in contract.sensitive)
    return msgspec.structs.replace(contract, features=inputs)


def measure_fairness(
    slices: Slices,
    converted: Flags,
    likely: Flags,
    *,
    min_group: int = 100,
    confidence: float = 0.95,
    seed: int = 0,
) -> AttributeFairness:
    """Figures per group and their spreads, with bootstrap intervals (leads resampled within each group).

    Definitions as in Fairlearn (Bird et al. 2020); groups smaller than `min_group` are named, not measured.
    """
    cells = _cells(slices, converted, likely)
    kept = cells.sum(axis=1) >= max(1, min_group)
    draws = _draws(cells, np.random.default_rng(seed))
    figures = tuple(
        _slice(name, cells[i], draws[:, i], few=not kept[i], confidence=confidence)
        for i, name in enumerate(slices.names)
        if cells[i].sum()
    )
    comparison = _compare(cells[kept], draws[:, kept], confidence) if kept.sum() > 1 else (None, None, None)
    return AttributeFairness(
        attribute=slices.attribute,
        slices=figures,
        demographic_parity_difference=comparison[0],
        demographic_parity_ratio=comparison[1],
        equalized_odds_difference=comparison[2],
        note=_note(int(kept.sum()), int(cells.any(axis=1).sum()), comparison[2], min_group),
    )


def spreads(cells: Floats) -> tuple[Floats, Floats, Floats]:
    """Demographic parity difference and ratio and equalized odds difference from counts (…, groups, 4).

    The four counts of a group are: converted and likely, converted and not, other and likely, other and not.
    A rate that a group does not have (no converted lead) is left out; NaN where fewer than two have it.
    """
    won, lost = cells[..., 0] + cells[..., 1], cells[..., 2] + cells[..., 3]
    selected = _share(cells[..., 0] + cells[..., 2], won + lost)
    odds = np.fmax(_spread(_share(cells[..., 0], won)), _spread(_share(cells[..., 2], lost)))
    top = selected.max(axis=-1)
    ratio = np.divide(selected.min(axis=-1), top, out=np.ones_like(top), where=top > 0)
    return _spread(selected), ratio, odds


def _slices(feature: Feature, column: npt.NDArray[np.float32]) -> Slices:
    missing = np.isnan(column)
    if isinstance(feature, Categorical):
        names = feature.categories
        codes = np.where(missing, len(names), np.nan_to_num(column)).astype(np.intp)
    elif isinstance(feature, Numeric):
        cuts = (
            np.unique(np.quantile(column[~missing], [0.25, 0.5, 0.75])) if (~missing).any() else np.empty(0)
        )
        names = _ranges(cuts)
        codes = np.where(missing, len(names), np.searchsorted(cuts, column, side="left"))
    else:
        names = ("false", "true")
        codes = np.where(missing, 2, np.nan_to_num(column)).astype(np.intp)
    return Slices(feature.name, codes, (*names, "(missing)"))


def _ranges(cuts: npt.NDArray[np.floating]) -> tuple[str, ...]:
    if len(cuts) == 0:
        return ("all",)
    inner = [f"> {low:g}, ≤ {high:g}" for low, high in pairwise(cuts)]
    return (f"≤ {cuts[0]:g}", *inner, f"> {cuts[-1]:g}")


def _cells(slices: Slices, converted: Flags, likely: Flags) -> Floats:
    cell = 2 * (~converted).astype(np.intp) + ~likely
    counts = np.bincount(slices.codes * _CELLS + cell, minlength=len(slices.names) * _CELLS)
    return counts.reshape(len(slices.names), _CELLS).astype(np.float64)


def _draws(cells: Floats, rng: np.random.Generator) -> Floats:
    """Counts of resampled groups, (replicates, groups, 4).

    Rows enter the figures only through these counts.
    """
    sizes = cells.sum(axis=1)
    shares = np.where(sizes[:, None] > 0, cells / np.maximum(sizes, 1)[:, None], 1 / _CELLS)
    return rng.multinomial(sizes.astype(np.int64), shares, size=(REPLICATES, len(cells))).astype(np.float64)


def _slice(name: str, cells: Floats, draws: Floats, *, few: bool, confidence: float) -> SliceMetrics:
    rows, positives = int(cells.sum()), int(cells[0] + cells[1])
    if few:
        return SliceMetrics(name=name, rows=rows, positives=positives, too_few=True)

    def rate(numerator: Sequence[int], denominator: Sequence[int]) -> Estimate | None:
        if cells[list(denominator)].sum() == 0:
            return None
        point, drawn = (
            _share(c[..., list(numerator)].sum(axis=-1), c[..., list(denominator)].sum(axis=-1))
            for c in (cells, draws)
        )
        return percentile_estimate(float(point), drawn, confidence)

    return SliceMetrics(
        name=name,
        rows=rows,
        positives=positives,
        too_few=False,
        selection_rate=rate((0, 2), (0, 1, 2, 3)),
        true_positive_rate=rate((0,), (0, 1)),
        false_positive_rate=rate((2,), (2, 3)),
    )


def _compare(cells: Floats, draws: Floats, confidence: float) -> tuple[Estimate | None, ...]:
    points, drawn = spreads(cells), spreads(draws)
    return tuple(
        percentile_estimate(float(p), d, confidence) if np.isfinite(p) else None
        for p, d in zip(points, drawn, strict=True)
    )


def _note(measured: int, present: int, odds: Estimate | None, min_group: int) -> str:
    parts: list[str] = []
    if measured < present:
        parts.append(f"{present - measured} group(s) have fewer than {min_group} leads")
    if measured < 2:
        parts.append("fewer than two groups can be compared")
    elif odds is None:
        parts.append("no two groups have converted or other leads to compare")
    return "; ".join(parts)


def _share(part: Floats, whole: Floats) -> Floats:
    part, whole = np.asarray(part), np.asarray(whole)
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def _spread(rates: Floats) -> Floats:
    enough = np.isfinite(rates).sum(axis=-1) > 1
    highest = np.fmax.reduce(rates, axis=-1)
    lowest = np.fmin.reduce(rates, axis=-1)
    return np.where(enough, highest - lowest, np.nan)
