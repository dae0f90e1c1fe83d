"""Live: how much is scored now, how fast, and with which scores?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from leadscore.console.charts import (
    ChartWords,
    MeasuredGroup,
    group_chart,
    time_chart,
)
from leadscore.console.numbers import milliseconds_text
from leadscore.console.page import (
    ConsolePage,
    NumberTile,
    PageContent,
    PageRequest,
    PageVerdict,
    VerdictLevel,
)
from leadscore.console.reading import selection_of
from leadscore.monitoring.measures import Measure, MeasurePoint, MeasureSeries
from leadscore.monitoring.queries.business import bin_name
from leadscore.monitoring.queries.freshness import Freshness, read_freshness
from leadscore.monitoring.queries.traffic import (
    LatencySummary,
    ScoreDistribution,
    read_latency,
    read_newest,
    read_score_distribution,
    read_traffic,
)

# What a caller may wait at most, as the alert has it.
SLOW_SECONDS: Final = 0.5
_HOUR: Final = timedelta(hours=1)
_MINUTE: Final = timedelta(minutes=1)
# Leads that come by chance leave a gap of twenty times the mean less than once in e^20 gaps.
_QUIET_GAPS: Final = 20
_QUIET_LEAST: Final = timedelta(minutes=5)
_FAILED: Final = "A refused or failed call leaves no prediction. The alerts watch the service's own counters."


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveNumbers:
    """What the page shows.

    Attributes:
        fresh: How far the counts are.
        traffic: Leads per step, by version, roles together.
        newest: When the newest of them was scored; None if there was none.
        sources: Leads per step, by where they came from.
        latency: By version.
        scores: By version.
    """

    fresh: Freshness
    traffic: tuple[MeasureSeries, ...]
    newest: datetime | None
    sources: tuple[MeasureSeries, ...]
    latency: tuple[LatencySummary, ...]
    scores: tuple[ScoreDistribution, ...]


def build(request: PageRequest) -> PageContent:
    """Make the page."""
    return show_live(_read(request), request)


def _read(request: PageRequest) -> LiveNumbers:
    selection = selection_of(request)
    with request.store.reading() as connection:
        fresh = read_freshness(connection)
        traffic = read_traffic(connection, selection, fresh)
        return LiveNumbers(
            fresh=fresh,
            traffic=traffic,
            newest=read_newest(connection, selection, traffic),
            sources=read_traffic(connection, selection, fresh, "source"),
            latency=read_latency(connection, selection, fresh),
            scores=read_score_distribution(connection, selection, fresh),
        )


def show_live(numbers: LiveNumbers, request: PageRequest) -> PageContent:
    """Lay the numbers out."""
    slowest = max(numbers.latency, key=lambda s: s.percentiles[1].value or 0.0, default=None)
    percentiles = (
        (Measure.missing("No request was answered in this time."),) * 3
        if slowest is None
        else tuple(in_milliseconds(measure) for measure in slowest.percentiles)
    )
    p95 = percentiles[1].value
    level: VerdictLevel | None = None if p95 is None else "critical" if p95 > SLOW_SECONDS * 1e3 else "good"
    note = "" if slowest is None or len(numbers.latency) < 2 else f"slowest version: {slowest.version}"
    total = leads_total(numbers.traffic, numbers.fresh)
    return PageContent(
        verdict=live_verdict(numbers, request),
        tiles=[
            _pace_tile(numbers, request),
            NumberTile(label="Leads scored", measure=total, unit="count"),
            NumberTile(label="Median latency", measure=percentiles[0], unit="milliseconds", note=note),
            NumberTile(label="P95 latency", measure=percentiles[1], unit="milliseconds", level=level,
                       note=note),
            NumberTile(label="P99 latency", measure=percentiles[2], unit="milliseconds", note=note),
            NumberTile(label="Failed calls", measure=Measure.missing(_FAILED), unit="share", href="/alerts"),
        ],
        body=[
            time_chart(
                ChartWords(
                    title="Leads scored",
                    says="Leads that callers were answered, for each version. The last step is not over yet.",
                    y_title="leads",
                    unit="count",
                    name="traffic",
                ),
                numbers.traffic,
            ),
            time_chart(
                ChartWords(
                    title="Latency",
                    says="How long the service took for a call, in milliseconds: for half of them less than "
                    "the median, for 95 and 99 of 100 less than P95 and P99, each known to about a quarter. "
                    "The way over the network comes on top.",
                    y_title="latency in ms",
                    unit="milliseconds",
                    name="latency",
                    empty="No request was answered in this time.",
                ),
                _latency_lines(numbers.latency),
                of="percentile",
                thresholds=[(SLOW_SECONDS * 1e3, "alert above 500 ms")],
            ),
            group_chart(
                ChartWords(
                    title="Scores given",
                    says="Share of leads by probability. Bins are narrow where most leads are, near zero.",
                    y_title="share of leads",
                    unit="share",
                    name="scores",
                ),
                _score_groups(numbers.scores),
                tuple(f"version {found.version}" for found in numbers.scores),
                of="probability in %",
            ),
            time_chart(
                ChartWords(
                    title="Where leads come from",
                    says="api: a request; batch: a run over a table; backfill: past leads scored afterwards.",
                    y_title="leads",
                    unit="count",
                    name="sources",
                ),
                numbers.sources,
                of="source",
            ),
        ],
        as_of=numbers.fresh.caught_up,
    )  # fmt: skip


def live_verdict(numbers: LiveNumbers, request: PageRequest) -> PageVerdict:
    """Say whether leads are scored, and fast enough."""
    stale = numbers.fresh.stale(request.now)
    if stale:
        return PageVerdict(level="unknown", sentence=f"What happens now is not known. {stale}")
    total = leads_total(numbers.traffic, numbers.fresh)
    if not total.value:
        return PageVerdict(level="warning", sentence="No lead was scored in this time.")
    quiet = _quiet_hours(numbers)
    if quiet >= 2:
        return PageVerdict(level="warning", sentence=f"No lead has been scored for {quiet} hours.")
    silent = silence(numbers.traffic, numbers.newest, request)
    if silent:
        return PageVerdict(level="unknown", sentence=silent)
    return _speed_verdict(numbers, f"{total.value:,.0f} leads were scored")


def _speed_verdict(numbers: LiveNumbers, answered: str) -> PageVerdict:
    measured = [s for s in numbers.latency if s.percentiles[1].value is not None]
    if not measured:
        return PageVerdict(
            level="info", sentence=f"{answered}; no caller waited for them, so latency is unknown."
        )
    slowest = max(measured, key=lambda s: s.percentiles[1].value or 0.0)
    p95 = in_milliseconds(slowest.percentiles[1]).value or 0.0
    if p95 > SLOW_SECONDS * 1e3:
        return PageVerdict(
            level="critical",
            sentence=f"Version {slowest.version} is slow: the service took longer than "
            f"{milliseconds_text(p95)} for 5 of 100 calls. {answered}.",
        )
    return PageVerdict(
        level="good",
        sentence=f"{answered}; the service took less than {milliseconds_text(p95)} for 95 of 100 calls.",
    )


def silence(traffic: Sequence[MeasureSeries], newest: datetime | None, request: PageRequest) -> str:
    """Say that nothing was scored for longer than the traffic before explains; empty if that is not so.

    The rule: at least five minutes, and twenty times the mean time between leads from the range's first
    to its newest. Callers without leads (a night) and a service that is down look the same from here.
    """
    if newest is None or request.until < request.now:
        return ""
    n = sum(point.measure.n for line in traffic for point in line.points)
    start = min(point.start for line in traffic for point in line.points if point.measure.n)
    gap, quiet = (newest - start) / n, request.now - newest
    if quiet < max(_QUIET_LEAST, _QUIET_GAPS * gap):
        return ""
    length = f"{quiet // _MINUTE} minutes" if quiet < 2 * _HOUR else f"{quiet // _HOUR} hours"
    return (
        f"Nothing was scored for {length}, and a lead came every {_span_text(gap)} before. "
        "Check the service, and that the CRM calls it."
    )


def _span_text(span: timedelta) -> str:
    if span < timedelta(seconds=1.5):
        return "second or more often"
    return f"{span.total_seconds():.0f} s" if span < 2 * _MINUTE else f"{span / _MINUTE:.0f} minutes"


def leads_total(series: tuple[MeasureSeries, ...], fresh: Freshness) -> Measure:
    """Leads of all series over the range, as far as they are counted."""
    n = sum(point.measure.n for line in series for point in line.points)
    if fresh.caught_up is None:
        return Measure.missing("Nothing has been counted yet.", n=n)
    return Measure(value=n, n=n, as_of=fresh.caught_up)


def _pace_tile(numbers: LiveNumbers, request: PageRequest) -> NumberTile:
    rate = current_rate(numbers, request)
    if rate.value is None or rate.value >= 1:
        return NumberTile(label="Leads a second", measure=rate, unit="per_second", note="mean of this hour")
    hourly = Measure(value=rate.value * 3_600, n=rate.n, as_of=rate.as_of)
    return NumberTile(label="Leads an hour", measure=hourly, unit="count", note="at the pace of this hour")


def current_rate(numbers: LiveNumbers, request: PageRequest) -> Measure:
    """Leads a second in the hour that is not over, as far as it is counted."""
    caught_up = numbers.fresh.caught_up
    why = numbers.fresh.stale(request.now)
    if why or caught_up is None:
        return Measure.missing(why or "Nothing has been counted yet.", as_of=caught_up)
    last = [line.points[-1] for line in numbers.traffic if line.points]
    if not last or last[0].end - last[0].start != _HOUR or last[0].end < request.now:
        return Measure.missing("Choose a time that ends now, of at most four days.", as_of=caught_up)
    seconds = (caught_up - last[0].start).total_seconds()
    if seconds < 60:
        return Measure.missing("This hour has just begun.", as_of=caught_up)
    n = sum(point.measure.n for point in last)
    return Measure(value=n / seconds, n=n, as_of=caught_up)


def _quiet_hours(numbers: LiveNumbers) -> int:
    """Whole hours at the end, counted, without a lead; 0 where steps are longer."""
    if not numbers.traffic or numbers.traffic[0].points[0].end - numbers.traffic[0].points[0].start > _HOUR:
        return 0
    quiet = 0
    for place in reversed(range(len(numbers.traffic[0].points))):
        points = [line.points[place] for line in numbers.traffic]
        if any(point.measure.n for point in points):
            break
        quiet += all(point.measure.value is not None for point in points)
    return quiet


def in_milliseconds(latency: Measure) -> Measure:
    """A percentile for people: no more digits than its bin is known to, and without the bin's edges."""
    value = None if latency.value is None else float(f"{latency.value * 1e3:.2g}")
    return Measure(value=value, n=latency.n, as_of=latency.as_of, unknown=latency.unknown)


def _latency_lines(latency: tuple[LatencySummary, ...]) -> list[MeasureSeries]:
    several = len(latency) > 1
    return [
        MeasureSeries(
            name=f"{line.name}, version {summary.version}" if several else line.name,
            points=tuple(
                MeasurePoint(start=p.start, end=p.end, measure=in_milliseconds(p.measure))
                for p in line.points
            ),
        )
        for summary in latency
        for line in summary.series
        # Three lines of one version, or the P95 of several.
        if not several or line.name == "P95"
    ]


def _score_groups(scores: tuple[ScoreDistribution, ...]) -> list[MeasuredGroup]:
    if not scores:
        return []
    bins = range(len(scores[0].counts))
    return [
        MeasuredGroup(
            name=bin_name(index).removesuffix(" %"),
            measures=tuple(
                Measure(
                    value=found.counts[index] / max(sum(found.counts), 1),
                    n=found.counts[index],
                    as_of=found.mean.as_of,
                )
                for found in scores
            ),
        )
        for index in bins
    ]


PAGE: Final = ConsolePage(
    path="/live",
    title="Live",
    group="Operations",
    question="How much is scored now, and how fast?",
    build=build,
    span="24h",
)
