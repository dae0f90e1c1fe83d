from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import optuna
import pytest
from optuna.trial import TrialState, create_trial

from leadscore.contract import Categorical, FeatureContract, Numeric, Target
from leadscore.errors import RefusedError, UnavailableError
from leadscore.training.parameters import MAX_TUNED_DEPTH, MAX_TUNED_TREES, defaults
from leadscore.training.progress import Silent, TrialReport
from leadscore.training.split import Fold, SkippedFold
from leadscore.training.tune import FoldBins, TuneOptions, Tuning, hopeless, tune

CONTRACT = FeatureContract(
    name="t",
    id="id",
    target=Target(column="y"),
    features=(Categorical(name="c", categories=tuple("abcdefgh")), Numeric(name="x"), Numeric(name="z")),
)


class Counter(Silent):
    """Progress that remembers, and can interrupt like a killed process."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.reports: list[TrialReport] = []
        self.stop_at = stop_at

    def trial(self, report: TrialReport) -> None:
        self.reports.append(report)
        if report.finished == self.stop_at:
            raise KeyboardInterrupt


def bins() -> FoldBins:
    rng = np.random.default_rng(0)
    n = 900
    matrix = np.column_stack([rng.integers(0, 8, n), rng.normal(size=n), rng.normal(size=n)]).astype(
        np.float32
    )
    labels = (rng.random(n) < 1 / (1 + np.exp(-(matrix[:, 1] + (matrix[:, 0] % 3) - 1.5)))).astype(np.float32)
    folds = [Fold(np.arange(e), np.arange(e, e + 200)) for e in (300, 500, 700)]
    return FoldBins(contract=CONTRACT, matrix=matrix, labels=labels, folds=folds, seed=0)


def options(storage: Path | None, trials: int = 6, threads: int = 2) -> TuneOptions:
    return TuneOptions(
        study="s",
        storage=None if storage is None else f"sqlite:///{storage}",
        trials=trials,
        seed=3,
        threads=threads,
        algorithms=("xgboost", "lightgbm"),
    )


def comparable(tuning: Tuning) -> Tuning:
    return msgspec.structs.replace(tuning, resumed=0)


def test_a_study_interrupted_and_resumed_ends_where_one_in_one_piece_does(tmp_path: Path) -> None:
    whole = tune(bins(), (), options(None), Silent())
    with pytest.raises(KeyboardInterrupt):
        tune(bins(), (), options(tmp_path / "s.db"), Counter(stop_at=3))
    progress = Counter()
    resumed = tune(bins(), (), options(tmp_path / "s.db"), progress)
    assert resumed.resumed == 3
    assert [r.finished for r in progress.reports] == [3, 4, 5, 6]
    assert comparable(resumed) == comparable(whole)


def test_trials_left_open_by_a_kill_are_closed_and_not_counted(tmp_path: Path) -> None:
    settings = options(tmp_path / "s.db", trials=2)
    study = optuna.create_study(study_name="s", storage=settings.storage, direction="maximize")
    study.ask()
    study.enqueue_trial(msgspec.to_builtins(defaults(("xgboost",))[0]))
    found = tune(bins(), (), settings, Silent())
    assert (found.complete + found.pruned, found.resumed) == (2, 0)
    states = [t.state for t in optuna.load_study(study_name="s", storage=settings.storage).trials]
    assert states.count(TrialState.FAIL) == 2
    assert TrialState.RUNNING not in states
    assert TrialState.WAITING not in states


def test_a_finished_study_can_be_extended(tmp_path: Path) -> None:
    tune(bins(), (), options(tmp_path / "s.db", trials=2), Silent())
    more = tune(bins(), (), options(tmp_path / "s.db", trials=3), Silent())
    assert (more.resumed, more.complete + more.pruned) == (2, 3)


def test_threads_change_nothing_but_the_time() -> None:
    assert tune(bins(), (), options(None, threads=1), Silent()) == tune(
        bins(), (), options(None, threads=3), Silent()
    )


def test_result_stays_within_the_bounds_that_serving_relies_on() -> None:
    found = tune(bins(), (), options(None), Silent())
    assert 1 <= found.trees <= MAX_TUNED_TREES
    assert found.parameters.max_depth <= MAX_TUNED_DEPTH
    assert found.auc == pytest.approx(np.mean(found.fold_aucs))
    assert len(found.fold_aucs) == 3


def test_a_trial_below_the_median_of_the_complete_ones_is_hopeless() -> None:
    complete = [
        create_trial(value=v, intermediate_values={0: v}, state=TrialState.COMPLETE)
        for v in (0.6, 0.7, 0.8, 0.9)
    ]
    assert hopeless(0.7, 0, complete)
    assert not hopeless(0.8, 0, complete)
    assert not hopeless(0.1, 0, complete[:3])
    assert not hopeless(0.1, 1, complete)


def test_no_usable_fold_is_refused_with_the_reasons() -> None:
    empty = bins()
    empty.folds = ()
    with pytest.raises(RefusedError, match="fold 1: one class only"):
        tune(empty, (SkippedFold(1, "one class only"),), options(None), Silent())


def test_storage_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="cannot be read or written"):
        tune(bins(), (), options(tmp_path / "missing" / "s.db"), Silent())
