"""Why this score: the features with the largest exact Shapley values, in words."""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt

from leadscore.contract import FeatureContract
from leadscore.scoring.sentences import Direction, ReasonValue, sentences_of


class Reason(msgspec.Struct, frozen=True, gc=False):
    """One feature's part in one score.

    Attributes:
        feature: Name in the contract.
        value: The lead's value as the model saw it; None if missing or not one of the known categories.
        impact: Shapley value in log-odds, signed; those of all features and the base value sum to the margin.
        share: Part of the sum of all features' absolute impacts, 0-1.
        direction: Sign of the impact, in words.
        text: A sentence without jargon.
    """

    feature: str
    value: ReasonValue
    impact: float
    share: float
    direction: Direction
    text: str


class Explainer:
    """Turns Shapley values into reasons; made once per model."""

    __slots__ = ("_features", "_names")

    def __init__(self, contract: FeatureContract) -> None:
        self._names = tuple(feature.name for feature in contract.inputs)
        self._features = tuple(sentences_of(feature) for feature in contract.inputs)

    def value(self, column: int, encoded: float) -> ReasonValue:
        """A cell of an encoded row as the caller would write it; None if missing."""
        return self._features[column].say(encoded, "raises")[0]

    def reasons(
        self, row: npt.NDArray[np.float32], shapley: npt.NDArray[np.float64], top: int
    ) -> tuple[Reason, ...]:
        """The largest factors first; equal ones in contract order; features without any effect never.

        Args:
            row: The encoded lead, float32 (k,).
            shapley: Its Shapley values in log-odds, float64 (k + 1,), the base value last.
            top: How many at most.
        """
        impacts: list[float] = shapley.tolist()
        impacts.pop()
        sizes = [abs(impact) for impact in impacts]
        total = sum(sizes)
        # A full C sort of 25 or 100 floats is faster than a heap of `top` kept in Python.
        order = sorted(range(len(sizes)), key=sizes.__getitem__, reverse=True)[: max(top, 0)]
        found: list[Reason] = []
        for index in order:
            impact = impacts[index]
            if impact == 0.0:
                break
            direction: Direction = "raises" if impact > 0.0 else "lowers"
            value, text = self._features[index].say(float(row[index]), direction)
            found.append(Reason(self._names[index], value, impact, sizes[index] / total, direction, text))
        return tuple(found)
