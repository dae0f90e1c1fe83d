"""The model of a backtest.

One forest with plain parameters, so that strategies differ only in when they train.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from leadscore.backtest.stream import BacktestStream
from leadscore.drift.reference import build_profile
from leadscore.errors import RefusedError
from leadscore.intervals import Estimate, Floats, auc_estimate
from leadscore.scoring.calibration import Calibration
from leadscore.scoring.profile import ReferenceProfile
from leadscore.training.calibrate import fit_platt
from leadscore.training.learners import FittedForest, Sample, learner
from leadscore.training.parameters import ForestParameters
from leadscore.training.window import RowNumbers

_PARAMETERS = ForestParameters(
    algorithm="xgboost", max_depth=4, learning_rate=0.1, row_share=1.0, column_share=1.0
)
_TREES = 200
_HOLDOUT = 0.2
_MIN_CLASS = 10


@dataclass(frozen=True, slots=True, eq=False)
class BacktestModel:
    """A forest with its figures at training.

    Attributes:
        version: Number of the training in its backtest, as text.
        trained: When; it scores leads from then on.
        rows: Leads that it was trained on.
        forest: Fitted on all of them.
        calibration: Platt's, fitted on the newest fifth by a forest that had not seen it.
        baseline: AUC on that fifth, with its interval.
        profile: Of the training leads.
    """

    version: str
    trained: np.datetime64
    rows: RowNumbers
    forest: FittedForest
    calibration: Calibration
    baseline: Estimate
    profile: ReferenceProfile

    def probabilities(self, matrix: npt.NDArray[np.float32]) -> Floats:
        """Calibrated probabilities (n,)."""
        return self.calibration.probabilities(self.forest.margins(matrix))


class Trainer:
    """Train on rows of a stream; strategies share models of the same rows."""

    def __init__(self, stream: BacktestStream, *, seed: int = 1) -> None:
        self._stream = stream
        self._learner = learner("xgboost", stream.contract, seed=seed)
        self._made: dict[tuple[int, int, int], BacktestModel] = {}

    def train(self, rows: RowNumbers, now: np.datetime64) -> BacktestModel:
        """A model of those rows, in force from `now`. The rows are in order of time.

        Raises:
            RefusedError: One of the outcomes is too rare to learn from.
        """
        key = (int(rows[0]), int(rows[-1]), len(rows)) if len(rows) else (0, 0, 0)
        if key not in self._made:
            self._made[key] = self._fit(rows, now)
        return self._made[key]

    def _fit(self, rows: RowNumbers, now: np.datetime64) -> BacktestModel:
        cut = len(rows) - int(_HOLDOUT * len(rows))
        older, newer = rows[:cut], rows[cut:]
        for name, part in (("older", older), ("newest fifth of the", newer)):
            if self._rarer(part) < _MIN_CLASS:
                won = int(self._stream.converted[part].sum())
                raise RefusedError(
                    f"Of the {name} leads whose outcome was known by {str(now)[:10]}, {won} converted and"
                    f" {len(part) - won} did not; {_MIN_CLASS} of each are needed to train."
                )
        converted = self._stream.converted[newer]
        margins = self._forest(older).margins(self._stream.matrix[newer])
        calibration = fit_platt(margins, converted) or Calibration()
        baseline = auc_estimate(converted, margins)
        if baseline is None:
            raise RefusedError("One of the outcomes is missing in the newest leads.")
        final = self._forest(rows)
        matrix = self._stream.matrix[rows]
        profile = build_profile(
            self._stream.contract, matrix, calibration.probabilities(final.margins(matrix))
        )
        version = str(len(self._made) + 1)
        return BacktestModel(version, now, rows, final, calibration, baseline, profile)

    def _forest(self, rows: RowNumbers) -> FittedForest:
        labels = self._stream.converted[rows].astype(np.float32)
        return self._learner.fit(Sample(self._stream.matrix[rows], labels), _PARAMETERS, _TREES)

    def _rarer(self, rows: RowNumbers) -> int:
        won = int(self._stream.converted[rows].sum())
        return min(won, len(rows) - won)
