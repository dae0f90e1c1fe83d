"""What a histogram is looked at for, and how surprising that is."""

from __future__ import annotations

import numpy as np
import pytest

from leadscore.drift.sequential.histograms import (
    MEMORIES,
    HistogramLayout,
    HistogramTest,
    histograms_of,
    make_histogram,
)
from leadscore.scoring.profile import FeatureProfile, ReferenceProfile


def test_cells_never_seen_have_the_share_of_cells_seen_once() -> None:
    never = HistogramLayout([make_histogram("source", (900, 100, 0, 0), 100, ordered=False)], MEMORIES)
    assert never.weights.tolist() == [900.5, 100.5, 0.0, 0.0]
    once = HistogramLayout([make_histogram("source", (998, 1, 1, 0, 0), 100, ordered=False)], MEMORIES)
    assert once.weights.tolist() == [998.5, 1.5, 1.5, 1.0, 1.0]


def test_the_loudest_surprise_is_the_largest_of_all() -> None:
    histograms = [
        make_histogram("number", (250,) * 4, 100, ordered=True, missing=False),
        make_histogram("source", (600, 380, 15, 5, 0, 0), 10, ordered=False, missing=True),
    ]
    layout = HistogramLayout(histograms, MEMORIES)
    rng = np.random.default_rng(14)
    parts = [rng.dirichlet(50 * layout.shares[piece], (40, len(MEMORIES))) for piece in layout.slices]
    means, spread = np.concatenate(parts, axis=-1), np.array([0.0002, 0.001, 0.01])
    all_of_them = layout.surprise(means, spread).max(axis=(1, 2))
    assert layout.loudest(means, spread) == pytest.approx(all_of_them, rel=1e-12)


def test_a_mean_rank_finds_a_creeping_feature_that_its_shape_hides() -> None:
    layout = HistogramLayout([make_histogram("budget", (1_000,) * 10, 500, ordered=True)], (1.0,))
    creeping = layout.shares * (1 + 0.15 * np.linspace(-1, 1, 10))
    shape, shift = layout.surprise(creeping[None, :], np.array([1 / 500]))[0]
    assert [test.kind for _, test in layout.tests] == ["shape", "shift"]
    assert shift > 1.5 * shape


def test_rare_unseen_and_missing_cells_are_looked_at_by_themselves() -> None:
    feature = FeatureProfile(name="source", kind="categorical", counts=(800, 90, 1, 0), missing=109)
    profile = ReferenceProfile(
        rows=1000, features=(feature,), score_edges=(0.5,), score_counts=(600, 400), quantiles=(0.5,) * 101
    )
    source, score = histograms_of(profile, window_rows=100)
    assert source.tests == (
        HistogramTest("shape", (0, 1, -1, -1, 2)),
        HistogramTest("missing", (0, 0, 0, 0, 1)),
        HistogramTest("rare", (-1, -1, 0, -1, -1)),
        HistogramTest("unseen", (-1, -1, -1, 0, -1)),
    )
    assert score.tests == (HistogramTest("shape", (0, 1)),)
