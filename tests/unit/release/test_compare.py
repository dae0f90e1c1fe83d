"""How two models' answers differ, against independent implementations where there are any."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from leadscore.contract import Boolean, Categorical, FeatureContract, Numeric, Target
from leadscore.release.compare import (
    Latency,
    distribution,
    grade_changes,
    known_outcomes,
    objections,
    ranks,
    remarks,
)
from leadscore.release.expected import ExpectedPsi
from leadscore.release.translate import translation


def contract(*features: Numeric | Categorical | Boolean) -> FeatureContract:
    return FeatureContract(name="leads", id="lead_id", target=Target(column="won"), features=features)


def test_the_same_answers_differ_in_nothing() -> None:
    p = np.random.default_rng(0).random(1000)
    spread, order = distribution(p, p), ranks(p, p)
    assert (spread.psi, spread.ks) == (0.0, 0.0)
    assert order.spearman == pytest.approx(1)
    assert order.kendall == pytest.approx(1)
    assert order.top_decile_overlap == 1.0


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_ks_is_scipy_s(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.random(200).round(2), (rng.random(300) ** 2).round(2)
    assert distribution(a, b).ks == pytest.approx(stats.ks_2samp(a, b).statistic)


def test_scores_that_left_a_bin_empty_give_a_finite_psi() -> None:
    rng = np.random.default_rng(0)
    found = distribution(rng.random(1000), rng.random(1000) * 0.05)
    assert 5 < found.psi < 20


def test_constant_scores_have_no_rank_correlation() -> None:
    found = ranks(np.full(100, 0.3), np.random.default_rng(0).random(100))
    assert (found.spearman, found.kendall) == (None, None)


def test_grades_are_counted_from_the_champion_s_to_the_candidate_s() -> None:
    found = grade_changes(np.array([0, 0, 1, 3]), np.array([0, 1, 0, 3]))
    assert found.matrix[0] == (1, 1, 0, 0)
    assert (found.changed, found.better, found.worse) == (0.5, 0.25, 0.25)


def test_only_a_supported_loss_is_an_objection() -> None:
    rng = np.random.default_rng(0)
    converted = rng.random(2000) < 0.3
    good = converted + rng.normal(size=2000)
    fast = Latency(champion=5, candidate=20)
    worse = known_outcomes(good, rng.random(2000), converted, 1.0, 30)
    alike = known_outcomes(good, good + 0.01 * rng.normal(size=2000), converted, 1.0, 30)
    assert "AUC is lower" in objections(worse, fast)[0]
    assert objections(alike, fast) == []
    assert "times the champion's" in objections(alike, Latency(champion=30, candidate=90))[0]


def test_missing_labels_are_said_not_passed_over() -> None:
    p = np.linspace(0, 1, 100)
    args = distribution(p, p), ranks(p, p), grade_changes(np.zeros(100, int), np.zeros(100, int))
    none = known_outcomes(p[:0], p[:0], np.zeros(0, dtype=bool), None, 30)
    alike = ExpectedPsi(against=6, scores=0.0, grades=0.0)
    assert "No outcome of both kinds" in remarks(*args, none, alike)[0]
    some = known_outcomes(p, p, p > 0.5, 0.4, 30)
    assert "Only 40% of the outcomes" in remarks(*args, some, alike)[0]


def test_scores_that_are_spread_differently_are_said_with_what_approving_means_for_the_canary() -> None:
    p = np.linspace(0, 1, 100)
    args = distribution(p, p**3), ranks(p, p), grade_changes(np.zeros(100, int), np.zeros(100, int))
    known = known_outcomes(p, p, p > 0.5, 0.9, 30)
    said = remarks(*args, known, ExpectedPsi(against=6, scores=0.93, grades=0.41))[0]
    assert "Scores are spread differently" in said
    assert "a PSI of 0.93 in scores and 0.41 in grades from version 6" in said


def test_rows_of_another_contract_are_read_by_names() -> None:
    logged = contract(
        Categorical(name="source", categories=("web", "fair", "ad")),
        Numeric(name="size"),
        Numeric(name="old"),
    )
    wanted = contract(
        Numeric(name="size"), Categorical(name="source", categories=("ad", "web")), Boolean(name="vip")
    )
    found = translation(logged, wanted)
    rows = np.array([[0, 5, 1], [1, 6, 1], [2, np.nan, 1], [np.nan, 7, 1]], dtype=np.float32)
    np.testing.assert_array_equal(
        found.apply(rows),
        np.array([[5, 1, np.nan], [6, np.nan, np.nan], [np.nan, 0, np.nan], [7, np.nan, np.nan]], np.float32),
    )
    assert found.notes == (
        "source: the candidate does not know fair.",
        "vip was not logged: the candidate scored it as missing.",
    )
