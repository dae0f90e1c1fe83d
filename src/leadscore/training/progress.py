"""Progress of a training run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class TrialReport:
    """State of the tuning after a trial (or at its start, when a study is resumed).

    Attributes:
        finished: Trials finished so far, pruned ones included.
        total: Trials wanted.
        pruned: Of the finished ones, those stopped early.
        best_auc: Best mean AUC over the folds; None before the first complete trial.
        best_algorithm: Which library holds it.
    """

    finished: int
    total: int
    pruned: int
    best_auc: float | None
    best_algorithm: str | None


class Progress(Protocol):
    """Receives the stages of a run; must return quickly and not raise."""

    def stage(self, sentence: str) -> None:
        """A new stage begins."""
        ...

    def trial(self, report: TrialReport) -> None:
        """A trial finished."""
        ...


class Silent:
    """Progress that is not shown."""

    def stage(self, sentence: str) -> None:
        """Say nothing."""

    def trial(self, report: TrialReport) -> None:
        """Say nothing."""
