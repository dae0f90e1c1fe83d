from __future__ import annotations

from threading import Event
from typing import get_args

import lightgbm
import numpy as np
import pytest

from leadscore.contract import Boolean, Categorical, FeatureContract, Numeric, Target
from leadscore.scoring.artefact import Algorithm
from leadscore.scoring.kernel import open_kernel
from leadscore.scoring.lightgbm_text import read_lightgbm
from leadscore.scoring.xgboost_ubj import read_xgboost
from leadscore.training.learners import Sample, learner
from leadscore.training.parameters import MAX_TUNED_TREES, ForestParameters, defaults

ALGORITHMS = get_args(Algorithm)
CONTRACT = FeatureContract(
    name="t",
    id="id",
    target=Target(column="y"),
    features=(
        Categorical(name="c", categories=tuple("abcdefghij")),
        Numeric(name="x"),
        Numeric(name="z"),
        Boolean(name="b"),
    ),
)


def sample(seed: int = 0, n: int = 1200) -> Sample:
    rng = np.random.default_rng(seed)
    matrix = np.column_stack(
        [rng.integers(0, 10, n), rng.normal(size=n), rng.normal(size=n), rng.integers(0, 2, n)]
    ).astype(np.float32)
    logit = matrix[:, 1] * 1.5 + np.isin(matrix[:, 0], [1, 4, 7]) * 2 - 1.5 + matrix[:, 3]
    labels = (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(np.float32)
    matrix[rng.random(matrix.shape) < 0.05] = np.nan
    return Sample(matrix, labels)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_same_data_and_seed_give_the_same_bytes(algorithm: Algorithm) -> None:
    parameters = ForestParameters(algorithm=algorithm)
    files = [learner(algorithm, CONTRACT, seed=7).fit(sample(), parameters, 15).file() for _ in range(2)]
    other = learner(algorithm, CONTRACT, seed=8).fit(sample(), parameters, 15).file()
    assert files[0] == files[1]
    assert files[0] != other


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_our_evaluator_reads_the_file_and_gives_the_librarys_margins(algorithm: Algorithm) -> None:
    forest = learner(algorithm, CONTRACT, seed=1).fit(sample(), ForestParameters(algorithm=algorithm), 25)
    data = forest.file()
    kernel = open_kernel(
        read_xgboost(data) if algorithm == "xgboost" else read_lightgbm(data.decode()), backend="numpy"
    )
    fresh = sample(5).matrix
    np.testing.assert_allclose(kernel.margins(fresh), forest.margins(fresh), atol=1e-5)


def test_lightgbm_text_holds_no_parameters_and_still_loads() -> None:
    forest = learner("lightgbm", CONTRACT, seed=1).fit(sample(), ForestParameters(algorithm="lightgbm"), 5)
    text = forest.file().decode()
    assert "num_threads" not in text
    assert "parameters:" not in text
    loaded = lightgbm.Booster(model_str=text)
    np.testing.assert_array_equal(
        loaded.predict(sample(3).matrix, raw_score=True), forest.margins(sample(3).matrix)
    )


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_early_stopping_gives_a_bounded_number_of_trees(algorithm: Algorithm) -> None:
    fold = learner(algorithm, CONTRACT, seed=1).prepare(sample(1), sample(2, 500))
    auc, trees = fold.stopped_early(ForestParameters(algorithm=algorithm), Event())
    assert 0.75 < auc < 0.95
    assert 1 <= trees <= MAX_TUNED_TREES
    assert (auc, trees) == fold.stopped_early(ForestParameters(algorithm=algorithm), Event())


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_cancelled_fold_stops_at_once(algorithm: Algorithm) -> None:
    fold = learner(algorithm, CONTRACT, seed=1).prepare(sample(1), sample(2, 500))
    cancelled = Event()
    cancelled.set()
    _, trees = fold.stopped_early(ForestParameters(algorithm=algorithm), cancelled)
    assert trees == 1


def test_defaults_try_both_libraries_first() -> None:
    assert [p.algorithm for p in defaults(("xgboost", "lightgbm"))][:2] == ["xgboost", "lightgbm"]
