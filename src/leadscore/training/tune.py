"""Hyperparameter search: a seeded, resumable Optuna study over both tree libraries."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field

import msgspec
import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from leadscore.contract import FeatureContract
from leadscore.errors import RefusedError, UnavailableError
from leadscore.scoring.artefact import Algorithm
from leadscore.training.learners import Labels, Matrix, PreparedFold, Sample, learner
from leadscore.training.parameters import MAX_TUNED_TREES, ForestParameters, defaults, suggest
from leadscore.training.progress import Progress, TrialReport
from leadscore.training.split import Fold, SkippedFold

_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
_STARTUP_TRIALS = 10
_TREES = "trees"


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneOptions:
    """The part of the training options that the search needs; `study` names it in `storage`."""

    study: str
    storage: str | None
    trials: int
    seed: int
    threads: int
    algorithms: tuple[Algorithm, ...]
    time_budget: float | None = None


class Tuning(msgspec.Struct, frozen=True, kw_only=True):
    """What the search found.

    Attributes:
        study: Name of the study in its storage.
        parameters: Of the best trial.
        trees: For the final fit: mean of the best fold sizes, weighted by the folds' training rows.
        auc: Mean validation AUC of the best trial over the folds.
        fold_aucs: The same per fold, newest first.
        complete: Trials that ran on every fold.
        pruned: Trials stopped early.
        resumed: Finished trials that an earlier run had left.
        skipped_folds: Folds that could not be used.
    """

    study: str
    parameters: ForestParameters
    trees: int
    auc: float
    fold_aucs: tuple[float, ...]
    complete: int
    pruned: int
    resumed: int
    skipped_folds: tuple[SkippedFold, ...]


@dataclass(slots=True, eq=False)
class FoldBins:
    """Folds in each library's binned form, made when first needed and kept for all later trials."""

    contract: FeatureContract
    matrix: Matrix
    labels: Labels
    folds: Sequence[Fold]
    seed: int
    weights: Labels | None = None
    _made: dict[tuple[Algorithm, int], PreparedFold] = field(
        default_factory=dict[tuple[Algorithm, int], PreparedFold]
    )

    def stopped_early(
        self, index: int, parameters: ForestParameters, cancelled: threading.Event
    ) -> tuple[float, int]:
        """Validation AUC on fold `index` at the best number of trees, and that number."""
        if cancelled.is_set():
            return 0.0, 0
        return self._prepared(parameters.algorithm, index).stopped_early(parameters, cancelled)

    def _prepared(self, algorithm: Algorithm, index: int) -> PreparedFold:
        key = (algorithm, index)
        if key not in self._made:
            fold = self.folds[index]
            library = learner(algorithm, self.contract, seed=self.seed)
            self._made[key] = library.prepare(self._sample(fold.train), self._sample(fold.validation))
        return self._made[key]

    def _sample(self, rows: np.ndarray) -> Sample:
        weights = None if self.weights is None else self.weights[rows]
        return Sample(self.matrix[rows], self.labels[rows], weights)


def tune(
    bins: FoldBins, skipped: tuple[SkippedFold, ...], options: TuneOptions, progress: Progress
) -> Tuning:
    """Search until `options.trials` trials are finished, those of an interrupted run included.

    Each trial runs the folds newest first, as many side by side as there are threads, and is pruned as soon
    as its mean AUC falls below the median of the complete trials on the same folds (judged in that order, so
    that the number of threads changes nothing but the time). The sampler is seeded anew by the number of
    finished trials, so that a study killed and resumed goes the way of one that never stopped.

    Raises:
        RefusedError: No usable fold.
        UnavailableError: The study's storage cannot be read or written.
    """
    if not bins.folds:
        reasons = "; ".join(f"fold {s.fold}: {s.reason}" for s in skipped)
        raise RefusedError(
            f"No cross-validation fold can be used ({reasons}).", hint="Take more months or fewer --folds."
        )
    started = time.monotonic()
    workers = max(1, min(options.threads, len(bins.folds)))
    with _quiet(), _storage_errors(options.storage), ThreadPoolExecutor(workers) as pool:
        study = optuna.create_study(
            study_name=options.study,
            storage=options.storage,
            direction="maximize",
            load_if_exists=True,
        )
        _close_interrupted(study)
        resumed = len(_finished(study))
        progress.trial(_report(study, options.trials))
        while (done := len(_finished(study))) < options.trials:
            if options.time_budget is not None and done and time.monotonic() - started > options.time_budget:
                break
            _run_trial(study, bins, options, done, pool)
            progress.trial(_report(study, options.trials))
        return _result(study, bins, skipped, resumed)


