"""The nulls, against brute force and against SciPy; all draws are seeded."""

import numpy as np
import pytest
from scipy import stats
from scipy.special import xlogy

from leadscore.drift.statistics import distances as s
from leadscore.drift.statistics.null import Tail, rate_null, sample_cells


def g_of(draws, rest):
    n, m = rest[0].sum(), draws[0].sum()
    both = draws + rest
    cells = xlogy(draws, draws) + xlogy(rest, rest) - xlogy(both, both)
    return 2 * (cells.sum(1) - xlogy(n, n) - xlogy(m, m) + xlogy(n + m, n + m))


def test_tails_of_fixed_cells_are_those_of_drawing_without_replacement():
    rng = np.random.default_rng(1)
    reference, window = np.array([400, 300, 200, 80, 15, 5]), np.array([22, 18, 12, 6, 1, 1])
    pooled = reference + window
    draws = rng.multivariate_hypergeometric(pooled, 60, 60_000, method="marginals")
    brute = g_of(draws, pooled - draws)
    tail = sample_cells(reference, window, rng, ordered=False, effort=6).g()
    for value in (9.0, 13.0, 16.0):
        assert tail.p_value(value) == pytest.approx((brute >= value).mean(), rel=0.15)


def test_tails_of_cells_cut_at_quantiles_are_those_of_shares_that_are_spacings():
    rng = np.random.default_rng(2)
    reference, window = np.full(10, 20), np.full(10, 30)
    shares = rng.dirichlet(reference, 60_000)
    draws = rng.multinomial(300, shares)
    brute = g_of(draws, np.broadcast_to(reference, draws.shape))
    null = sample_cells(reference, window, rng, ordered=True, quantile_bins=True, effort=6)
    for value in (17.0, 23.0):
        assert null.g().p_value(value) == pytest.approx((brute >= value).mean(), rel=0.15)
    shifts = np.array([abs(s.rank_sum(reference, draw)) for draw in draws[:20_000]])
    assert null.shift().p_value(2.5) == pytest.approx((shifts >= 2.5).mean(), rel=0.2)


@pytest.mark.parametrize("rows", [2_000, 200_000])
def test_far_tails_of_large_samples_are_the_asymptotic_ones(rows):
    reference = np.full(10, 100_000)
    window = np.random.default_rng(3).multinomial(rows, np.full(10, 0.1))
    null = sample_cells(reference, window, np.random.default_rng(4), ordered=True, effort=6)
    assert null.g().p_value(39.3) == pytest.approx(stats.chi2.sf(39.3, 9), rel=0.25)
    assert null.shift().p_value(4.9) == pytest.approx(2 * stats.norm.sf(4.9), rel=0.25)


def test_the_same_seed_gives_the_same_tail():
    tails = [
        sample_cells(np.full(5, 90), np.full(5, 11), np.random.default_rng(5), ordered=True).shift()
        for _ in range(2)
    ]
    assert (tails[0].tail == tails[1].tail).all()


def test_nothing_that_could_differ_has_no_null():
    rng = np.random.default_rng(0)
    assert sample_cells(np.array([9, 0]), np.array([4, 0]), rng, ordered=False) is None
    assert sample_cells(np.array([9, 1]), np.array([0, 0]), rng, ordered=False) is None


@pytest.mark.parametrize(
    ("before", "after"), [((30, 500), (9, 60)), ((0, 400), (3, 50)), ((400, 400), (30, 40))]
)
def test_a_rates_null_is_fishers_test(before, after):
    tail, statistic = rate_null(*before, *after, both_sides=False)
    table = [[after[0], after[1] - after[0]], [before[0], before[1] - before[0]]]
    assert np.exp(-statistic) == pytest.approx(stats.fisher_exact(table, "greater").pvalue, rel=1e-6)
    assert tail.p_value(statistic) == pytest.approx(np.exp(-statistic), rel=1e-6)


def test_a_discrete_test_never_breaches_more_often_than_its_level():
    tail, _ = rate_null(5, 1_000, 1, 50, both_sides=True)
    for level in (0.2, 0.05, 0.01, 1e-4):
        assert tail.achieved(level) <= level


def test_a_tie_counts_as_at_least_as_large():
    tail = Tail.of(np.array([1.0, 1.0 + 1e-12, 2.0]), np.full(3, 1 / 3))
    assert tail.p_value(1.0) == pytest.approx(1.0)
    assert tail.p_value(2.0) == pytest.approx(1 / 3)
    assert tail.critical_value(0.4) == (2.0, pytest.approx(1 / 3))
    assert tail.critical_value(0.1) == (np.inf, 0.0)
