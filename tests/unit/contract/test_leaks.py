from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

from leadscore.contract.leaks import MIN_PER_CLASS, auc, single_column_auc


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40))
def test_auc_is_the_mann_whitney_statistic(rows: list[tuple[int, bool]]) -> None:
    scores = np.array([score for score, _ in rows], dtype=np.float64)
    positive = np.array([hit for _, hit in rows])
    if positive.all() or not positive.any():
        assert np.isnan(auc(scores, positive))
        return
    expected = mannwhitneyu(scores[positive], scores[~positive]).statistic
    assert auc(scores, positive) == pytest.approx(expected / (positive.sum() * (~positive).sum()))


def test_too_few_outcomes_give_no_verdict() -> None:
    target = np.array([1.0] * (2 * MIN_PER_CLASS - 2) + [0.0] * 500)
    assert single_column_auc(np.arange(len(target), dtype=np.float64), target) is None


def test_rows_without_an_outcome_do_not_count() -> None:
    target = np.array([0.0, 0.0, 1.0, 1.0, np.nan] * 100)
    codes = np.where(np.isnan(target), 7.0, target)
    assert single_column_auc(codes, target) == 1.0