def _run_trial(
    study: optuna.Study, bins: FoldBins, options: TuneOptions, done: int, pool: ThreadPoolExecutor
) -> None:
    planned = defaults(options.algorithms)
    if done < len(planned):
        study.enqueue_trial(msgspec.to_builtins(planned[done]))
    study.sampler = optuna.samplers.TPESampler(
        seed=options.seed * 1_000_003 + done, multivariate=True, n_startup_trials=_STARTUP_TRIALS
    )
    trial = study.ask()
    parameters = suggest(trial, options.algorithms)
    cancelled = threading.Event()
    newest_first = reversed(range(len(bins.folds)))
    runs = [pool.submit(bins.stopped_early, index, parameters, cancelled) for index in newest_first]
    try:
        _judge_trial(study, trial, runs)
    finally:
        # A fold's data must be free before the next trial uses it.
        cancelled.set()
        wait(runs)


def _judge_trial(study: optuna.Study, trial: optuna.Trial, runs: Sequence[Future[tuple[float, int]]]) -> None:
    complete = [t for t in study.get_trials(deepcopy=False) if t.state is TrialState.COMPLETE]
    aucs: list[float] = []
    trees: list[int] = []
    for step, run in enumerate(runs):
        auc, count = run.result()
        aucs.append(auc)
        trees.append(count)
        mean = float(np.mean(aucs))
        trial.report(mean, step)
        if step + 1 < len(runs) and hopeless(mean, step, complete):
            study.tell(trial, state=TrialState.PRUNED)
            return
    trial.set_user_attr(_TREES, trees)
    study.tell(trial, float(np.mean(aucs)))


def hopeless(mean: float, step: int, complete: Sequence[FrozenTrial]) -> bool:
    """Whether a trial's mean AUC so far is below the median of the complete trials at the same step.

    Optuna's own median pruner compares a trial's best value over all steps, which means nothing where
    each step is another fold with a level of its own.
    """
    others = [t.intermediate_values[step] for t in complete if step in t.intermediate_values]
    return len(others) >= 4 and mean < float(np.median(others))


def _result(study: optuna.Study, bins: FoldBins, skipped: tuple[SkippedFold, ...], resumed: int) -> Tuning:
    trials = study.get_trials(deepcopy=False)
    complete = [t for t in trials if t.state is TrialState.COMPLETE]
    best = max(complete, key=lambda t: (t.value or 0.0, -t.number))
    weights = [len(f.train) for f in reversed(bins.folds)]
    trees = round(float(np.average(best.user_attrs[_TREES], weights=weights)))
    means = [best.intermediate_values[step] for step in sorted(best.intermediate_values)]
    return Tuning(
        study=study.study_name,
        parameters=msgspec.convert(best.params, ForestParameters),
        trees=min(MAX_TUNED_TREES, max(1, trees)),
        auc=float(best.value or 0.0),
        fold_aucs=_from_running_means(means),
        complete=len(complete),
        pruned=sum(t.state is TrialState.PRUNED for t in trials),
        resumed=resumed,
        skipped_folds=skipped,
    )


def _from_running_means(means: Sequence[float]) -> tuple[float, ...]:
    totals = [mean * (i + 1) for i, mean in enumerate(means)]
    return tuple(t - before for t, before in zip(totals, [0.0, *totals], strict=False))


def _close_interrupted(study: optuna.Study) -> None:
    """Trials that a killed run left open count as failed: their leads are tried again under a new number."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
    # A queued trial can only be closed by running it.
    while study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        study.tell(study.ask(), state=TrialState.FAIL)


def _finished(study: optuna.Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=_FINISHED)


def _report(study: optuna.Study, total: int) -> TrialReport:
    finished = _finished(study)
    complete = [t for t in finished if t.state is TrialState.COMPLETE]
    best = max(complete, key=lambda t: t.value or 0.0, default=None)
    return TrialReport(
        finished=len(finished),
        total=total,
        pruned=len(finished) - len(complete),
        best_auc=None if best is None else best.value,
        best_algorithm=None if best is None else str(best.params["algorithm"]),
    )


@contextmanager
def _quiet() -> Generator[None]:
    """Optuna's log lines would tear the progress bar; what matters of them is in the report."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(level)


@contextmanager
def _storage_errors(storage: str | None) -> Generator[None]:
    try:
        yield
    except (optuna.exceptions.StorageInternalError, SQLAlchemyError, OSError) as error:
        raise UnavailableError(
            f"The study in {storage} cannot be read or written: {error}.",
            hint="Check the disk and the folder's permissions; finished trials are kept.",
        ) from error
