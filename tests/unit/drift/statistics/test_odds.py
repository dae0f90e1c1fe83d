"""Log-odds."""

import numpy as np
import pytest

from leadscore.drift.statistics.odds import EDGE, log_odds


def test_log_odds_are_those_of_the_definition_and_symmetric():
    p = np.array([0.2, 0.5, 0.8])
    assert log_odds(p) == pytest.approx(np.log(p / (1 - p)))
    assert log_odds(1 - p) == pytest.approx(-log_odds(p))


def test_certainty_has_finite_odds():
    assert log_odds(np.array([0.0, 1.0])) == pytest.approx(log_odds(np.array([EDGE, 1 - EDGE])))
    assert np.isfinite(log_odds(np.array([0.0, 1.0]))).all()
