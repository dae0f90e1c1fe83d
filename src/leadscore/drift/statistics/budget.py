"""From a budget of false alarms to the critical value of every test.

The chain: budget and schedule → mean run length in windows → chance of an accidental breach per window
(`runlength`) → chance per test, by the exact null of each (`null`) and by how much they overlap (`overlap`).

Why the run length is right although all windows are compared with one finite reference: a fixed reference
would err to the same side every time, so its false alarms would cluster, and the mean run length would exceed
the requested one by far where the reference is small. Each window is therefore compared with the reference
*and all windows without drift before it*, pooled. Given the pooled rows of the first t windows, every
division of them into "window t" and "the rest" is equally likely if nothing has changed; window t's p-values
depend on that division only and later ones on the pooled rows only. So p-values of successive windows are
independent, exactly, whatever the population and however small the reference (the argument of conformal test
martingales: Vovk, Nouretdinov and Gammerman 2003).

Discrete statistics keep their atoms: levels are not randomised, as an alarm must be explainable by the data.
The level is instead raised until the *sum* over all tests is spent; with few tests and tiny windows fewer
false alarms than asked may be possible, and `CriticalValues.expected` says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from leadscore.drift.statistics.distances import Floats
from leadscore.drift.statistics.null import Tail
from leadscore.drift.statistics.overlap import ScoreBlocks, base_draws, union_ratio

_ROUNDS: Final = 3
_BISECTIONS: Final = 60


@dataclass(frozen=True, slots=True)
class CriticalValues:
    """What a budget gives for one window.

    Attributes:
        level: p-value at or below which a test breaches.
        asked: Chance of an accidental breach per window that was asked for.
        expected: The chance that the level gives; below `asked` only where the statistics are too discrete.
        overlap: Union's probability over the tests' summed one.
    """

    level: float
    asked: float
    expected: float
    overlap: float


def solve_level(
    tails: tuple[Tail, ...], blocks: ScoreBlocks, breach: float, *, seed: int = 0
) -> CriticalValues:
    """The level at which any of the tests breaches with chance `breach` on an unchanged stream.

    Args:
        tails: Null distribution of each test.
        blocks: How they overlap; tests in the same order.
        breach: Chance per window, between 0 and 1.
        seed: Of the overlap's draws.
    """
    overlap, level, base = 1.0, 0.0, base_draws(blocks, seed)
    for _ in range(_ROUNDS):
        level = _level_of_sum(tails, breach / overlap)
        overlap = union_ratio(blocks, base, _achieved(tails, level), seed)
    level = _level_of_sum(tails, breach / overlap)
    total = float(_achieved(tails, level).sum())
    return CriticalValues(level=level, asked=breach, expected=min(1.0, overlap * total), overlap=overlap)


def window_p_value(tails: tuple[Tail, ...], overlap: float, smallest: float) -> float:
    """Chance that an unchanged window has any test with a p-value this small."""
    return min(1.0, overlap * float(_achieved(tails, smallest).sum()))


def _achieved(tails: tuple[Tail, ...], level: float) -> Floats:
    return np.array([tail.achieved(level) for tail in tails])


def _level_of_sum(tails: tuple[Tail, ...], total: float) -> float:
    """Largest level whose summed chances do not exceed `total`."""
    low, high = math.log(1e-15), 0.0
    if float(_achieved(tails, 1.0).sum()) <= total:
        return 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if float(_achieved(tails, math.exp(middle)).sum()) <= total:
            low = middle
        else:
            high = middle
    return math.exp(low)
