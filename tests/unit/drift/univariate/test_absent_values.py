"""Missing values and unlisted categories.

A reference that cannot tell them apart is not compared with a window that can.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.drift.streams import CONTRACT, DAY, START, leads, probabilities

from leadscore.drift.check.univariate import check
from leadscore.drift.options import DriftOptions
from leadscore.drift.reference import build_profile
from leadscore.drift.report.document import FeatureReport
from leadscore.drift.univariate.compare import measure
from leadscore.drift.verdict import at_least
from leadscore.drift.windows.counts import FeatureCounts
from leadscore.drift.windows.inputs import LeadWindow, Reference
from leadscore.scoring.profile import FeatureProfile

SOURCE = 2
LINES = DriftOptions(mode="thresholds", season="none")


def absent_leads(rows: int, seed: int, share: float) -> np.ndarray:
    """Leads that have no source in so many cases: the encoder's NaN, of a missing or an unlisted one."""
    matrix = leads(rows, seed)
    matrix[np.random.default_rng(seed + 1).random(rows) < share, SOURCE] = np.nan
    return matrix


def reference_of(matrix: np.ndarray, unlisted: int | None) -> Reference:
    unseen = None if unlisted is None else [0, 0, unlisted, 0]
    profile = build_profile(CONTRACT, matrix, probabilities(matrix), unseen=unseen)
    return Reference.of("leads", "1", CONTRACT, profile)


def window_of(base: Reference, matrix: np.ndarray, unlisted: int) -> LeadWindow:
    return LeadWindow.of(
        base,
        START,
        START + DAY,
        matrix,
        probabilities(matrix),
        unseen={"source": unlisted} if unlisted else {},
    )


def source_of(base: Reference, window: LeadWindow, options: DriftOptions = LINES) -> FeatureReport:
    report, _ = check(base, window, options)
    return next(f for f in report.features if f.name == "source")


def recounted_psi(before: np.ndarray, after: np.ndarray) -> float:
    """PSI of two columns of category codes by the textbook, NaN one more category.

    Half a row where only one side is empty.
    """
    total = 0.0
    for code in (0.0, 1.0, 2.0, None):
        n, m = (
            int(np.isnan(side).sum()) if code is None else int((side == code).sum())
            for side in (before, after)
        )
        if n or m:
            p, q = (n or 0.5) / len(before), (m or 0.5) / len(after)
            total += (q - p) * math.log(q / p)
    return total


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 1_000),
    share=st.floats(0.0, 0.9),
    known_before=st.none() | st.floats(0.0, 1.0),
    unlisted_now=st.floats(0.0, 1.0),
    part=st.floats(0.5, 1.0),
)
def test_a_window_of_the_references_own_rows_is_never_significant_whatever_of_it_is_missing_or_unlisted(
    seed: int, share: float, known_before: float | None, unlisted_now: float, part: float
) -> None:
    rows = absent_leads(2_000, seed, share)
    absent = int(np.isnan(rows[:, SOURCE]).sum())
    base = reference_of(rows, None if known_before is None else int(known_before * absent))
    drawn = np.random.default_rng(seed).choice(len(rows), int(part * len(rows)), replace=False)
    inside = int(np.isnan(rows[drawn, SOURCE]).sum())
    report, _ = check(base, window_of(base, rows[drawn], int(unlisted_now * inside)), LINES)
    assert not at_least(report.verdict.severity, "significant")
    source = next(f for f in report.features if f.name == "source")
    assert source.statistics.psi == pytest.approx(
        recounted_psi(rows[:, SOURCE], rows[drawn, SOURCE]), abs=1e-12
    )


@settings(max_examples=60, deadline=None)
@given(
    before=st.lists(st.integers(0, 50), min_size=5, max_size=5).filter(any),
    after=st.lists(st.integers(0, 50), min_size=5, max_size=5).filter(any),
    moved=st.integers(0, 50),
)
def test_every_distance_is_the_same_however_absent_values_are_told_apart(
    before: list[int], after: list[int], moved: int
) -> None:
    profile = FeatureProfile(name="source", kind="categorical", counts=(1, 0, 0, 0), missing=0)
    base = FeatureCounts(counts=tuple(before[:4]), missing=before[4])
    now = FeatureCounts(counts=tuple(after[:4]), missing=after[4])
    some = min(moved, now.missing)
    other = FeatureCounts(counts=(*now.counts[:3], now.counts[3] + some), missing=now.missing - some)
    names = ("psi", "kl", "jensen_shannon", "chi_square", "chi_square_p")
    one, two = measure(profile, base, now), measure(profile, base, other)
    assert [getattr(one, name) for name in names] == [getattr(two, name) for name in names]


def test_a_week_inside_the_reference_with_unlisted_categories_is_no_drift_by_thresholds() -> None:
    rows = absent_leads(8_000, 3, 0.3)
    base, week = reference_of(rows, None), rows[1_000:3_000]
    absent = int(np.isnan(week[:, SOURCE]).sum())
    found = source_of(base, window_of(base, week, absent))
    assert found.severity == "none"
    assert found.statistics.psi < 0.03
    assert found.statistics.unseen_rate == pytest.approx(absent / len(week)), (
        "unlisted ones stay a figure of their own"
    )


def test_more_unlisted_categories_are_seen_where_the_reference_had_missing_values_and_cannot_tell() -> None:
    base = reference_of(absent_leads(8_000, 3, 0.1), None)
    now = absent_leads(2_000, 4, 0.3)
    unlisted = int(np.isnan(now[:, SOURCE]).sum()) - 200
    report, _ = check(base, window_of(base, now, unlisted), DriftOptions(season="none"))
    source = next(f for f in report.features if f.name == "source")
    assert source.severity != "none"
    assert source.statistics.absent_merged
    assert [(f.feature, f.pattern) for f in report.findings] == [("source", "new_category")], report.findings


def test_a_reference_that_counted_unlisted_categories_tells_a_new_one_from_a_missing_value() -> None:
    matrix = absent_leads(8_000, 3, 0.2)
    base = reference_of(matrix, 30)
    now = absent_leads(2_000, 4, 0.2)
    absent = int(np.isnan(now[:, SOURCE]).sum())
    found = source_of(base, window_of(base, now, absent // 2), DriftOptions(season="none"))
    breached = {test.name for test in found.tests if test.breached}
    assert breached == {"missing", "unseen"}, (
        "half of the missing ones have become unlisted, although as many are absent"
    )
    assert not found.statistics.absent_merged
    assert found.statistics.psi < 0.01, (
        "by the distribution, which is compared as every reference can be, nothing moved"
    )


def test_charts_and_windows_count_absent_values_of_a_reference_in_one_cell() -> None:
    from leadscore.drift.sequential.histograms import cell_codes, histograms_of

    matrix = absent_leads(4_000, 3, 0.2)
    base = reference_of(matrix, 300)
    codes = cell_codes(base.profile, matrix, probabilities(matrix))[:, SOURCE]
    counts = histograms_of(base.profile, 100)[SOURCE].counts
    assert np.bincount(codes, minlength=len(counts)).tolist() == list(counts)
