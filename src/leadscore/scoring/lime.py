"""LIME for one lead: a weighted linear model around it, from the reference profile alone.

After Ribeiro, Singh & Guestrin, "Why Should I Trust You?" (KDD 2016), in the tabular form of their `lime`
package: neighbours are drawn from the training distribution, feature by feature; each feature becomes "in the
same quarter as this lead's value" (numbers) or "the same value" (categories, yes/no, missing); neighbours
count by an exponential kernel of width 0.75·√k on that representation; a ridge regression on the best
features is the explanation. Prefer the exact reasons; this is for comparison with tools that speak LIME.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from leadscore.arrays import Floats
from leadscore.errors import BadInputError
from leadscore.scoring.model import ScoringModel
from leadscore.scoring.profile import FeatureProfile

MAX_SAMPLES = 100_000
# As in the lime package: forward selection is worth its time for short explanations only.
_FORWARD_UP_TO = 6


class LimeWeight(msgspec.Struct, frozen=True):
    """One feature of the local linear model.

    Attributes:
        feature: Name in the contract.
        condition: What the feature was turned into ("3 to 7", "referral", "missing"): true for this lead.
        weight: What the condition adds to the probability, in the neighbourhood.
    """

    feature: str
    condition: str
    weight: float


class LimeExplanation(msgspec.Struct, frozen=True, kw_only=True):
    """A local linear model of the probability.

    Attributes:
        weights: Largest absolute weight first.
        intercept: Probability that the local model gives when no condition holds.
        r2: Weighted R² of the local model on its neighbours: how much of the model it explains (1 is all).
        local_probability: What the local model says of this lead: intercept plus all weights.
        probability: What the model itself says.
        samples: Neighbours drawn, the lead included.
        seed: Same seed, same explanation.
    """

    weights: tuple[LimeWeight, ...]
    intercept: float
    r2: float
    local_probability: float
    probability: float
    samples: int
    seed: int


def explain_lime(
    model: ScoringModel,
    row: npt.NDArray[np.float32],
    *,
    samples: int = 1000,
    seed: int = 0,
    top: int = 5,
) -> LimeExplanation:
    """Explain one encoded lead.

    Args:
        model: The model.
        row: Encoded lead, float32 (k,).
        samples: Neighbours, 50-100,000; more make weights steadier.
        seed: Of the neighbours.
        top: Features in the explanation, at least 1.

    Raises:
        BadInputError: `samples` or `top` out of range.
    """
    if not 50 <= samples <= MAX_SAMPLES:
        raise BadInputError(f"samples is {samples}; allowed are 50 to {MAX_SAMPLES}.")
    if top < 1:
        raise BadInputError(f"top is {top}; ask for at least 1 feature.")
    rng = np.random.default_rng(seed)
    matrix = np.empty((samples, len(row)), dtype=np.float32)
    same = np.empty((samples, len(row)))
    for column, neighbourhood in enumerate(map(_neighbourhood, model.profile.features)):
        drawn = neighbourhood.draw(rng, samples)
        matrix[:, column] = drawn
        same[:, column] = neighbourhood.same(drawn, float(row[column]))
    matrix[0], same[0] = row, 1.0
    probabilities = model.score_rows(matrix)
    fit = _fit(same, probabilities, top)
    order = np.argsort(-np.abs(fit.weights), kind="stable")
    return LimeExplanation(
        weights=tuple(
            LimeWeight(
                model.profile.features[fit.columns[i]].name,
                _condition(model, int(fit.columns[i]), float(row[fit.columns[i]])),
                float(fit.weights[i]),
            )
            for i in order
        ),
        intercept=fit.intercept,
        r2=fit.r2,
        local_probability=fit.intercept + float(fit.weights.sum()),
        probability=float(probabilities[0]),
        samples=samples,
        seed=seed,
    )


@dataclass(frozen=True, slots=True)
class _Neighbourhood:
    """How one feature is drawn and compared. Cells are its bins or codes, and one last cell for "missing".

    Attributes:
        cumulative: Cumulative rows of the cells in the training data.
        centre: Of the values in each cell (NaN: missing).
        spread: Their standard deviation; normal, kept within `low` and `high`; 0 draws the centre.
        low: Lower end of each cell.
        high: Upper end of each cell.
        cuts: Quarters of the training rows (numbers), or between the codes.
    """

    cumulative: Floats
    centre: Floats
    spread: Floats
    low: Floats
    high: Floats
    cuts: Floats

    def draw(self, rng: np.random.Generator, n: int) -> Floats:
        """Values (n,) as the training data has them."""
        places: Floats = rng.random(n) * float(self.cumulative[-1])
        cells = np.searchsorted(self.cumulative, places, side="right")
        drawn = self.centre[cells] + self.spread[cells] * rng.standard_normal(n)
        low, high = self.low[cells], self.high[cells]
        outside = (drawn < low) | (drawn > high)
        # Clipping would pile the tails up on the edges of bins, where trees split.
        return np.where(outside, low + (high - low) * rng.random(n), drawn)

    def same(self, values: Floats, value: float) -> npt.NDArray[np.bool_]:
        """Whether each value counts as the same as the lead's: missing too, or between the same cuts."""
        if math.isnan(value):
            return np.isnan(values)
        between = np.searchsorted(self.cuts, values, side="right") == bisect_right(self.cuts.tolist(), value)
        return between & ~np.isnan(values)


