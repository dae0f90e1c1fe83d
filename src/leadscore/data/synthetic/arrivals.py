"""When leads arrive: office hours, quiet weekends, and chance."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import numpy.typing as npt

from leadscore.arrays import Floats

Times = npt.NDArray[np.datetime64]

_MICROSECONDS_PER_HOUR = 3_600_000_000
_MICROSECONDS_PER_DAY = 24.0 * _MICROSECONDS_PER_HOUR

# Leads per hour of the day, relative: night, a peak before noon, another one after lunch, a long evening
# tail.
_HOURS = (
    0.15, 0.10, 0.08, 0.07, 0.08, 0.15, 0.35, 0.80, 1.60, 2.30, 2.60, 2.40,
    1.80, 2.10, 2.40, 2.20, 1.90, 1.50, 1.10, 1.00, 0.95, 0.80, 0.50, 0.30,
)  # fmt: skip
# Monday to Sunday.
_WEEKDAYS = (1.10, 1.20, 1.15, 1.10, 0.95, 0.35, 0.40)


def arrival_times(rows: int, seed: int, start: datetime, end: datetime) -> Times:
    """Creation times of `rows` leads between start and end (UTC), ascending; datetime64[us].

    Given their number, arrivals of a Poisson process are ordered uniforms in operational time (the integrated
    rate); gaps of exponential length give them already sorted.
    """
    first = np.datetime64(start.replace(tzinfo=None), "us")
    span = (np.datetime64(end.replace(tzinfo=None), "us") - first).astype(np.int64)
    hours = int(-(-span // _MICROSECONDS_PER_HOUR))
    clock = start.hour + np.arange(hours)
    weekday = (start.weekday() + clock // 24) % 7
    rate = np.asarray(_HOURS)[clock % 24] * np.asarray(_WEEKDAYS)[weekday]
    operational = np.concatenate([[0.0], np.cumsum(rate)])
    # The last hour may be cut short by the end of the span.
    edges = np.minimum(np.arange(hours + 1) * float(_MICROSECONDS_PER_HOUR), float(span))
    gaps = np.random.default_rng([seed, 0xA221]).standard_exponential(rows + 1).cumsum()
    positions = _interpolate(gaps[:-1] / gaps[-1] * operational[-1], operational, edges)
    return first + positions.astype(np.int64).astype("timedelta64[us]")


def _interpolate(at: Floats, xs: Floats, ys: Floats) -> Floats:
    return np.asarray(np.interp(at, xs, ys), np.float64)


def hour_of(times: Times) -> npt.NDArray[np.int64]:
    """Hour of the day, 0 to 23."""
    return (times.astype("datetime64[h]").astype(np.int64)) % 24


def weekday_of(times: Times) -> npt.NDArray[np.int64]:
    """Weekday, Monday is 0 (1970-01-01 was a Thursday)."""
    return (times.astype("datetime64[D]").astype(np.int64) + 3) % 7


def season_of(times: Times) -> npt.NDArray[np.float64]:
    """Cosine of the year, 1 in mid-January (founders' new year) and -1 in mid-July."""
    since_new_year = (times - times.astype("datetime64[Y]")).astype(np.float64)
    day = since_new_year / _MICROSECONDS_PER_DAY
    return np.cos(2.0 * np.pi * (day - 15.0) / 365.25)
