"""Options of a training run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import msgspec

from leadscore.errors import BadInputError
from leadscore.scoring.artefact import Algorithm
from leadscore.training.doubts import check_word


class Costs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Costs of wrong decisions in one unit: working a lead in vain, leaving out one that converts."""

    false_positive: float
    false_negative: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """Options of one training run; the defaults are the product's.

    Attributes:
        name: Model name in the registry.
        months: Calendar months of labelled leads, counted back from the newest usable one.
        min_records: Fewer labelled leads than this are refused.
        as_of: Train as if it were this moment (UTC unless it has a zone): later leads and labels known later
            are hidden. None: now; leads later than now are left out and counted.
        no_time: Row order stands for time; allowed only for contracts without a time column.
        min_completeness: Leads younger than the age at which this share of all outcomes, of
            the wins and of the losses is known are left out, because the labels known by
            then are those of the quick outcomes.
        delay_aware: Train the final model on younger leads besides, whose outcomes are known in part,
            weighted by the delays of their outcome.
        known_at: Column that says when an outcome became known; None takes the contract's `target.known_at`.
        calibration: Share of the rows in the calibration window (after training, before the hold-out).
        holdout: Share of the rows in the hold-out window (the newest).
        trials: Finished Optuna trials wanted in all, those of an interrupted run included.
        folds: Time-ordered cross-validation folds.
        gap_days: Days between the last training lead and the first validation lead, at least.
        seed: Of everything random.
        algorithms: Which tree libraries the tuner may use.
        capacity: Share of leads that sales can work on first: grade A, lift, capture, revenue captured.
        costs: Decide by cost instead of by capacity.
        accept_suspicion: A person's word ("NAME: reason") that what looks like a leak is known before the
            outcome.
        min_group: Smallest slice that fairness figures are given for.
        study_storage: SQLAlchemy URL of resumable studies; None keeps the study in memory.
        time_budget: Seconds after which no new trial starts (a run cut short is not reproducible).
        threads: Folds that are fitted side by side; None: as many as this process may use CPUs.
            Changes the time, never the model.
    """

    name: str
    months: int = 6
    min_records: int = 10_000
    as_of: datetime | None = None
    no_time: bool = False
    min_completeness: float = 0.8
    delay_aware: bool = False
    known_at: str | None = None
    calibration: float = 0.15
    holdout: float = 0.20
    trials: int = 50
    folds: int = 5
    gap_days: float = 7.0
    seed: int = 0
    algorithms: tuple[Algorithm, ...] = ("xgboost", "lightgbm")
    capacity: float = 0.10
    costs: Costs | None = None
    accept_suspicion: str | None = None
    min_group: int = 100
    study_storage: str | None = None
    time_budget: float | None = None
    threads: int | None = None

    def __post_init__(self) -> None:
        _require(self.months >= 1, "months must be at least 1")
        _require(self.min_records >= 50, "min_records must be at least 50")
        _require(self.trials >= 1, "trials must be at least 1")
        _require(self.folds >= 1, "folds must be at least 1")
        _require(self.gap_days >= 0, "gap_days must not be negative")
        _require(0 <= self.min_completeness <= 1, "min_completeness must be within 0 and 1")
        _require(0 < self.capacity < 1, "capacity must be between 0 and 1")
        _require(
            min(self.calibration, self.holdout) > 0 and self.calibration + self.holdout <= 0.8,
            "calibration and holdout must be greater than 0 and leave at least 0.2 for training",
        )
        _require(bool(self.algorithms), "algorithms must name at least one library")
        _require(
            self.costs is None or min(self.costs.false_positive, self.costs.false_negative) > 0,
            "costs must be greater than 0",
        )
        if self.accept_suspicion is not None:
            check_word(self.accept_suspicion)
        _require(self.threads is None or self.threads >= 1, "threads must be at least 1")


def _require(holds: bool, sentence: str) -> None:
    if not holds:
        raise BadInputError(f"Training options: {sentence}.")
