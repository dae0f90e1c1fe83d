"""Compare one feature of a window with its reference: statistics, tests, and the size of the change."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from leadscore.drift.options import SCORE
from leadscore.drift.statistics import distances as st
from leadscore.drift.statistics.distances import Counts
from leadscore.drift.statistics.null import Tail, rate_null, sample_cells
from leadscore.drift.univariate.feature_statistics import Statistics
from leadscore.drift.windows.counts import FeatureCounts
from leadscore.scoring.profile import FeatureProfile, ReferenceProfile


@dataclass(frozen=True, slots=True, eq=False)
class Test:
    """A calibrated test.

    Attributes:
        feature: Index of the feature; the number of features stands for the score.
        name: `distribution`, `shift`, `missing`, `unseen` or `range`.
        statistic: Value in the unit of its null.
        tail: The null.
        value: What a person is shown.
        scale: Times this the statistic is `value`, None if they have no fixed relation (rates).
        effect: Size of the change on PSI's scale, less what noise alone gives.
    """

    __test__ = False

    feature: int
    name: str
    statistic: float
    tail: Tail
    value: float
    scale: float | None
    effect: float

    @property
    def p_value(self) -> float:
        """Chance of as much evidence on an unchanged stream."""
        return self.tail.p_value(self.statistic)

    def critical_value(self, level: float) -> float | None:
        """The value from which the test breaches at a level.

        None for rates, and if nothing is rare enough.
        """
        critical = self.tail.critical_value(level)[0]
        return None if self.scale is None or math.isinf(critical) else critical * self.scale


def excess_psi(reference: Counts, window: Counts) -> float:
    """PSI less its mean under no change, (cells - 1) (1/N + 1/M).

    About 0 for noise, PSI itself for large samples.
    """
    n, m = int(reference.sum()), int(window.sum())
    if n == 0 or m == 0:
        return 0.0
    cells = int(np.count_nonzero(reference + window))
    return max(0.0, st.psi(reference, window) - (cells - 1) * (1 / n + 1 / m))


def measure(profile: FeatureProfile, reference: FeatureCounts, window: FeatureCounts) -> Statistics:
    """Every statistic of a feature, against the reference it was trained on."""
    before, after = np.array(reference.cells(profile.kind)), np.array(window.cells(profile.kind))
    chi_square, degrees = st.chi_square(before, after)
    rows, known = int(after.sum()), int(before.sum())
    numeric = profile.kind == "numeric"
    fine = bool(reference.fine) and bool(window.fine)
    ordered = (np.array(reference.fine), np.array(window.fine)) if fine else (before[:-1], after[:-1])
    ks = st.kolmogorov_smirnov(*ordered) if numeric else None
    merged = not tells_absent_apart(profile, reference)
    return Statistics(
        psi=st.psi(before, after),
        kl=st.kl(before, after),
        jensen_shannon=st.jensen_shannon(before, after),
        chi_square=chi_square,
        chi_square_p=st.chi_square_p(chi_square, degrees),
        ks=ks,
        ks_p=None
        if ks is None
        else st.kolmogorov_smirnov_p(ks, int(ordered[0].sum()), int(ordered[1].sum())),
        wasserstein=_wasserstein(profile, reference, window) if numeric else None,
        mean=window.mean if numeric else None,
        reference_mean=profile.mean,
        missing_rate=_share(_absent(window, whole=merged), rows),
        reference_missing_rate=_share(_absent(reference, whole=merged), known),
        unseen_rate=_share(window.counts[-1], rows) if profile.kind == "categorical" else 0.0,
        range_rate=_share(window.below + window.above, rows),
        absent_merged=merged,
    )


def tells_absent_apart(profile: FeatureProfile, reference: FeatureCounts) -> bool:
    """Whether a reference knows its missing values from its unlisted categories.

    A profile of encoded rows has both among the missing ones; one that counted unlisted
    categories, or that lacks no value, leaves no doubt.
    """
    return profile.kind != "categorical" or reference.counts[-1] > 0 or reference.missing == 0


def feature_tests(
    index: int,
    profile: FeatureProfile,
    base: FeatureCounts,
    pool: FeatureCounts,
    window: FeatureCounts,
    rng: np.random.Generator,
    *,
    effort: int,
    in_range: bool,
    seasonal: bool,
) -> tuple[Test, ...]:
    """The calibrated tests of one feature.

    Args:
        index: Of the feature.
        profile: Its training profile.
        base: The training reference in counts: what effects are measured against.
        pool: What significance is measured against: the same with windows without drift added, or those of a
            season.
        window: The window.
        rng: Of the null's draws.
        effort: Of the null's draws.
        in_range: Whether the reference is known to keep the contract's range.
        seasonal: Whether the pool is of a part of the week, without the rows that the bins were made of.
    """
    tests = list(
        _cell_tests(
            index, _cells(profile, base), _cells(profile, pool), _cells(profile, window), rng,
            ordered=profile.kind == "numeric", quantile_bins=profile.kind == "numeric" and not seasonal,
            effort=effort,
        )
    )  # fmt: skip
    categorical = profile.kind == "categorical"
    # Without a reference that tells them apart absent values are compared as a whole, and every absent one of
    # the reference counts as possibly unlisted.
    unsplit = not tells_absent_apart(profile, base)
    absent = [_absent(counts, whole=unsplit) for counts in (base, pool, window)]
    tests.append(_rate_test(index, "missing", absent, _rows(base, pool, window), both_sides=True))
    if categorical:
        unseen = [
            counts.counts[-1] + (counts.missing if unsplit and i < 2 else 0)
            for i, counts in enumerate((base, pool, window))
        ]
        tests.append(_rate_test(index, "unseen", unseen, _rows(base, pool, window), both_sides=False))
    if profile.kind == "numeric" and in_range:
        outside = [counts.below + counts.above for counts in (base, pool, window)]
        tests.append(_rate_test(index, "range", outside, _rows(base, pool, window), both_sides=False))
    return tuple(test for test in tests if len(test.tail.values))


def score_tests(
    index: int,
    base: tuple[int, ...],
    pool: tuple[int, ...],
    window: tuple[int, ...],
    rng: np.random.Generator,
    *,
    effort: int,
    seasonal: bool,
) -> tuple[Test, ...]:
    """The calibrated tests of the probability's distribution (counts per bin).

    None if a side has no probabilities.
    """
    if not window or not pool:
        return ()
    cells = (np.array(base), np.array(pool), np.array(window))
    return _cell_tests(index, *cells, rng, ordered=True, quantile_bins=not seasonal, effort=effort)


def name_of(profile: ReferenceProfile, feature: int) -> str:
    """Name of a test's feature."""
    return SCORE if feature == len(profile.features) else profile.features[feature].name


