"""Joint tests: exact where nothing changed, awake where only the dependence changed."""

from __future__ import annotations

import numpy as np
import pytest

from leadscore.contract import Categorical, FeatureContract, Numeric, Target
from leadscore.drift.multivariate.two_sample import classifier_test, embed, mmd_test
from leadscore.errors import BadInputError

CONTRACT = FeatureContract(
    name="pairs",
    id="lead_id",
    target=Target(column="converted"),
    features=(Numeric(name="a"), Numeric(name="b"), Categorical(name="c", categories=("x", "y", "z"))),
)


def sample(rows: int, seed: int, correlation: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    a = rng.standard_normal(rows)
    b = correlation * a + np.sqrt(1 - correlation**2) * rng.standard_normal(rows)
    matrix = np.column_stack([1_000 * a, b, rng.integers(0, 3, rows)]).astype(np.float32)
    matrix[rng.random(rows) < 0.1, 1] = np.nan
    return matrix


def test_correlation_alone_is_found_by_both() -> None:
    reference, window = sample(800, 1), sample(800, 2, correlation=0.8)
    assert mmd_test(*embed(CONTRACT, reference, window), permutations=199).p_value <= 0.01
    found = classifier_test(CONTRACT, reference, window, permutations=199)
    assert found.p_value <= 0.02
    assert found.statistic > 0.6


def test_p_values_are_uniform_without_change() -> None:
    p = [
        mmd_test(*embed(CONTRACT, sample(60, i), sample(40, 1_000 + i)), permutations=99).p_value
        for i in range(200)
    ]
    # Binomial(200, 0.1): 20 expected, standard deviation 4.2.
    assert 7 <= sum(value <= 0.1 for value in p) <= 33
    assert min(p) >= 0.01


def test_classifier_test_is_never_too_sure_without_change() -> None:
    p = [
        classifier_test(CONTRACT, sample(60, i), sample(60, 500 + i), permutations=99).p_value
        for i in range(60)
    ]
    assert sum(value <= 0.1 for value in p) <= 13


def test_a_new_category_in_the_place_of_missing_is_seen() -> None:
    reference, window = sample(300, 3), sample(300, 4)
    window[:120, 2] = np.nan
    assert mmd_test(*embed(CONTRACT, reference, window), permutations=199).p_value <= 0.01


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(BadInputError, match="20 are needed"):
        mmd_test(np.zeros((100, 2)), np.zeros((5, 2)))


def test_unbiased_statistic_matches_its_definition() -> None:
    rng = np.random.default_rng(6)
    x, y = rng.standard_normal((30, 2)), rng.standard_normal((25, 2)) + 1
    both = np.concatenate([x, y])
    squares = ((both[:, None] - both[None]) ** 2).sum(-1)
    kernel = np.exp(-squares / np.median(squares[np.triu_indices(55, 1)]))
    xx, yy, xy = kernel[:30, :30], kernel[30:, 30:], kernel[:30, 30:]
    expected = (xx.sum() - 30) / (30 * 29) + (yy.sum() - 25) / (25 * 24) - 2 * xy.mean()
    assert mmd_test(x, y, permutations=9).statistic == pytest.approx(expected, abs=1e-6)
