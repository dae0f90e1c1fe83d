"""Grades A-D and scores 0-100 from probabilities."""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

from leadscore.documents import DECODE_ERRORS, decode_json
from leadscore.errors import ArtefactError

Grade = Literal["A", "B", "C", "D"]
GRADES: tuple[Grade, ...] = ("A", "B", "C", "D")


class Grades(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Probability thresholds: A from `a` upwards, B from `b`, C from `c`, D below.

    Training sets them by capacity (how many leads sales can work on), so they differ from model to model.
    """

    a: float
    b: float
    c: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.c <= self.b <= self.a <= 1.0:
            raise ValueError("grade thresholds must satisfy 0 <= c <= b <= a <= 1")

    def grade(self, probability: float) -> Grade:
        """The grade of one probability."""
        if probability >= self.b:
            return "A" if probability >= self.a else "B"
        return "C" if probability >= self.c else "D"

    def codes(self, probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
        """Indexes into `GRADES`, (n,), of probabilities (n,)."""
        return 3 - np.searchsorted(np.array([self.c, self.b, self.a]), probabilities, side="right")

    def to_json(self) -> bytes:
        """The document `grades.json`."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, data: bytes) -> Grades:
        """Read `grades.json`; ArtefactError if it is not one."""
        try:
            return decode_json(data, type=Grades)
        except DECODE_ERRORS as error:
            raise ArtefactError(f"grades.json holds no grade thresholds: {error}.") from error


def score_of(probability: float) -> float:
    """Score 0-100 with one decimal."""
    return round(1000.0 * probability) / 10.0


def scores_of(probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Scores, float64 (n,), of probabilities (n,); the same numbers as `score_of`."""
    return np.rint(1000.0 * probabilities) / 10.0
