"""Probabilities as log-odds."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

# How near to 0 and 1 a probability may come: certainty has infinite odds.
EDGE: Final = 1e-6


def log_odds(probabilities: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
    """ln(p / (1 - p)) of each probability, in nats, finite also for 0 and 1."""
    p = np.clip(probabilities, EDGE, 1 - EDGE)
    return np.log(p) - np.log1p(-p)
