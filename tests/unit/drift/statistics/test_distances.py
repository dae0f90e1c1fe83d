import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon

from leadscore.drift.statistics import distances as s

COUNTS = st.lists(st.integers(0, 500), min_size=2, max_size=12)
PAIR = (
    st.integers(2, 12)
    .flatmap(lambda k: st.tuples(*[st.lists(st.integers(0, 500), min_size=k, max_size=k).map(np.array)] * 2))
    .filter(lambda pair: pair[0].sum() > 0 and pair[1].sum() > 0)
)
SAMPLES = st.tuples(*[st.lists(st.integers(-30, 30).map(float), min_size=2, max_size=80)] * 2)


def on_common_cells(left, right):
    values = np.unique([*left, *right])
    return values, *(np.array([(np.array(x) == v).sum() for v in values]) for x in (left, right))


@given(SAMPLES)
def test_ks_wasserstein_and_rank_sum_of_raw_values_are_scipys(samples):
    left, right = samples
    values, before, after = on_common_cells(left, right)
    assert s.kolmogorov_smirnov(before, after) == pytest.approx(
        stats.ks_2samp(left, right, method="asymp").statistic
    )
    assert s.wasserstein(before, after, values) == pytest.approx(stats.wasserstein_distance(left, right))
    if len(values) > 1:
        theirs = stats.mannwhitneyu(right, left, method="asymptotic", use_continuity=False)
        assert 2 * stats.norm.sf(abs(s.rank_sum(before, after))) == pytest.approx(theirs.pvalue)


@given(PAIR)
def test_chi_square_g_and_jensen_shannon_are_scipys(pair):
    before, after = pair
    used = (before + after) > 0
    assume(used.sum() > 1)
    table = np.stack([before[used], after[used]])
    chi, degrees = s.chi_square(before, after)
    theirs = stats.chi2_contingency(table, correction=False)
    assert (chi, degrees) == (pytest.approx(theirs.statistic), theirs.dof)
    assert s.chi_square_p(chi, degrees) == pytest.approx(theirs.pvalue, abs=1e-12)
    g = stats.chi2_contingency(table, correction=False, lambda_="log-likelihood").statistic
    assert s.g_statistic(before, after) == pytest.approx(g, abs=1e-6)
    distance = jensenshannon(before / before.sum(), after / after.sum())
    assert s.jensen_shannon(before, after) == pytest.approx(distance**2, abs=1e-9)


@given(PAIR)
def test_psi_and_kl_are_the_textbook_ones_where_no_cell_is_empty(pair):
    before, after = pair[0] + 1, pair[1] + 1
    p, q = before / before.sum(), after / after.sum()
    assert s.psi(before, after) == pytest.approx(stats.entropy(q, p) + stats.entropy(p, q), abs=1e-9)
    assert s.kl(before, after) == pytest.approx(stats.entropy(q, p), abs=1e-9)


@given(PAIR)
def test_statistics_are_finite_and_never_negative_whatever_is_empty(pair):
    for value in (
        s.psi(*pair),
        s.kl(*pair),
        s.jensen_shannon(*pair),
        s.chi_square(*pair)[0],
        s.g_statistic(*pair),
    ):
        assert np.isfinite(value)
        assert value >= -1e-12


def test_an_empty_cell_counts_by_how_many_rows_say_so_and_not_by_a_filler():
    small, large = (s.psi(np.array([n, n, 0]), np.array([n, n, n // 10])) for n in (100, 100_000))
    # The same shares: more rows are more certain that the cell was empty.
    assert 0.1 < small < large < 1.0
    empty_on_both_sides = s.psi(np.array([5, 0, 5]), np.array([6, 0, 4]))
    assert empty_on_both_sides == s.psi(np.array([5, 5]), np.array([6, 4]))


@settings(max_examples=30)
@given(st.floats(0.01, 0.6), st.integers(5, 300), st.integers(5, 300))
def test_the_ks_p_value_is_close_to_scipys(d, n, m):
    assert s.kolmogorov_smirnov_p(d, n, m) == pytest.approx(stats.kstwo.sf(d, max(1, round(n * m / (n + m)))))


@pytest.mark.parametrize(
    "function", [s.psi, s.kl, s.jensen_shannon, s.g_statistic, s.kolmogorov_smirnov, s.rank_sum]
)
def test_a_side_without_rows_is_no_drift(function):
    assert function(np.array([0, 0]), np.array([3, 4])) == 0.0
    assert function(np.array([3, 4]), np.array([0, 0])) == 0.0
