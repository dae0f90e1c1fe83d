"""Map margins (log-odds of the trees) to calibrated probabilities."""

from __future__ import annotations

import itertools
import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Literal, Self

import msgspec
import numpy as np
import numpy.typing as npt

from leadscore.documents import DECODE_ERRORS, decode_json
from leadscore.errors import ArtefactError

# exp overflows float64 just above 709; beyond this bound the probability is 0 or 1 to 300 digits anyway.
_SATURATION = 700.0
_BETA_REACH, _BETA_KNOTS = 16.0, 129


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A non-decreasing map from margin to probability, fitted by training, applied by every scorer.

    It does not decrease in floating point either: a higher margin never gets a lower probability.

    Attributes:
        method: `identity` (the logistic function), `intercept` (shifted, for another base rate), `platt` (the
            logistic function of a line: Platt 1999), `isotonic` (linear between knots, constant outside them:
            Zadrozny & Elkan 2002, interpolated) or `beta` (Kull et al. 2017, its curve as knots).
        slope: Of the line (`platt`); greater than 0.
        intercept: Of the line (`platt`) or the shift (`intercept`).
        knot_margins: Strictly increasing margins (`isotonic` and `beta`, at least one).
        knot_probabilities: Their probabilities, never decreasing, within 0 and 1.
    """

    method: Literal["identity", "intercept", "platt", "isotonic", "beta"] = "identity"
    slope: float = 1.0
    intercept: float = 0.0
    knot_margins: tuple[float, ...] = ()
    knot_probabilities: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.method in {"isotonic", "beta"}:
            _check_knots(self.knot_margins, self.knot_probabilities)
        elif self.knot_margins or self.knot_probabilities:
            raise ValueError(f"method {self.method} takes no knots")
        if not (math.isfinite(self.slope) and self.slope > 0 and math.isfinite(self.intercept)):
            raise ValueError("slope must be finite and greater than 0, intercept finite")
        if self.method != "platt" and self.slope != 1.0:
            raise ValueError(f"method {self.method} takes no slope")
        if self.method not in {"platt", "intercept"} and self.intercept != 0.0:
            raise ValueError(f"method {self.method} takes no intercept")

    @classmethod
    def shifted(cls, intercept: float) -> Self:
        """Logistic function of `margin + intercept`."""
        return cls(method="intercept", intercept=float(intercept))

    @classmethod
    def beta(cls, a: float, b: float, c: float) -> Self:
        """Beta calibration: log-odds a·ln p - b·ln(1 - p) + c of p, the logistic function of the margin.

        Kept as knots between which it is linear (error below 0.001), since a sum of logarithms does not rise
        in its last bit; constant beyond margins of ±16. ValueError unless a and b are at least 0, one of them
        greater.
        """
        if not (math.isfinite(a + b + c) and min(a, b) >= 0 and max(a, b) > 0):
            raise ValueError("a and b must be at least 0, one of them greater than 0, and all finite")
        margins = np.linspace(-_BETA_REACH, _BETA_REACH, _BETA_KNOTS)
        z = np.clip(
            c + b * np.logaddexp(0, margins) - a * np.logaddexp(0, -margins), -_SATURATION, _SATURATION
        )
        return cls(
            method="beta",
            knot_margins=tuple(float(m) for m in margins),
            knot_probabilities=tuple(float(p) for p in np.maximum.accumulate(1 / (1 + np.exp(-z)))),
        )

    @classmethod
    def platt(cls, slope: float, intercept: float) -> Self:
        """Logistic function of `slope * margin + intercept`; ValueError unless slope > 0."""
        return cls(method="platt", slope=float(slope), intercept=float(intercept))

    @classmethod
    def isotonic(cls, margins: Sequence[float], probabilities: Sequence[float]) -> Self:
        """Piecewise linear through the knots; ValueError unless they increase."""
        return cls(
            method="isotonic",
            knot_margins=tuple(float(m) for m in margins),
            knot_probabilities=tuple(float(p) for p in probabilities),
        )

    def probability(self, margin: float) -> float:
        """Probability of one margin (hot path: plain floats, no arrays)."""
        if self.knot_margins:
            return _interpolate(margin, self.knot_margins, self.knot_probabilities)
        z = self.slope * margin + self.intercept
        if z > _SATURATION:
            return 1.0
        # One formula on both sides of 0: exp(z) / (1 + exp(z)) would not be monotone in its last bit.
        return 1.0 / (1.0 + math.exp(-z)) if z > -_SATURATION else 0.0

    def probabilities(self, margins: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Probabilities, float64 (n,), of margins (n,); each the same, to the last bit, as `probability`."""
        z = np.asarray(margins, dtype=np.float64)
        if self.knot_margins:
            return _interpolate_many(z, self.knot_margins, self.knot_probabilities)
        z = self.slope * z + self.intercept
        # NumPy has an exp of its own, whose last bit depends on the processor: a lead would have another
        # probability at night than in the API.
        exps = np.fromiter(map(math.exp, np.clip(-z, -_SATURATION, _SATURATION).tolist()), np.float64, z.size)
        result = 1.0 / (1.0 + exps)
        result[z > _SATURATION] = 1.0
        result[z <= -_SATURATION] = 0.0
        return result

    def to_json(self) -> bytes:
        """The document `calibration.json`."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, data: bytes) -> Calibration:
        """Read `calibration.json`; ArtefactError if it is not one."""
        try:
            return decode_json(data, type=Calibration)
        except DECODE_ERRORS as error:
            raise ArtefactError(f"calibration.json is not a calibration: {error}.") from error


def _check_knots(margins: tuple[float, ...], probabilities: tuple[float, ...]) -> None:
    if not margins or len(margins) != len(probabilities):
        raise ValueError("isotonic needs as many knot probabilities as knot margins, at least one")
    if not all(math.isfinite(m) for m in margins):
        raise ValueError("knot margins must be finite")
    if any(left >= right for left, right in itertools.pairwise(margins)):
        raise ValueError("knot margins must increase strictly")
    if not all(0.0 <= p <= 1.0 for p in probabilities):
        raise ValueError("knot probabilities must be within 0 and 1")
    if any(left > right for left, right in itertools.pairwise(probabilities)):
        raise ValueError("knot probabilities must not decrease")


def _interpolate(margin: float, knots: tuple[float, ...], values: tuple[float, ...]) -> float:
    right = bisect_right(knots, margin)
    if right == 0:
        return values[0]
    if right == len(knots):
        return values[-1]
    low, high = values[right - 1], values[right]
    share = (margin - knots[right - 1]) / (knots[right] - knots[right - 1])
    # Rounding may lift the sum one bit over the next knot's value.
    return min(low + share * (high - low), high)


def _interpolate_many(
    margins: npt.NDArray[np.float64], knots: tuple[float, ...], values: tuple[float, ...]
) -> npt.NDArray[np.float64]:
    x, y = np.array(knots), np.array(values)
    if len(x) == 1:
        return np.full(margins.shape, y[0])
    right = np.clip(np.searchsorted(x, margins, side="right"), 1, len(x) - 1)
    low, high = y[right - 1], y[right]
    share = (np.clip(margins, x[0], x[-1]) - x[right - 1]) / (x[right] - x[right - 1])
    result = np.minimum(low + share * (high - low), high)
    result[margins >= x[-1]] = y[-1]
    return result
