"""Leads drawn from the reference sample hang together as they do there."""

from __future__ import annotations

import numpy as np
import pytest

from leadscore.drift.sequential.chart import (
    design_chart,
)
from leadscore.drift.sequential.histograms import MEMORIES, HistogramLayout, make_histogram
from leadscore.drift.sequential.sample import WindowPool, drawn_truths, flat_cells
from leadscore.errors import BadInputError

BINS, REFERENCE, WINDOW = 8, 2_000, 200
ONE = make_histogram("budget", (REFERENCE // BINS,) * BINS, WINDOW, ordered=True)


@pytest.mark.parametrize("rows", [3, 25, 700])
def test_pooled_windows_have_the_sample_s_shares_and_covariance(rows: int) -> None:
    rng = np.random.default_rng(12)
    first = rng.choice(3, 500, p=[0.7, 0.2, 0.1])
    second = np.where(rng.random(500) < 0.8, first, rng.choice(3, 500))
    cells = np.stack([first, second + 3], axis=1)
    windows = WindowPool(cells, 6, rows, rng).draw(60_000, rng)
    single = np.zeros((500, 6))
    np.put_along_axis(single, cells, 1.0, axis=1)
    assert (windows[:, :3].sum(axis=1) == rows).all()
    assert windows.mean(axis=0) / rows == pytest.approx(single.mean(axis=0), abs=0.01)
    assert np.cov(windows.T) / rows == pytest.approx(np.cov(single.T, bias=True), abs=0.01)


def test_what_the_reference_leaves_open_is_drawn_as_wide_as_its_rows_allow() -> None:
    # The sample is a part of the reference: the truth errs by the reference's rows, about the reference's
    # shares.
    histogram = make_histogram("source", (12_000, 8_000, 0), 100, ordered=False)
    layout = HistogramLayout([histogram], MEMORIES)
    sample = np.array([0] * 550 + [1] * 450)[:, None]
    truth = drawn_truths(layout, flat_cells(layout, sample), 4_000, np.random.default_rng(13))
    assert truth[:, :2].mean(axis=0) == pytest.approx([0.6, 0.4], abs=0.001)
    assert truth[:, 0].std() == pytest.approx((0.55 * 0.45 / 20_000) ** 0.5, rel=0.05)
    assert (truth[:, 2] == 0.0).all()


def test_a_sample_that_does_not_fit_the_chart_is_refused() -> None:
    with pytest.raises(BadInputError, match="1 histograms"):
        design_chart([ONE], window_rows=WINDOW, run_length=50, sample=np.zeros((500, 2), dtype=np.intp))
    with pytest.raises(BadInputError, match="do not have"):
        design_chart([ONE], window_rows=WINDOW, run_length=50, sample=np.full((500, 1), BINS))
