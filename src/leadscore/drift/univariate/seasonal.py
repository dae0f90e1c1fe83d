"""Compare leads with earlier ones of the same part of the week (Monday mornings with Monday mornings).

A window of a day or less covers a part of the week only, and much about leads follows the week (who works at
weekends, how fast somebody answers, the weekday itself). The detector's memory keeps windows without drift
per hour or day of the week; which features follow the week is read from it. For those features both
significance and size of a change are measured against earlier windows of the same hour or day. That is simple
and exact: within one hour of the week windows are exchangeable, which is all the null needs, while
reweighting the training leads would need their times and shares of each hour known without error. The price
is a memory that must be filled first (`check.warm_up`): a week or more of windows without drift.

Features that say when a lead came (`contract.clock`) need no memory to be known as such: a Monday has one
weekday of seven. In a window shorter than their cycle they are compared with the same part of the week or,
where that does not settle their value (a month, in any window shorter than a year), not at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from leadscore.contract.clock import clock_cycle
from leadscore.drift.options import DriftOptions
from leadscore.drift.statistics import distances as st
from leadscore.drift.statistics.distances import Counts
from leadscore.drift.univariate.compare import excess_psi, name_of
from leadscore.drift.windows.counts import WindowCounts
from leadscore.drift.windows.history import ALL, History
from leadscore.scoring.profile import ReferenceProfile

_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_WEEK: Final = timedelta(days=7)
# A feature stays seasonal once it is found so: the level allows for all features and all checks.
_LEVEL: Final = 1e-6
_LEAST_EFFECT: Final = 0.005


def stratum_of(start: datetime, end: datetime, options: DriftOptions) -> str:
    """The part of the week a window belongs to.

    `hour-0` (Monday, midnight) to `hour-167`, `day-0` to `day-6`, or `all`.
    """
    if options.season == "none" or end - start > _DAY:
        return ALL
    local = start + timedelta(hours=options.utc_offset_hours)
    if end - start > _HOUR:
        return f"day-{local.weekday()}"
    return f"hour-{local.weekday() * 24 + local.hour}"


@dataclass(frozen=True, slots=True)
class WindowSeason:
    """How features of a window are to be compared, as far as the time is concerned.

    Attributes:
        stratum: Part of the week that it belongs to, or `all`.
        follows: Features (`score` among them) that follow the week.
        incomparable: Features that say when a lead came and that a window of its length cannot be judged by.
    """

    stratum: str
    follows: frozenset[str]
    incomparable: frozenset[str]


def window_season(
    profile: ReferenceProfile, history: History, options: DriftOptions, start: datetime, end: datetime
) -> WindowSeason:
    """The season of a window from `start` to `end`."""
    stratum = stratum_of(start, end, options)
    cycles = {
        feature.name: cycle
        for feature in profile.features
        if feature.name not in options.compared_always and (cycle := clock_cycle(feature.name)) is not None
    }
    settled = frozenset(name for name, cycle in cycles.items() if _settles(stratum, cycle))
    follows = _seasonal_features(profile, history, options, stratum, settled)
    short = frozenset(name for name, cycle in cycles.items() if end - start < cycle)
    return WindowSeason(stratum, follows, short - (follows & settled))


def _seasonal_features(
    profile: ReferenceProfile, history: History, options: DriftOptions, stratum: str, by_name: frozenset[str]
) -> frozenset[str]:
    """Names of the features (`score` among them) that follow the week.

    Those that are named, else those that say the hour or the weekday and those that the memory tells of.
    None if windows do not follow it.
    """
    if stratum == ALL:
        return frozenset()
    if options.seasonal_features is not None:
        return frozenset(options.seasonal_features)
    unit = stratum.partition("-")[0]
    pools = [pool for name, pool in sorted(history.pools.items()) if name.partition("-")[0] == unit]
    if len(pools) < 2:
        return by_name
    return by_name | frozenset(
        name_of(profile, i)
        for i in range(len(profile.features) + 1)
        if _follows([_cells(profile, pool, i) for pool in pools if pool.rows])
    )


def _settles(stratum: str, cycle: timedelta) -> bool:
    """Whether all windows of this part of the week hold the same part of such a cycle."""
    if stratum == ALL:
        return False
    return cycle <= _WEEK if stratum.startswith("hour-") else cycle == _WEEK


def _follows(tables: list[Counts]) -> bool:
    """Whether the parts of the week differ.

    Chi-square of the whole table, and the mean size of the difference.
    """
    table = np.stack(tables)
    table = table[:, table.sum(axis=0) > 0]
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    if table.shape[1] < 2 or rows.min() == 0:
        return False
    expected = np.outer(rows, columns) / table.sum()
    statistic = float(((table - expected) ** 2 / expected).sum())
    degrees = (table.shape[0] - 1) * (table.shape[1] - 1)
    effects = [excess_psi(columns - row, row) for row in table]
    return st.chi_square_p(statistic, degrees) < _LEVEL and float(np.mean(effects)) > _LEAST_EFFECT


def _cells(profile: ReferenceProfile, pool: WindowCounts, feature: int) -> Counts:
    if feature == len(pool.features):
        return np.array(pool.scores or (0,))
    return np.array(pool.features[feature].cells(profile.features[feature].kind))
