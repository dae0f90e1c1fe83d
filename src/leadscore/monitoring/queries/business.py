"""What became of the leads: conversion and revenue by version, grade and score, now against before.

Only leads that are old enough to have an outcome count (`Selection.maturity`): of younger ones
those that convert are known before those that do not, so their rate would be too high.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

import sqlalchemy as sa

from leadscore.monitoring.measures import Measure, MeasurePoint, MeasureSeries
from leadscore.monitoring.queries.counts import (
    CountsRow,
    PredictionCounts,
    group_counts,
    read_counts,
    version_order,
)
from leadscore.monitoring.queries.estimates import measure_conversions, measure_revenue
from leadscore.monitoring.queries.freshness import Freshness
from leadscore.monitoring.queries.ranges import Selection
from leadscore.monitoring.rollups.tables import PROBABILITY_BINS
from leadscore.scoring.grades import GRADES
from leadscore.scoring.probability_bins import PROBABILITY_EDGES

BusinessGroup = Literal["version", "grade", "slice", "bin", "source"]
# Slices of the score as CRMs show them. Probability bins end at 0.2, 0.4, …, so a slice is whole bins.
SLICES: Final = ("0–20", "21–40", "41–60", "61–80", "81–100")


# A few hundred rows at most: what every grouping is made of.
_FINEST: Final = ("version", "grade", "bin", "source")


@dataclass(frozen=True, slots=True, kw_only=True)
class BusinessRow:
    """What became of one group's leads.

    Attributes:
        name: Of the group.
        leads: How many were scored in the time, young ones included.
        expected: Conversion rate that the scores of the measured leads promise.
        conversion: Of the leads that are old enough; its n is how many have an outcome.
        revenue: Per lead, likewise.
        before: Conversion rate of the span of the same length before.
        revenue_before: Revenue per lead of that span.
    """

    name: str
    leads: Measure
    expected: Measure
    conversion: Measure
    revenue: Measure
    before: Measure
    revenue_before: Measure

    @property
    def changed(self) -> Literal["up", "down", "same", "unknown"]:
        """Whether the conversion rate has changed beyond what the two intervals leave open."""
        now, then = self.conversion, self.before
        if now.low is None or now.high is None or then.low is None or then.high is None:
            return "unknown"
        if now.high < then.low:
            return "down"
        return "up" if now.low > then.high else "same"


@dataclass(frozen=True, slots=True, kw_only=True)
class BusinessCounts:
    """What was counted of a time, by version, grade, probability bin and source.

    Attributes:
        scored: All predictions of the time.
        mature: Those that are old enough to have an outcome.
        before: Those of the span before, as long, that are.
        fresh: How far the roll-ups are.
        start: First moment of the time.
    """

    scored: tuple[CountsRow, ...]
    mature: tuple[CountsRow, ...]
    before: tuple[CountsRow, ...]
    fresh: Freshness
    start: datetime


def read_business_counts(connection: sa.Connection, selection: Selection, fresh: Freshness) -> BusinessCounts:
    """Count a time once; `business_rows` groups it in as many ways as are asked for."""
    mature = None if fresh.caught_up is None else selection.mature(fresh.caught_up)
    before = None if fresh.caught_up is None else selection.before().mature(fresh.caught_up)
    old = () if mature is None else read_counts(connection, mature, _FINEST)
    young = selection if mature is None else selection.after(mature.time.end)
    new = () if young is None else read_counts(connection, young, _FINEST)
    return BusinessCounts(
        scored=(*old, *new),
        mature=old,
        before=() if before is None else read_counts(connection, before, _FINEST),
        fresh=fresh,
        start=selection.time.start,
    )


def read_business(
    connection: sa.Connection, selection: Selection, fresh: Freshness, by: BusinessGroup | None = None
) -> tuple[BusinessRow, ...]:
    """Return conversion and revenue of each group, or of all leads together, now against before."""
    return business_rows(read_business_counts(connection, selection, fresh), by)


def business_rows(counted: BusinessCounts, by: BusinessGroup | None = None) -> tuple[BusinessRow, ...]:
    """Build the rows of `read_business`."""
    key = _key(by)
    leads, old, earlier = (
        group_counts(rows, key) for rows in (counted.scored, counted.mature, counted.before)
    )
    names = sorted({*leads, *old, *earlier}, key=_order(by))
    nothing = PredictionCounts()
    as_of = counted.fresh.caught_up
    rates = measure_conversions([old.get(name, nothing) for name in names], as_of)
    rates_before = measure_conversions([earlier.get(name, nothing) for name in names], as_of)
    return tuple(
        BusinessRow(
            name=name,
            leads=_count(leads.get(name, nothing), counted.fresh, counted.start),
            expected=_expected(old.get(name, nothing), as_of),
            conversion=rate,
            revenue=measure_revenue(old.get(name, nothing), as_of),
            before=rate_before,
            revenue_before=measure_revenue(earlier.get(name, nothing), as_of),
        )
        for name, rate, rate_before in zip(names, rates, rates_before, strict=True)
    )


def read_conversion_series(
    connection: sa.Connection, selection: Selection, fresh: Freshness, by: BusinessGroup = "version"
) -> tuple[MeasureSeries, ...]:
    """Return conversion rates over time, a series for each group; young steps are unknown points."""
    mature = None if fresh.caught_up is None else selection.mature(fresh.caught_up)
    groups = _columns(by)
    rows = () if mature is None else read_counts(connection, mature, groups, selection.time.step)
    return conversion_series(rows, selection, fresh, by)


def conversion_series(
    rows: Iterable[CountsRow], selection: Selection, fresh: Freshness, by: BusinessGroup
) -> tuple[MeasureSeries, ...]:
    """Build the series of `read_conversion_series` from rows of mature leads."""
    key = _key(by)
    cells = group_counts(rows, lambda row: (key(row), row.start))
    steps = tuple(selection.time.steps())
    found: list[MeasureSeries] = []
    for name in sorted({name for name, _ in cells}, key=_order(by)):
        rates = measure_conversions(
            [cells.get((name, start), PredictionCounts()) for start, _ in steps], fresh.caught_up
        )
        points = (
            MeasurePoint(start=start, end=end, measure=rate)
            for (start, end), rate in zip(steps, rates, strict=True)
        )
        found.append(MeasureSeries(name=name, points=tuple(points)))
    return tuple(found)


def slice_of_bin(index: int) -> str:
    """Return the slice of the score that a probability bin lies in."""
    upper = PROBABILITY_EDGES[index] if index < len(PROBABILITY_EDGES) else 1.0
    return SLICES[next(i for i in range(len(SLICES)) if upper <= (i + 1) / len(SLICES) + 1e-9)]


def bin_name(index: int) -> str:
    """Name a probability bin in per cent: `5–7.5 %`."""
    edges = (0.0, *PROBABILITY_EDGES, 1.0)
    return f"{edges[index] * 100:g}–{edges[index + 1] * 100:g} %"


_BIN_NAMES: Final = tuple(bin_name(index) for index in range(PROBABILITY_BINS))


def _columns(by: BusinessGroup) -> tuple[str, ...]:
    return ("bin",) if by == "slice" else (by,)


def _key(by: BusinessGroup | None) -> Callable[[CountsRow], str]:
    if by is None:
        return lambda _: "all"
    if by == "slice":
        return lambda row: slice_of_bin(row.bin)
    if by == "bin":
        return lambda row: _BIN_NAMES[row.bin]
    return lambda row: str(getattr(row, by))


def _order(by: BusinessGroup | None) -> Callable[[str], tuple[int, str]]:
    known: Sequence[str] = {"slice": SLICES, "bin": _BIN_NAMES, "grade": GRADES}.get(by or "", ())
    places = {name: place for place, name in enumerate(known)}
    return lambda name: (places[name], name) if name in places else version_order(name)


def _count(counts: PredictionCounts, fresh: Freshness, start: datetime) -> Measure:
    why = fresh.missing(start)
    if why:
        return Measure.missing(why, n=counts.predictions, as_of=fresh.caught_up)
    return Measure(value=counts.predictions, n=counts.predictions, as_of=fresh.caught_up)


def _expected(mature: PredictionCounts, as_of: datetime | None) -> Measure:
    if not mature.labelled:
        return Measure.missing("No outcome to compare with.", as_of=as_of)
    value = mature.labelled_sum_probability / mature.labelled
    return Measure(value=value, n=mature.labelled, as_of=as_of)
