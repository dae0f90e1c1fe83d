"""Bounds of a share from counts are those of the betting sequence, and hold at every evaluation."""

from __future__ import annotations

import numpy as np
import pytest

from leadscore.sequences import betting_sequence, share_bounds


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 1.0])
def test_bounds_of_counts_are_the_sequences_last_ones(share: float) -> None:
    n = 900
    values = np.zeros(n)
    values[: round(share * n)] = 1.0
    sequence = betting_sequence(values, 0.05, evaluations=np.array([n]))
    low, high = share_bounds(np.array([round(share * n)]), np.array([n]), 0.05)
    assert low[0] == pytest.approx(sequence.low[-1], abs=1e-6)
    assert high[0] == pytest.approx(sequence.high[-1], abs=1e-6)


def test_nothing_seen_leaves_everything_open() -> None:
    low, high = share_bounds(np.array([0, 3]), np.array([0, 3]), 0.05)
    assert (low[0], high[0]) == (0.0, 1.0)
    assert low[1] < 1.0
    assert high[1] == 1.0


def test_who_looks_after_every_lead_is_misled_in_at_most_alpha_of_the_runs() -> None:
    rng = np.random.default_rng(0)
    trials = np.arange(1, 1_001)
    runs = 200
    missed = 0
    for _ in range(runs):
        low, high = share_bounds(np.cumsum(rng.random(1_000) < 0.08), trials, 0.05)
        missed += bool(((low > 0.08) | (high < 0.08)).any())
    assert missed <= 0.05 * runs
