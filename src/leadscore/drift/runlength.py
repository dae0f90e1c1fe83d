"""Run lengths: from a budget of false alarms to the chance that one window may breach by accident.

With N-of-M hysteresis an alarm needs n breaches among the last m windows. Windows compared with everything
that came before them breach independently when nothing changes (see `budget`), so the mean number of windows
to the first alarm is that of a small Markov chain, exactly.
"""

from __future__ import annotations

import math
from datetime import timedelta
from functools import lru_cache
from typing import Final

import msgspec
import numpy as np

from leadscore.errors import BadInputError

_MOST_WINDOWS: Final = 10


class FalseAlarms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many false alarms a person accepts.

    Attributes:
        expected: Number of alarms on an unchanged stream …
        per_hours: … in this many hours.
    """

    expected: float = 1.0
    per_hours: float = 720.0

    def __post_init__(self) -> None:
        if not (0.0 < self.expected < math.inf and 0.0 < self.per_hours < math.inf):
            raise ValueError("a false-alarm budget needs a positive number and a positive period")

    def run_length(self, every: timedelta) -> float:
        """Mean windows from one false alarm to the next if a window is judged once per `every`."""
        return self.per_hours / (every / timedelta(hours=1)) / self.expected


class Hysteresis(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An alarm needs `breaches` breaching windows among the last `windows`."""

    breaches: int = 1
    windows: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.breaches <= self.windows <= _MOST_WINDOWS:
            raise ValueError(f"hysteresis must satisfy 1 <= breaches <= windows <= {_MOST_WINDOWS}")

    def met(self, recent: tuple[bool, ...]) -> bool:
        """Whether the newest `windows` entries (oldest first) hold enough breaches."""
        return sum(recent[-self.windows :]) >= self.breaches


def mean_run_length(breach: float, hysteresis: Hysteresis) -> float:
    """Mean windows to the first alarm if each breaches with this probability, independently."""
    if hysteresis.windows == 1:
        return math.inf if breach == 0 else 1.0 / breach
    size = hysteresis.windows - 1
    # A state is the last m - 1 windows as bits; those that would have been an alarm are left out.
    states = [s for s in range(1 << size) if s.bit_count() < hysteresis.breaches]
    place = {state: i for i, state in enumerate(states)}
    stay = np.zeros((len(states), len(states)))
    for state, i in place.items():
        for bit, chance in ((0, 1.0 - breach), (1, breach)):
            if state.bit_count() + bit < hysteresis.breaches:
                stay[i, place[(state << 1 | bit) & ((1 << size) - 1)]] += chance
    try:
        return float(np.linalg.solve(np.eye(len(states)) - stay, np.ones(len(states)))[0])
    except np.linalg.LinAlgError:
        return math.inf


@lru_cache(maxsize=256)
def breach_probability(run_length: float, hysteresis: Hysteresis) -> float:
    """The chance of an accidental breach per window that gives this mean run length.

    Raises:
        BadInputError: The run length is shorter than hysteresis allows even if every window breached.
    """
    if run_length <= hysteresis.breaches:
        raise BadInputError(
            f"A false alarm every {run_length:.3g} windows cannot be had with {hysteresis.breaches} "
            f"breaches of {hysteresis.windows} windows needed for one.",
            hint="Allow fewer false alarms, or judge more often.",
        )
    low, high = math.log(1e-12), 0.0
    for _ in range(80):
        middle = (low + high) / 2
        if mean_run_length(math.exp(middle), hysteresis) > run_length:
            low = middle
        else:
            high = middle
    return math.exp((low + high) / 2)
