"""XGBoost and LightGBM behind one interface.

Prepared folds, early-stopped fits, model bytes without time or place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Event
from typing import Protocol, cast

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import xgboost as xgb
from xgboost.callback import TrainingCallback

from leadscore.arrays import Matrix
from leadscore.contract import Categorical, FeatureContract
from leadscore.scoring.artefact import Algorithm
from leadscore.training.parameters import (
    EARLY_STOPPING_ROUNDS,
    MAX_BINS,
    MAX_TUNED_TREES,
    THREADS_PER_FIT,
    ForestParameters,
    lightgbm_settings,
    xgboost_settings,
)

# The library's own annotation of `callbacks` is incomplete.
_lightgbm_train = cast("Callable[..., lgb.Booster]", lgb.train)  # pyright: ignore[reportUnknownMemberType]

Labels = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Encoded leads float32 (n, inputs), labels 0/1 float32 (n,), and weights (n,; None: all alike)."""

    matrix: Matrix
    labels: Labels
    weights: Labels | None = None


class PreparedFold(Protocol):
    """A fold already binned by the library, reused by every trial."""

    def stopped_early(self, parameters: ForestParameters, cancelled: Event) -> tuple[float, int]:
        """Validation AUC at the best number of trees, and that number.

        Meaningless once `cancelled` is set.
        """
        ...


class FittedForest(Protocol):
    """A fitted forest and its file."""

    def margins(self, matrix: Matrix) -> npt.NDArray[np.float64]:
        """The library's own log-odds, (n,)."""
        ...

    def file(self) -> bytes:
        """Bytes of `model.ubj` or `model.txt`: a function of the trees alone."""
        ...


class Learner(Protocol):
    """One library."""

    def prepare(self, train: Sample, validation: Sample) -> PreparedFold:
        """Bin a fold once."""
        ...

    def fit(self, train: Sample, parameters: ForestParameters, trees: int) -> FittedForest:
        """Fit `trees` trees on all of `train`."""
        ...


def learner(algorithm: Algorithm, contract: FeatureContract, *, seed: int) -> Learner:
    """The library of that name, set up for the columns of a contract."""
    categorical = tuple(isinstance(f, Categorical) for f in contract.inputs)
    if algorithm == "xgboost":
        return _XGBoost(categorical, seed)
    return _LightGBM(categorical, seed)


@dataclass(frozen=True, slots=True)
class _XGBoost:
    categorical: tuple[bool, ...]
    seed: int

    def prepare(self, train: Sample, validation: Sample) -> PreparedFold:
        data = self._binned(train)
        return _XGBoostFold(data, self._binned(validation, data), self.seed)

    def fit(self, train: Sample, parameters: ForestParameters, trees: int) -> FittedForest:
        settings = xgboost_settings(parameters, seed=self.seed)
        return _XGBoostForest(xgb.train(settings, self._binned(train), trees), self._types())

    def _binned(self, sample: Sample, like: xgb.QuantileDMatrix | None = None) -> xgb.QuantileDMatrix:
        return xgb.QuantileDMatrix(
            sample.matrix,
            sample.labels,
            weight=sample.weights,
            feature_types=self._types(),
            enable_categorical=True,
            max_bin=MAX_BINS,
            nthread=THREADS_PER_FIT,
            ref=like,
        )

    def _types(self) -> list[str]:
        return ["c" if c else "q" for c in self.categorical]


@dataclass(frozen=True, slots=True, eq=False)
class _XGBoostFold:
    train: xgb.QuantileDMatrix
    validation: xgb.QuantileDMatrix
    seed: int

    def stopped_early(self, parameters: ForestParameters, cancelled: Event) -> tuple[float, int]:
        booster = xgb.train(
            xgboost_settings(parameters, seed=self.seed),
            self.train,
            MAX_TUNED_TREES,
            evals=[(self.validation, "validation")],
            early_stopping_rounds=EARLY_STOPPING_ROUNDS,
            callbacks=[_XGBoostCancel(cancelled)],
            verbose_eval=False,
        )
        # Cancelled in its first round, the library has no best round yet.
        return (
            (0.0, 1) if cancelled.is_set() else (float(booster.best_score), int(booster.best_iteration) + 1)
        )


