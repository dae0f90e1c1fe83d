"""The parameters of a forest in one vocabulary for both libraries, and the bounds of the serving side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import msgspec
import optuna

from leadscore.scoring.artefact import Algorithm

# Latency and size of the evaluator grow with these; none is worth more accuracy on lead tables.
MAX_TUNED_TREES = 400
MAX_TUNED_DEPTH = 7
MAX_LEAVES = 64

# One thread per fit. The libraries' threads wait for each other actively: beside any other load two of them
# took 10 to 40 times as long as one (compare dmlc/xgboost#7734). Folds run side by side instead, and the
# model's bytes do not depend on the machine's CPUs.
THREADS_PER_FIT = 1

MAX_BINS = 255
EARLY_STOPPING_ROUNDS = 30

# Part of a study's identity: raise it when the space changes, or old trials would be read as new ones.
SPACE_VERSION = 2

Setting = str | int | float | bool


class ForestParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the tuner chooses.

    Attributes:
        algorithm: Library.
        learning_rate: Shrinkage per tree.
        max_depth: Levels of splits; leaves are bounded by 64 as well.
        min_child_rows: Least rows in a leaf (XGBoost: times a hessian of 0.1, as its bound is on weights).
        row_share: Rows drawn for each tree.
        column_share: Features drawn for each tree.
        l2: Ridge on leaf values.
        one_hot_up_to: Categorical features with at most as many categories split one against the rest; those
            with more split into groups.
    """

    algorithm: Algorithm
    learning_rate: float = 0.08
    max_depth: int = 5
    min_child_rows: int = 20
    row_share: float = 0.8
    column_share: float = 0.8
    l2: float = 1.0
    one_hot_up_to: int = 4


def defaults(algorithms: Sequence[Algorithm]) -> tuple[ForestParameters, ...]:
    """Return the trials before the sampler's own: for each library a moderate and a cautious one."""
    middle = tuple(ForestParameters(algorithm=a) for a in algorithms)
    cautious = tuple(
        ForestParameters(algorithm=a, max_depth=3, learning_rate=0.1, min_child_rows=60, l2=5.0)
        for a in algorithms
    )
    return (*middle, *cautious)


def suggest(trial: optuna.Trial, algorithms: Sequence[Algorithm]) -> ForestParameters:
    """Parameters of a trial: one joint space, so that the sampler learns from both libraries at once."""
    algorithm = trial.suggest_categorical("algorithm", list(algorithms))
    return ForestParameters(
        algorithm=cast("Algorithm", algorithm),
        learning_rate=trial.suggest_float("learning_rate", 0.04, 0.3, log=True),
        max_depth=trial.suggest_int("max_depth", 3, MAX_TUNED_DEPTH),
        min_child_rows=trial.suggest_int("min_child_rows", 5, 200, log=True),
        row_share=trial.suggest_float("row_share", 0.5, 1.0),
        column_share=trial.suggest_float("column_share", 0.4, 1.0),
        l2=trial.suggest_float("l2", 0.1, 30.0, log=True),
        one_hot_up_to=trial.suggest_categorical("one_hot_up_to", [1, 4, 16]),
    )


def xgboost_settings(parameters: ForestParameters, *, seed: int) -> dict[str, Setting]:
    """The same in XGBoost's words."""
    return {
        "objective": "binary:logistic",
        "eval_metric": "auc",
        "tree_method": "hist",
        "max_bin": MAX_BINS,
        "learning_rate": parameters.learning_rate,
        "max_depth": parameters.max_depth,
        "max_leaves": MAX_LEAVES,
        "min_child_weight": parameters.min_child_rows * 0.1,
        "subsample": parameters.row_share,
        "colsample_bytree": parameters.column_share,
        "lambda": parameters.l2,
        "max_cat_to_onehot": parameters.one_hot_up_to + 1,
        "seed": seed,
        "nthread": THREADS_PER_FIT,
        "verbosity": 0,
    }


def lightgbm_settings(parameters: ForestParameters, *, seed: int) -> dict[str, Setting]:
    """The same in LightGBM's words; `deterministic` and a fixed layout make the model file reproducible."""
    return {
        "objective": "binary",
        "metric": "auc",
        "max_bin": MAX_BINS,
        "learning_rate": parameters.learning_rate,
        "max_depth": parameters.max_depth,
        "num_leaves": min(MAX_LEAVES, 2**parameters.max_depth),
        "min_data_in_leaf": parameters.min_child_rows,
        "bagging_fraction": parameters.row_share,
        "bagging_freq": 1,
        "feature_fraction": parameters.column_share,
        "lambda_l2": parameters.l2,
        "max_cat_to_onehot": parameters.one_hot_up_to,
        "feature_pre_filter": False,
        "deterministic": True,
        "force_row_wise": True,
        "seed": seed,
        "num_threads": THREADS_PER_FIT,
        "verbosity": -1,
    }