def _cell_tests(
    index: int,
    base: Counts,
    pool: Counts,
    window: Counts,
    rng: np.random.Generator,
    *,
    ordered: bool,
    quantile_bins: bool,
    effort: int,
) -> tuple[Test, ...]:
    null = sample_cells(pool, window, rng, ordered=ordered, quantile_bins=quantile_bins, effort=effort)
    if null is None:
        return ()
    # G times this is on the scale of PSI (both are quadratic in small changes), yet finite for empty cells.
    scale = 1 / int(pool.sum()) + 1 / int(window.sum())
    effect = excess_psi(base, window)
    g = st.g_statistic(pool, window)
    tests = [Test(index, "distribution", g, null.g(), g * scale, scale, effect)]
    if ordered:
        z = abs(st.rank_sum(pool, window))
        tests.append(Test(index, "shift", z, null.shift(), z, 1.0, effect))
    return tuple(tests)


def _rate_test(
    index: int, name: str, hits: list[int], rows: tuple[int, int, int], *, both_sides: bool
) -> Test:
    base, pool, window = hits
    tail, statistic = rate_null(pool, rows[1], window, rows[2], both_sides=both_sides)
    effect = excess_psi(np.array([rows[0] - base, base]), np.array([rows[2] - window, window]))
    if not both_sides and _share(window, rows[2]) <= _share(base, rows[0]):
        effect = 0.0
    return Test(index, name, statistic, tail, _share(window, rows[2]), None, effect)


def _cells(profile: FeatureProfile, counts: FeatureCounts) -> Counts:
    """Cells of known values; unseen categories have a test of their own."""
    return np.array(counts.counts[:-1] if profile.kind == "categorical" else counts.counts)


def _absent(counts: FeatureCounts, *, whole: bool) -> int:
    return counts.missing + (counts.counts[-1] if whole else 0)


def _rows(*counts: FeatureCounts) -> tuple[int, int, int]:
    base, pool, window = (c.present + c.missing for c in counts)
    return base, pool, window


def _wasserstein(profile: FeatureProfile, reference: FeatureCounts, window: FeatureCounts) -> float | None:
    if window.mean is None or profile.mean is None or not profile.std:
        return None
    positions = np.array(profile.bin_means)
    binned = st.wasserstein(np.array(reference.counts), np.array(window.counts), positions)
    # Within the outermost bins values can move without limit; the means cannot be further apart than the
    # samples are.
    return max(binned, abs(window.mean - profile.mean)) / profile.std


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