class _XGBoostCancel(TrainingCallback):
    def __init__(self, cancelled: Event) -> None:
        super().__init__()
        self.cancelled = cancelled

    def after_iteration(self, model: xgb.Booster, epoch: int, evals_log: object) -> bool:  # noqa: ARG002
        return self.cancelled.is_set()


@dataclass(frozen=True, slots=True, eq=False)
class _XGBoostForest:
    booster: xgb.Booster
    types: list[str]

    def margins(self, matrix: Matrix) -> npt.NDArray[np.float64]:
        data = xgb.DMatrix(matrix, feature_types=self.types, enable_categorical=True, nthread=THREADS_PER_FIT)
        return np.asarray(self.booster.predict(data, output_margin=True), dtype=np.float64)

    def file(self) -> bytes:
        return bytes(self.booster.save_raw("ubj"))


@dataclass(frozen=True, slots=True)
class _LightGBM:
    categorical: tuple[bool, ...]
    seed: int

    def prepare(self, train: Sample, validation: Sample) -> PreparedFold:
        data = self._binned(train)
        return _LightGBMFold(data, self._binned(validation, data), self.seed)

    def fit(self, train: Sample, parameters: ForestParameters, trees: int) -> FittedForest:
        settings = lightgbm_settings(parameters, seed=self.seed)
        return _LightGBMForest(_lightgbm_train(settings, self._binned(train), trees))

    def _binned(self, sample: Sample, like: lgb.Dataset | None = None) -> lgb.Dataset:
        return lgb.Dataset(
            sample.matrix,
            label=sample.labels,
            weight=sample.weights,
            reference=like,
            categorical_feature=[i for i, c in enumerate(self.categorical) if c],
            params={
                "max_bin": MAX_BINS,
                "feature_pre_filter": False,
                "force_row_wise": True,
                "num_threads": THREADS_PER_FIT,
                "verbosity": -1,
            },
        ).construct()


@dataclass(frozen=True, slots=True, eq=False)
class _LightGBMFold:
    train: lgb.Dataset
    validation: lgb.Dataset
    seed: int

    def stopped_early(self, parameters: ForestParameters, cancelled: Event) -> tuple[float, int]:
        def cancel(env: lgb.callback.CallbackEnv) -> None:
            if cancelled.is_set():
                raise lgb.EarlyStopException(env.iteration, env.evaluation_result_list or [])

        booster = _lightgbm_train(
            lightgbm_settings(parameters, seed=self.seed),
            self.train,
            MAX_TUNED_TREES,
            valid_sets=[self.validation],
            valid_names=["validation"],
            callbacks=[lgb.early_stopping(EARLY_STOPPING_ROUNDS, verbose=False), cancel],
        )
        trees = booster.best_iteration if booster.best_iteration > 0 else booster.current_iteration()
        return float(booster.best_score["validation"]["auc"]), max(1, trees)


@dataclass(frozen=True, slots=True, eq=False)
class _LightGBMForest:
    booster: lgb.Booster

    def margins(self, matrix: Matrix) -> npt.NDArray[np.float64]:
        raw = self.booster.predict(matrix, raw_score=True, num_threads=THREADS_PER_FIT)
        return np.asarray(cast("npt.NDArray[np.float64]", raw), dtype=np.float64)

    def file(self) -> bytes:
        text = self.booster.model_to_string()
        # The parameter dump holds thread counts and file paths: none of it belongs to the trees.
        trees, _, _ = text.partition("\nparameters:")
        return (trees.rstrip("\n") + "\n\npandas_categorical:null\n").encode()
