"""How much is scored, how fast, and with which scores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

import sqlalchemy as sa

from leadscore.drift.verdict import as_utc
from leadscore.events.schema import predictions
from leadscore.monitoring.measures import Measure, MeasurePoint, MeasureSeries
from leadscore.monitoring.queries.counts import (
    CountsRow,
    LatencyRow,
    PredictionCounts,
    group_counts,
    read_counts,
    read_latencies,
    version_order,
)
from leadscore.monitoring.queries.freshness import Freshness
from leadscore.monitoring.queries.ranges import HourRange, Selection, moment_us
from leadscore.monitoring.rollups.tables import LATENCY_EDGES_US, PROBABILITY_BINS

TrafficGroup = Literal["version", "role", "source", "grade"]
QUANTILES: Final = (0.5, 0.95, 0.99)


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencySummary:
    """Latency of one version, in seconds; the interval of a percentile is the bin that it lies in.

    Attributes:
        version: Of the model.
        percentiles: P50, P95 and P99 of the whole range.
        series: The same over time.
    """

    version: str
    percentiles: tuple[Measure, ...]
    series: tuple[MeasureSeries, ...]


def read_traffic(
    connection: sa.Connection, selection: Selection, fresh: Freshness, by: TrafficGroup = "version"
) -> tuple[MeasureSeries, ...]:
    """Return predictions per time step, a series for each group; steps that nobody counted are unknown."""
    rows = read_counts(connection, selection, (by,), selection.time.step)
    return traffic_series(rows, selection.time, fresh, by)


def traffic_series(
    rows: Iterable[CountsRow], time: HourRange, fresh: Freshness, by: TrafficGroup
) -> tuple[MeasureSeries, ...]:
    """Build the series of `read_traffic`."""
    counts = group_counts(rows, lambda row: (str(getattr(row, by)), row.start))
    return tuple(
        MeasureSeries(
            name=name,
            points=tuple(
                MeasurePoint(
                    start=start,
                    end=end,
                    measure=count_measure(
                        counts.get((name, start), PredictionCounts()).predictions, start, fresh
                    ),
                )
                for start, end in time.steps()
            ),
        )
        for name in sorted({name for name, _ in counts}, key=version_order)
    )


def read_newest(
    connection: sa.Connection, selection: Selection, traffic: Sequence[MeasureSeries]
) -> datetime | None:
    """Return when the newest prediction of the counted traffic was scored; None if there was none.

    Looks only into the newest step that has any; what is not stored any more counts as of the step's end.
    """
    steps = [(p.start, p.end) for line in traffic for p in line.points if p.measure.n]
    if not steps:
        return None
    start, end = max(steps)
    c = predictions.c
    query = sa.select(c.scored_at).where(
        c.model_name == selection.model, c.scored_at >= moment_us(start), c.scored_at < moment_us(end)
    )
    if selection.roles:
        query = query.where(c.role.in_(selection.roles))
    if selection.versions:
        query = query.where(c.model_version.in_(selection.versions))
    found = connection.scalar(query.order_by(c.scored_at.desc()).limit(1))
    return end if found is None else as_utc(found)


def count_measure(count: int, start: datetime, fresh: Freshness) -> Measure:
    """Return a number of predictions of a span that begins then."""
    why = fresh.missing(start)
    if why:
        return Measure.missing(why, n=count, as_of=fresh.caught_up)
    return Measure(value=count, n=count, as_of=fresh.caught_up)


def read_latency(
    connection: sa.Connection, selection: Selection, fresh: Freshness
) -> tuple[LatencySummary, ...]:
    """Return P50, P95 and P99 of each version, over the range and over time."""
    return latency_summaries(
        read_latencies(connection, selection, selection.time.step), selection.time, fresh
    )


def latency_summaries(
    rows: Sequence[LatencyRow], time: HourRange, fresh: Freshness
) -> tuple[LatencySummary, ...]:
    """Build the summaries of `read_latency`."""
    steps = tuple(time.steps())
    found: list[LatencySummary] = []
    for version in sorted({row.version for row in rows}, key=version_order):
        of_version = [row for row in rows if row.version == version]
        by_start: dict[datetime, list[LatencyRow]] = {}
        for row in of_version:
            by_start.setdefault(row.start, []).append(row)
        series = tuple(
            MeasureSeries(
                name=f"P{quantile * 100:g}",
                points=tuple(
                    MeasurePoint(
                        start=start,
                        end=end,
                        measure=percentile(by_start.get(start, ()), quantile, start, fresh),
                    )
                    for start, end in steps
                ),
            )
            for quantile in QUANTILES
        )
        percentiles = tuple(percentile(of_version, quantile, time.start, fresh) for quantile in QUANTILES)
        found.append(LatencySummary(version=version, percentiles=percentiles, series=series))
    return tuple(found)


def percentile(rows: Iterable[LatencyRow], quantile: float, start: datetime, fresh: Freshness) -> Measure:
    """Return a percentile of latency in seconds, interpolated within its bin, whose edges are its interval.

    What is slower than the last edge (10 s) has no upper end: the value is that edge then.
    """
    counts = [0] * (len(LATENCY_EDGES_US) + 1)
    for row in rows:
        counts[row.bin] += row.predictions
    n = sum(counts)
    why = fresh.missing(start) or ("" if n else "No request was answered in this time.")
    if why:
        return Measure.missing(why, n=n, as_of=fresh.caught_up)
    wanted, below = quantile * n, 0
    for index, count in enumerate(counts):
        if count and below + count >= wanted:
            low = 0 if index == 0 else LATENCY_EDGES_US[index - 1]
            if index == len(LATENCY_EDGES_US):
                return Measure(value=low / 1e6, n=n, as_of=fresh.caught_up, low=low / 1e6)
            high = LATENCY_EDGES_US[index]
            value = low + (high - low) * (wanted - below) / count
            return Measure(value=value / 1e6, n=n, as_of=fresh.caught_up, low=low / 1e6, high=high / 1e6)
        below += count
    raise AssertionError("the bins hold fewer predictions than were counted")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreDistribution:
    """Predictions of one version by probability bin.

    Attributes:
        version: Of the model.
        counts: Per bin; bin i holds PROBABILITY_EDGES[i-1] < p <= PROBABILITY_EDGES[i].
        mean: Mean probability.
    """

    version: str
    counts: tuple[int, ...]
    mean: Measure


def read_score_distribution(
    connection: sa.Connection, selection: Selection, fresh: Freshness
) -> tuple[ScoreDistribution, ...]:
    """Return how the scores of each version are spread over the shared probability bins."""
    return score_distributions(
        read_counts(connection, selection, ("version", "bin")), selection.time.start, fresh
    )


def score_distributions(
    rows: Iterable[CountsRow], start: datetime, fresh: Freshness
) -> tuple[ScoreDistribution, ...]:
    """Build the distributions of `read_score_distribution`."""
    cells = group_counts(rows, lambda row: (row.version, row.bin))
    found: list[ScoreDistribution] = []
    for version in sorted({version for version, _ in cells}, key=version_order):
        bins = [cells.get((version, index), PredictionCounts()) for index in range(PROBABILITY_BINS)]
        total = PredictionCounts.total(bins)
        why = fresh.missing(start)
        mean = (
            Measure.missing(why, n=total.predictions, as_of=fresh.caught_up)
            if why
            else Measure(
                value=total.sum_probability / total.predictions, n=total.predictions, as_of=fresh.caught_up
            )
        )
        found.append(
            ScoreDistribution(version=version, counts=tuple(counts.predictions for counts in bins), mean=mean)
        )
    return tuple(found)