def _neighbourhood(feature: FeatureProfile) -> _Neighbourhood:
    counts = np.array(feature.counts, dtype=np.float64)
    missing = float(feature.missing)
    if feature.kind == "categorical":
        # The last count is of unseen categories, which the model sees as missing.
        counts, missing = counts[:-1], missing + counts[-1]
    cells = len(counts)
    shares = np.append(counts, missing)
    if shares.sum() == 0.0:
        shares[-1] = 1.0
    if feature.kind != "numeric":
        codes = np.append(np.arange(cells, dtype=np.float64), np.nan)
        return _Neighbourhood(
            np.cumsum(shares),
            codes,
            np.zeros(cells + 1),
            codes,
            codes,
            np.arange(0.5, cells - 1, dtype=np.float64),
        )
    ends = np.concatenate(([feature.minimum or 0.0], feature.edges, [feature.maximum or 0.0]))
    return _Neighbourhood(
        cumulative=np.cumsum(shares),
        centre=np.append(feature.bin_means, np.nan),
        spread=np.append(feature.bin_stds, 0.0),
        low=np.append(ends[:-1], np.nan),
        high=np.append(ends[1:], np.nan),
        cuts=_quarters(counts, ends),
    )


def _quarters(counts: Floats, ends: Floats) -> Floats:
    """The quartiles of the training values, linear within bins: distinct, ascending, at most three."""
    cumulative = np.concatenate(([0.0], np.cumsum(counts)))
    places = np.array([0.25, 0.5, 0.75]) * float(cumulative[-1])
    return np.unique(np.asarray(np.interp(places, cumulative, ends), dtype=np.float64))


@dataclass(frozen=True, slots=True)
class _Fit:
    columns: npt.NDArray[np.intp]
    weights: Floats
    intercept: float
    r2: float


def _fit(same: Floats, target: Floats, top: int) -> _Fit:
    """Select features and fit the ridge regression; everything from the weighted moments, computed once."""
    k = same.shape[1]
    width = 0.75 * math.sqrt(k)
    squared_distance = (same == 0.0).sum(axis=1)
    importance = np.sqrt(np.exp(-squared_distance / width**2))
    total = importance.sum()
    means, target_mean = importance @ same / total, float(importance @ target / total)
    centred, residual = same - means, target - target_mean
    gram = centred.T @ (centred * importance[:, None])
    moment = centred.T @ (residual * importance)
    variance = float(importance @ residual**2)
    usable = np.flatnonzero(np.diag(gram) > 1e-9 * total)
    if len(usable) == 0 or variance == 0.0:
        return _Fit(usable[:0], np.zeros(0), target_mean, 1.0 if variance == 0.0 else 0.0)
    select = _forward if top <= _FORWARD_UP_TO else _highest
    columns = select(gram, moment, usable, top)
    inner = gram[np.ix_(columns, columns)]
    weights = _solve(inner + np.eye(len(columns)), moment[columns])
    explained = float(2 * weights @ moment[columns] - weights @ inner @ weights)
    return _Fit(columns, weights, target_mean - float(means[columns] @ weights), explained / variance)


def _forward(gram: Floats, moment: Floats, usable: npt.NDArray[np.intp], top: int) -> npt.NDArray[np.intp]:
    """Greedy: each step adds the feature with which least squares explains most (Gram-Schmidt on moments)."""
    gram, moment = gram.copy(), moment.copy()
    floor = 1e-9 * float(np.diag(gram).max())
    chosen: list[int] = []
    left = set(usable.tolist())
    while left and len(chosen) < top:
        candidates = np.array(sorted(left))
        diagonal = np.diag(gram)[candidates]
        gains = np.where(diagonal > floor, moment[candidates] ** 2 / np.maximum(diagonal, floor), -1.0)
        best = int(candidates[np.argmax(gains)])
        if gains.max() < 0.0:
            break
        chosen.append(best)
        left.discard(best)
        ratio = gram[:, best] / gram[best, best]
        moment -= ratio * moment[best]
        gram -= np.outer(ratio, gram[best])
    return np.array(chosen, dtype=np.intp)


def _highest(gram: Floats, moment: Floats, usable: npt.NDArray[np.intp], top: int) -> npt.NDArray[np.intp]:
    """The features with the largest weights in a ridge regression on all of them."""
    inner = gram[np.ix_(usable, usable)] + 0.01 * np.eye(len(usable))
    weights = _solve(inner, moment[usable])
    return usable[np.argsort(-np.abs(weights), kind="stable")[:top]]


def _solve(matrix: Floats, moment: Floats) -> Floats:
    return np.asarray(np.linalg.solve(matrix, moment), dtype=np.float64)


def _condition(model: ScoringModel, column: int, value: float) -> str:
    feature = model.profile.features[column]
    if math.isnan(value):
        return "missing"
    if feature.kind != "numeric":
        said = model.explainer.value(column, value)
        return "yes" if said is True else "no" if said is False else "missing" if said is None else str(said)
    cuts: list[float] = _neighbourhood(feature).cuts.tolist()
    place = bisect_right(cuts, value)
    if not cuts:
        return "any number"
    if place == 0:
        return f"below {cuts[0]:.6g}"
    return f"{cuts[-1]:.6g} or more" if place == len(cuts) else f"{cuts[place - 1]:.6g} to {cuts[place]:.6g}"
