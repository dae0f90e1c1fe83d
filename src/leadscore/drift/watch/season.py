"""Find features that follow the hour or the weekday: lead by lead they would look like drift every night."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc

from leadscore.arrays import Codes
from leadscore.contract.clock import clock_cycle

_HOUR_US: Final = 3_600_000_000
# Parts of the day with as many leads each: at night few come.
_PARTS: Final = 4
# 1970-01-01 was a Thursday.
_FIRST_WEEKDAY: Final = 3
# With 30 features, looked at twice each, one in twenty streams leaves out a feature that does not follow the
# week.
_P: Final = 0.001
# Cochran's rule for tables: groups of leads that expect fewer are pooled.
_EXPECTED: Final = 5


def week_followers(names: Sequence[str], codes: Codes, at: npt.NDArray[np.int64]) -> tuple[str, ...]:
    """Which features say when a lead came, or depend on the part of the day or on the weekday (UTC).

    The former by their names: a month changes once and for good, which no span of weeks tells. The latter by
    chi-square.

    A step in a feature's distribution is none of both if the leads are those of whole weeks: before and after
    the step every hour counts alike, and with two weeks or more most weekdays do.

    Args:
        names: Of the features, in the order of the columns.
        codes: Cell of each lead in each feature, (leads, features).
        at: When the leads were scored, microseconds since the epoch, (leads,).
    """
    hours = at // _HOUR_US
    ends = np.quantile(hours % 24, np.arange(1, _PARTS) / _PARTS) if len(at) else np.zeros(0)
    groupings = (np.searchsorted(ends, hours % 24), (hours // 24 + _FIRST_WEEKDAY) % 7)
    return tuple(
        name
        for i, name in enumerate(names)
        if clock_cycle(name) is not None or any(_depends(codes[:, i], grouping) for grouping in groupings)
    )


def _depends(cells: Codes, groups: npt.NDArray[np.int64]) -> bool:
    _, group = np.unique(groups, return_inverse=True)
    _, cell = np.unique(cells, return_inverse=True)
    table = np.zeros((cell.max(initial=0) + 1, group.max(initial=0) + 1))
    np.add.at(table, (cell, group), 1)
    smallest = table.sum(axis=0).min(initial=np.inf) / max(len(cells), 1)
    few = table.sum(axis=1) * smallest < _EXPECTED
    table = np.concatenate([table[~few], table[few].sum(axis=0, keepdims=True)])
    table = table[table.sum(axis=1) > 0]
    if min(table.shape) < 2:
        return False
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / table.sum()
    pearson = float(((table - expected) ** 2 / expected).sum())
    return float(chdtrc((table.shape[0] - 1) * (table.shape[1] - 1), pearson)) < _P
