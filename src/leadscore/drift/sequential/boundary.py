"""Alarm levels that give a monitored stream the expected run length that was asked for.

A chart is evaluated window after window, so its false alarms are counted by the run length to the
first one on an unchanged stream (ARL0). Any statistic whose behaviour without change can be simulated
gets levels here: at each window the level is the one that one in ARL0 of the simulated streams that are
still silent would cross, so the time to a false alarm is geometric with mean ARL0 (Margavio, Conerly,
Woodall & Drake 1995; for QuantTree histograms Frittoli, Carrera & Boracchi 2021, "Change detection in
multivariate datastreams controlling false alarms").
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from leadscore.arrays import Floats
from leadscore.errors import BadInputError

StreamNumbers = npt.NDArray[np.intp]

# Levels are constant over blocks of windows that grow with time: they hardly move once the chart has settled.
_BLOCKS_PER_OCTAVE = 8
# Streams lost within a block are replaced at its end; a block must not cost more than this share of them.
_BLOCK_HAZARD = 0.05
# Simulated streams beyond a level that make its estimate; where there are fewer, the tail is extended.
_TAIL = 40
MOST_WINDOWS = 12_000
# Log of nothing, as a number that JSON has: states go from job to job.
LOG_OF_NOTHING = -1e300


class NullPaths(Protocol):
    """Simulated streams without change, advanced together.

    Statistics are on a logarithmic scale (such as -log p or a log e-value): their upper tail is then close to
    exponential, which is used where the simulation is too small to see the level itself.
    """

    def step(self, rng: np.random.Generator) -> Floats:
        """The statistic of each stream after one more window, (streams,)."""
        ...

    def take(self, rows: StreamNumbers) -> None:
        """Make stream i a copy of stream rows[i]."""
        ...


class Boundary(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Alarm levels over time.

    Attributes:
        run_length: Expected windows to a false alarm that the levels are for.
        starts: First window (from 1) at which each level holds; the last one holds for ever.
        levels: A statistic above its level is an alarm.
    """

    run_length: float
    starts: tuple[int, ...]
    levels: tuple[float, ...]

    def at(self, window: int) -> float:
        """The level for the window of that number, counted from 1 since the start or the last alarm."""
        if window < 1:
            raise BadInputError(f"There is no window {window}.", hint="Windows are counted from 1.")
        return self.levels[bisect_right(self.starts, window) - 1]


def simulate_boundary(
    paths: NullPaths, run_length: float, rng: np.random.Generator, *, most_windows: int = MOST_WINDOWS
) -> Boundary:
    """Levels at which one in `run_length` of the silent streams signals at each window.

    The levels are simulated for twice the run length (at most `most_windows`); later ones keep the last.
    Streams that cross are replaced by copies of silent ones, so their number stays and the rest have the
    distribution of streams without an alarm so far.

    Args:
        paths: Streams at their beginning; some 2,000 or more.
        run_length: Expected windows to a false alarm; more than 1.
        rng: Source of the replacements and of the streams' randomness: same seed, same levels.
        most_windows: Simulated at most; levels have settled after a few of the chart's longest memories.

    Raises:
        BadInputError: The run length is not above 1.
    """
    if not run_length > 1.0:
        raise BadInputError(
            f"A run length of {run_length:g} windows is an alarm at every window.",
            hint="Ask for more than 1.",
        )
    hazard = 1.0 / run_length
    horizon = min(int(2 * run_length), most_windows)
    starts: list[int] = []
    levels: list[float] = []
    window = 1
    while window <= horizon:
        length = _block_length(window, hazard)
        # A stream that signals keeps a high statistic for a while: it counts once per block.
        loudest = np.max([paths.step(rng) for _ in range(length)], axis=0)
        level = round(upper_quantile(loudest, 1.0 - (1.0 - hazard) ** length), 9)
        _replace(paths, np.flatnonzero(loudest <= level), len(loudest), rng)
        starts.append(window)
        levels.append(level)
        window += length
    return Boundary(run_length, tuple(starts), tuple(levels))


def upper_quantile(values: Floats, share: float) -> float:
    """The value that a share of the distribution lies above, from a sample (with an exponential tail).

    With at least 40 values beyond it this is the order statistic whose expected exceedance is the share
    exactly; otherwise the 40 largest give the rate of the tail (Hill 1975, on the logarithmic scale).
    """
    n = len(values)
    beyond = share * (n + 1)
    if beyond >= _TAIL or n <= _TAIL:
        rank = int(np.clip(round(beyond), 1, n))
        return float(np.partition(values, n - rank)[n - rank])
    largest = np.partition(values, n - _TAIL - 1)[n - _TAIL - 1 :]
    base = float(largest.min())
    scale = float(largest.sum() - base * len(largest)) / _TAIL
    return base + scale * float(np.log(_TAIL / beyond))


def _block_length(window: int, hazard: float) -> int:
    return max(1, min(window // _BLOCKS_PER_OCTAVE, int(_BLOCK_HAZARD / hazard)))


def _replace(paths: NullPaths, silent: StreamNumbers, size: int, rng: np.random.Generator) -> None:
    if len(silent) == size:
        return
    rows = np.arange(size)
    gone = np.setdiff1d(rows, silent, assume_unique=True)
    rows[gone] = rng.choice(silent, len(gone)) if len(silent) else rng.integers(0, size, len(gone))
    paths.take(rows)
