"""Why a lead's score changed between two predictions: its data, the model, or the calibration.

A score is the calibrated probability of a model's margin of a row. Three things may differ between two
predictions, and each is a player of a game whose value is the log-odds of the probability: the row, the
trees, the calibration. Each gets its Shapley value, the effect of its change averaged over all orders in
which the three can change, so neither order of "first the data, then the model" is preferred and the three
parts sum to the difference. The row's part is split between its features by the exact Shapley values of the
way from one row to the other (`NumpyKernel.shapley_between`), which are on the scale of margins; the
calibration's slope between the two ends carries them to log-odds (the rescale rule: Shrikumar et al. 2017).
The same rule carries log-odds to points of the score. Probabilities of 0 and 1 count as `_EDGE` from there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from leadscore.contract import Categorical, Feature, FeatureContract, contract_version
from leadscore.scoring.calibration import Calibration
from leadscore.scoring.forest import Doubles, Singles
from leadscore.scoring.model import ScoringModel
from leadscore.scoring.numpy_kernel import NumpyKernel
from leadscore.scoring.reasons import Explainer
from leadscore.scoring.sentences import ReasonValue, label_of, value_in_words

_EDGE: Final = 1e-6
# A stored probability that differs more from what its model says of its row was not made by them.
_SAME: Final = 1e-6
_STEP: Final = 1e-3
# Shapley's weights of three players: how many of the other two have changed before.
_ALONE, _BETWEEN, _LAST = 1 / 3, 1 / 6, 1 / 3


@dataclass(frozen=True, slots=True, eq=False)
class ScoredRow:
    """A stored prediction and the model that made it.

    Attributes:
        version: The model's version, for sentences.
        model: Loaded with `backend="numpy"`.
        row: Encoded lead, float32 (inputs,).
        probability: As it was answered.
    """

    version: str
    model: ScoringModel
    row: Singles
    probability: float


@dataclass(frozen=True, slots=True)
class ChangePart:
    """What one cause did to the score.

    Attributes:
        log_odds: To the log-odds of the probability.
        points: To the score (0 to 100).
    """

    log_odds: float
    points: float


@dataclass(frozen=True, slots=True)
class FeatureChange:
    """What one feature's new value did.

    Attributes:
        feature: Name in the contract.
        before: Value as the model saw it; None if missing or not a listed category.
        after: The same afterwards.
        part: Its effect.
        text: A sentence without jargon.
    """

    feature: str
    before: ReasonValue
    after: ReasonValue
    part: ChangePart
    text: str


@dataclass(frozen=True, slots=True)
class ChangeSplit:
    """The parts of a difference; together they are the whole.

    Attributes:
        features: Of the data: features whose value changed, largest effect first.
        model: Of the trees.
        calibration: Of the map from margins to probabilities.
    """

    features: tuple[FeatureChange, ...]
    model: ChangePart
    calibration: ChangePart

    @property
    def data(self) -> ChangePart:
        """All features together."""
        return ChangePart(
            math.fsum(change.part.log_odds for change in self.features),
            math.fsum(change.part.points for change in self.features),
        )


@dataclass(frozen=True, slots=True)
class ScoreChange:
    """The difference between two predictions of a lead.

    Attributes:
        log_odds: Later minus earlier.
        points: The same of the score, before rounding.
        split: Where it comes from; None if that cannot be said.
        not_comparable: Why not, in sentences; empty if it can.
        sentences: For people, most important first.
    """

    log_odds: float
    points: float
    split: ChangeSplit | None
    not_comparable: tuple[str, ...]
    sentences: tuple[str, ...]


def explain_change(before: ScoredRow, after: ScoredRow) -> ScoreChange:
    """Split the difference of two predictions of one lead.

    Two contracts encode rows differently, so predictions under two of them get the difference, the reason
    why it is not split, and which values of common features differ. So does a prediction that its model does
    not reproduce.
    """
    log_odds = _log_odds(after.probability) - _log_odds(before.probability)
    points = 100.0 * (after.probability - before.probability)
    why_not = _not_comparable(before, after)
    if why_not:
        said = (*why_not, *_differences(before, after))
        return ScoreChange(log_odds, points, None, why_not, said)
    split = _split(before, after, log_odds, points)
    return ScoreChange(log_odds, points, split, (), _sentences(before, after, split))


def _not_comparable(before: ScoredRow, after: ScoredRow) -> tuple[str, ...]:
    old, new = before.model.contract, after.model.contract
    if contract_version(old) != contract_version(new):
        why = (
            f"Version {after.version} reads leads by another list of fields than version {before.version},"
            " so the change cannot be split into data and model."
        )
        return (why, *_contract_differences(before, after))
    return tuple(
        f"The model of version {scored.version} does not give the stored score for the stored lead,"
        " so the change cannot be explained from it."
        for scored in (before, after)
        if abs(scored.model.score_row(scored.row).probability - scored.probability) > _SAME
    )


def _contract_differences(before: ScoredRow, after: ScoredRow) -> tuple[str, ...]:
    old = {feature.name: feature for feature in before.model.contract.inputs}
    new = {feature.name: feature for feature in after.model.contract.inputs}
    said: list[str] = []
    for what, names in (
        ("Only the newer version uses", [name for name in new if name not in old]),
        ("Only the older version uses", [name for name in old if name not in new]),
        ("Read in another way", [n for n in new if n in old and not _read_alike(old[n], new[n])]),
    ):
        if names:
            labels = (label_of((new | old)[name]) for name in names)
            said.append(f"{what}: {', '.join(labels)}.")
    return tuple(said)


def _read_alike(old: Feature, new: Feature) -> bool:
    if isinstance(old, Categorical) and isinstance(new, Categorical):
        return old.categories == new.categories
    return type(old) is type(new)


def _differences(before: ScoredRow, after: ScoredRow) -> tuple[str, ...]:
    """Values of features that both contracts have, where they differ."""
    old, new = _values(before), _values(after)
    features = {feature.name: feature for feature in after.model.contract.inputs}
    return tuple(
        f"{_went(features[name], old[name], value)}."
        for name, value in new.items()
        if name in old and old[name] != value
    )


def _values(scored: ScoredRow) -> dict[str, ReasonValue]:
    contract = scored.model.contract
    say = scored.model.explainer.value
    return {f.name: say(column, float(scored.row[column])) for column, f in enumerate(contract.inputs)}


def _split(before: ScoredRow, after: ScoredRow, log_odds: float, points: float) -> ChangeSplit:
    rows = (before.row, after.row)
    models = (before.model, after.model)
    maps = (before.model.calibration, after.model.calibration)
    margins = [[float(model.kernel.margin(row)) for row in rows] for model in models]
    value = [[[_log_odds(c.probability(margins[t][d])) for d in (0, 1)] for c in maps] for t in (0, 1)]
    ways = [_kernel(model).shapley_between(*rows) for model in models]
    data = np.zeros(len(before.row))
    for t, c, weight in ((0, 0, _ALONE), (0, 1, _BETWEEN), (1, 0, _BETWEEN), (1, 1, _LAST)):
        total = value[t][c][1] - value[t][c][0]
        slope = _slope(maps[c], (margins[t][0] + margins[t][1]) / 2)
        data += weight * _rescaled(ways[t], total, slope)
    trees = calibration = 0.0
    for d, other, weight in ((0, 0, _ALONE), (0, 1, _BETWEEN), (1, 0, _BETWEEN), (1, 1, _LAST)):
        trees += weight * (value[1][other][d] - value[0][other][d])
        calibration += weight * (value[other][1][d] - value[other][0][d])
    parts = np.append(data, (trees, calibration))
    # What the stored probabilities' rounding leaves goes where the change is.
    parts = _rescaled(parts, log_odds, 1.0)
    middle = (before.probability + after.probability) / 2
    scaled = _rescaled(parts, points, 100.0 * middle * (1.0 - middle))
    shares = [ChangePart(*pair) for pair in zip(parts.tolist(), scaled.tolist(), strict=True)]
    *of_features, of_model, of_calibration = shares
    return ChangeSplit(_feature_changes(before, after, of_features), of_model, of_calibration)


def _kernel(model: ScoringModel) -> NumpyKernel:
    if not isinstance(model.kernel, NumpyKernel):
        raise TypeError("changes are explained by models that were loaded with backend='numpy'")
    return model.kernel


def _feature_changes(
    before: ScoredRow, after: ScoredRow, parts: list[ChangePart]
) -> tuple[FeatureChange, ...]:
    contract: FeatureContract = after.model.contract
    explainer: Explainer = after.model.explainer
    found: list[FeatureChange] = []
    for column, (feature, part) in enumerate(zip(contract.inputs, parts, strict=True)):
        old, new = float(before.row[column]), float(after.row[column])
        if old == new or (math.isnan(old) and math.isnan(new)):
            continue
        values = explainer.value(column, old), explainer.value(column, new)
        text = f"{_went(feature, *values)}: {_effect(part.points)}."
        found.append(FeatureChange(feature.name, *values, part, text))
    return tuple(sorted(found, key=lambda change: -abs(change.part.log_odds)))


def _went(feature: Feature, before: ReasonValue, after: ReasonValue) -> str:
    old, new = value_in_words(feature, before), value_in_words(feature, after)
    return f"{label_of(feature)} went from {old} to {new}"


def _effect(points: float) -> str:
    if abs(points) < 0.05:
        return "no visible effect on the score"
    return f"{abs(points):.1f} points {'up' if points > 0 else 'down'}"


def _sentences(before: ScoredRow, after: ScoredRow, split: ChangeSplit) -> tuple[str, ...]:
    said = [change.text for change in split.features]
    if before.model.digest == after.model.digest:
        return (*said, *(() if said else ("Nothing changed: the same values, read by the same model.",)))
    versions = f"version {after.version} instead of version {before.version}"
    said.append(f"Another model weighs the lead ({versions}): {_effect(split.model.points)}.")
    if split.calibration.log_odds != 0.0:
        said.append(
            f"The newer model translates its ranking into chances anew: {_effect(split.calibration.points)}."
        )
    old, new = (s.model.grades.grade(after.probability) for s in (before, after))
    if old != new:
        said.append(f"The newer model's grades begin elsewhere: this score was a {old} before, now a {new}.")
    return tuple(said)


def _log_odds(probability: float) -> float:
    p = min(max(probability, _EDGE), 1.0 - _EDGE)
    return math.log(p) - math.log1p(-p)


def _slope(calibration: Calibration, margin: float) -> float:
    """Of the log-odds over the margin."""
    ends = (_log_odds(calibration.probability(margin + side)) for side in (-_STEP, _STEP))
    low, high = ends
    return (high - low) / (2.0 * _STEP)


def _rescaled(parts: Doubles, total: float, slope: float) -> Doubles:
    """The parts on another scale, where they sum to `total`.

    Args:
        parts: Effects on the first scale.
        total: Their sum on the second one.
        slope: Of the second scale over the first, used where the parts cancel, so that no quotient can be
            taken of their sum.
    """
    size = float(np.abs(parts).sum())
    if size == 0.0:
        return np.zeros_like(parts)
    whole = math.fsum(parts.tolist())
    scaled = parts * (total / whole if abs(whole) > 1e-4 * size else slope)
    rest = total - math.fsum(scaled.tolist())
    return scaled + rest * np.abs(parts) / size
