"""The capital of a bettor: the definition that the bounds of confidence sequences are tested against."""

from __future__ import annotations

import math

import numpy as np

from leadscore.arrays import Floats
from leadscore.sequences import STAKES


def log_capital(x: Floats, candidate: float) -> Floats:
    """Log of what betting against "the mean of x is at most `candidate`" has made of a capital of 1.

    If the mean is at most that, it ever exceeds log(1 / alpha) with probability at most alpha (Ville's
    inequality).

    Args:
        x: Values in [0, 1], (..., n), in the order that they became known.
        candidate: The mean that is bet against.

    Returns:
        After each value, (..., n).
    """
    stakes = np.array(STAKES)[:, None]
    gains = np.log1p(stakes * (x[..., None, :] / max(candidate, 1e-12) - 1))
    won = np.cumsum(gains, axis=-1)
    # The capital starts with an equal part on each bet, so the best one is nearly reached.
    return np.logaddexp.reduce(won, axis=-2) - math.log(len(STAKES))
