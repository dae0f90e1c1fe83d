"""Levels over time, and the tails they are read from."""

from __future__ import annotations

import numpy as np
import pytest

from leadscore.drift.sequential.boundary import Boundary, upper_quantile
from leadscore.errors import BadInputError


def test_level_of_a_window_is_the_one_of_its_block() -> None:
    boundary = Boundary(50, (1, 3, 10), (1.0, 2.0, 3.0))
    assert [boundary.at(t) for t in (1, 2, 3, 9, 10, 10_000)] == [1.0, 1.0, 2.0, 2.0, 3.0, 3.0]
    with pytest.raises(BadInputError):
        boundary.at(0)


def test_exponential_tail_is_extended_beyond_the_sample() -> None:
    draws = np.random.default_rng(3).exponential(size=200_000)
    assert upper_quantile(draws, 0.01) == pytest.approx(np.log(100), rel=0.02)
    extended = np.mean([upper_quantile(part, 1e-4) for part in np.split(draws, 100)])
    assert extended == pytest.approx(np.log(1e4), rel=0.03)
