"""Where alerts get their numbers: roll-ups, the monitor itself, Prometheus."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final, Protocol

import httpx
import msgspec
import sqlalchemy as sa

from leadscore.alerts.conversion import BASELINE_DAYS, WINDOW_DAYS, conversion_change
from leadscore.alerts.evaluate import SeriesLabels
from leadscore.alerts.rules import FEATURE_PSI, AlertRule
from leadscore.batch.records import expect_nights
from leadscore.batch.schedule import NightSchedule, night_models
from leadscore.batch.status import read_nights
from leadscore.crm.endpoints import read_endpoints
from leadscore.crm.status import longest_wait
from leadscore.crm.tables import CRM_REVISION
from leadscore.documents import DECODE_ERRORS
from leadscore.errors import LeadScoreError, UnavailableError
from leadscore.events.store import EventStore
from leadscore.monitoring.measures import Measure
from leadscore.monitoring.model_facts import ModelFacts
from leadscore.monitoring.queries.counts import PredictionCounts, group_counts, read_counts, read_latencies
from leadscore.monitoring.queries.drift import read_feature_drift
from leadscore.monitoring.queries.estimates import label_completeness
from leadscore.monitoring.queries.freshness import Freshness, read_freshness
from leadscore.monitoring.queries.ranges import MATURITY, HourRange, Selection
from leadscore.monitoring.queries.traffic import percentile
from leadscore.monitoring.rollups.tables import HOUR_US, rollup_hours
from leadscore.outbox.queue import backlogs

MeasuredSeries = dict[SeriesLabels, Measure]
_ROLLUPS: Final = "rollups."
# As the chart's rule has it: PSI is a function of the number of leads, and of fewer it says little.
PSI_LEADS: Final = 2_000
_PSI_HOURS: Final = 6
_LATENCY_LEADS: Final = 100
_DAY: Final = timedelta(days=1)
# Of a Prometheus that hangs, every rule would wait for the whole time, and none be evaluated meanwhile; of a
# single slow query the others are to know nothing.
_SILENT_QUERIES: Final = 2


class MeasureReader(Protocol):
    """One source of numbers."""

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    def read(self, rule: AlertRule, now: int) -> MeasuredSeries | None:
        """Numbers of a rule by their labels; None if this source has none for it.

        Args:
            rule: Which number.
            now: Microseconds since the epoch.

        Raises:
            LeadScoreError: The source cannot be read: nothing is known.
        """
        ...


class RollupReader:
    """Numbers of the roll-ups, through the queries that pages use.

    Args:
        store: Of the roll-ups.
        facts: What a version's artefact says; None if it cannot be had.
    """

    name = "roll-ups"

    def __init__(self, store: EventStore, facts: Callable[[str, str], ModelFacts | None]) -> None:
        self._store = store
        self._facts = facts

    def read(self, rule: AlertRule, now: int) -> MeasuredSeries | None:
        """As `MeasureReader`."""
        return self.at(rule, now) if rule.measure.startswith(_ROLLUPS) else None

    def at(self, rule: AlertRule, now: int) -> MeasuredSeries:
        """A rule's number as it is, or as it would have been at a moment before, from the counts of now."""
        measure = rule.measure
        with self._store.reading() as connection:
            fresh = read_freshness(connection)
            moment = datetime.fromtimestamp(now / 1e6, UTC)
            if measure == "rollups.lag_seconds":
                return {(): _lag(fresh, moment)}
            caught_up = None if fresh.caught_up is None else min(fresh.caught_up, moment)
            known = Freshness(caught_up=caught_up, seen=fresh.seen)
            read = {
                FEATURE_PSI: partial(self._psi, rule.without),
                "rollups.conversion_change": self._conversion,
                "rollups.p95_seconds": self._p95,
            }.get(measure)
            if read is None:
                return {(): Measure.missing(f"There is no measure {measure!r}.")}
            found: MeasuredSeries = {}
            for model in _models(connection, now):
                found |= read(connection, model, known, moment)
            return found

    def _psi(
        self,
        without: Sequence[str],
        connection: sa.Connection,
        model: str,
        fresh: Freshness,
        now: datetime,
    ) -> MeasuredSeries:
        # Whole hours that are over: the hour that is under way would be compared by its first minutes.
        end = now.replace(minute=0, second=0, microsecond=0)
        time = HourRange(end - timedelta(hours=_PSI_HOURS), end)
        rows = read_counts(connection, Selection(model=model, time=time), by=("version",))
        found: MeasuredSeries = {}
        for row in rows:
            labels = (("model", model), ("model_version", row.version))
            facts = self._facts(model, row.version)
            if facts is None:
                found[labels] = Measure.missing(f"The artefact of version {row.version} cannot be had here.")
                continue
            selection = Selection(model=model, time=time)
            for drift in read_feature_drift(connection, selection, fresh, facts, without):
                if drift.kind == "score" or drift.clock:
                    continue
                measure = drift.psi
                if measure.value is not None and measure.n < PSI_LEADS:
                    why = f"{measure.n:,} leads in {_PSI_HOURS} h; the PSI needs {PSI_LEADS:,}."
                    measure = Measure.missing(why, n=measure.n, as_of=measure.as_of)
                found[tuple(sorted({**dict(labels), "feature": drift.name}.items()))] = measure
        return found

    def _conversion(
        self, connection: sa.Connection, model: str, fresh: Freshness, now: datetime
    ) -> MeasuredSeries:
        del now
        labels = (("model", model),)
        if fresh.caught_up is None:
            return {labels: Measure.missing("Nothing has been counted yet.")}
        end = (fresh.caught_up - MATURITY).replace(hour=0, minute=0, second=0, microsecond=0)
        middle = end - WINDOW_DAYS * _DAY
        time = HourRange(middle - BASELINE_DAYS * _DAY, end)
        rows = group_counts(
            read_counts(connection, Selection(model=model, time=time), step=_DAY), lambda row: row.start
        )
        days = [(start, c.converted, c.labelled) for start, c in rows.items()]
        window = [c for start, c in rows.items() if start >= middle]
        return {
            labels: conversion_change(
                [(k, n) for start, k, n in days if start < middle],
                [(k, n) for start, k, n in days if start >= middle],
                as_of=fresh.caught_up,
                completeness=label_completeness(PredictionCounts.total(window)),
            )
        }

    def _p95(self, connection: sa.Connection, model: str, fresh: Freshness, now: datetime) -> MeasuredSeries:
        end = now.replace(minute=0, second=0, microsecond=0)
        time = HourRange(end - timedelta(hours=1), end)
        rows = read_latencies(connection, Selection(model=model, time=time))
        n = sum(row.predictions for row in rows)
        if n < _LATENCY_LEADS:
            return {(("model", model),): Measure.missing(f"{n} predictions in the hour.", n=n)}
        return {(("model", model),): percentile(rows, 0.95, time.start, fresh)}


class MonitorReader:
    """What the monitor knows of itself: its rules, its sources, its outbox, the endpoints that it posts to.

    Args:
        store: Of the outbox.
        broken: What is wrong with the rules file; empty if nothing is.
        targets: What is wrong with the file of CRM targets.
        failing: Sources that could not be read in the last round, and why.
    """

    name = "monitor"

    def __init__(
        self,
        store: EventStore,
        broken: Callable[[], str],
        failing: Callable[[], Mapping[str, str]],
        targets: Callable[[], str],
    ) -> None:
        self._store = store
        self._broken = broken
        self._targets = targets
        self._failing = failing

    def read(self, rule: AlertRule, now: int) -> MeasuredSeries | None:
        """As `MeasureReader`."""
        match rule.measure:
            case "monitor.rules_broken":
                return {(): Measure(value=float(bool(self._broken())), n=0)}
            case "monitor.source_failing":
                known = {source: float(bool(why)) for source, why in self._failing().items()}
                return {(("source", s),): Measure(value=v, n=0) for s, v in known.items()}
            case "monitor.undelivered":
                return self._undelivered(now)
            case "crm.targets_broken":
                return {(): Measure(value=float(bool(self._targets())), n=0)}
            case "crm.endpoint_gone":
                return self._gone()
            case _:
                return None

    def _undelivered(self, now: int) -> MeasuredSeries:
        with self._store.reading() as connection:
            found = backlogs(connection)
        series: MeasuredSeries = {(): Measure(value=0.0, n=0)} if not found else {}
        for each in found:
            stuck = each.oldest_at is not None and now - each.oldest_at > longest_wait(each.channel)
            count = each.dead + (each.waiting if stuck else 0)
            series[(("channel", each.channel),)] = Measure(value=float(count), n=0)
        return series

    def _gone(self) -> MeasuredSeries:
        self._store.require_revision(CRM_REVISION)
        with self._store.reading() as connection:
            found = read_endpoints(connection)
        series: MeasuredSeries = {(): Measure(value=0.0, n=0)} if not found else {}
        for each in found:
            series[(("endpoint", each.name),)] = Measure(value=float(each.gone), n=0)
        return series


class NightReader:
    """How many nights a model has missed, by the records of its runs.

    Args:
        store: Whose records they are.
        environ: Where the schedule is, and which models are expected to have nights.
    """

    name = "nights"

    def __init__(self, store: EventStore, environ: Mapping[str, str]) -> None:
        self._store = store
        self._environ = environ

    def read(self, rule: AlertRule, now: int) -> MeasuredSeries | None:
        """As `MeasureReader`."""
        if rule.measure != "batch.missed_nights":
            return None
        schedule = NightSchedule.from_environment(self._environ)
        models = night_models(self._environ)
        for model in models:
            expect_nights(self._store, model, now)
        moment = datetime.fromtimestamp(now / 1e6, UTC)
        found = read_nights(self._store, schedule, moment, models)
        if not found:
            # None was run, and none is expected: that is known.
            return {(): Measure(value=0.0, n=0, as_of=moment)}
        return {
            (("model", each.model),): Measure(
                value=float(len(each.missed(schedule, moment))), n=len(each.records), as_of=moment
            )
            for each in found
        }


class _Data(msgspec.Struct, frozen=True):
    resultType: str  # noqa: N815 (its name there)
    result: msgspec.Raw


class _Answer(msgspec.Struct, frozen=True):
    status: str
    data: _Data | None = None
    error: str = ""


class _Sample(msgspec.Struct, frozen=True):
    metric: dict[str, str]
    value: tuple[float, str]


class PrometheusReader:
    """Numbers by PromQL from a Prometheus.

    Args:
        url: Its address.
        names: What `$MATCHER`, `$NAMESPACE` and `$NAME` stand for in queries.
        client: For tests.
    """

    name = "Prometheus"

    def __init__(self, url: str, names: Mapping[str, str], client: httpx.Client | None = None) -> None:
        self._url = url.rstrip("/") + "/api/v1/query"
        self._names = names
        self._client = client or httpx.Client(timeout=10.0, follow_redirects=False)
        self._silent: list[tuple[int, UnavailableError]] = []

    def read(self, rule: AlertRule, now: int) -> MeasuredSeries | None:
        """As `MeasureReader`."""
        if not rule.query:
            return None
        values = self._query(rule.promql, now)
        if not values:
            return {(): Measure.missing("Prometheus has no such series.")}
        counts = self._query(rule.count, now) if rule.count else {}
        kept = None
        if rule.only:
            # What the rule says after its comparison decides which of the numbers count.
            kept = self._query(f"({rule.promql.strip()}) > -Inf\n{rule.only.strip()}", now).keys()
        found: MeasuredSeries = {}
        as_of = datetime.fromtimestamp(now / 1e6, UTC)
        for labels, value in values.items():
            n = round(counts.get(labels, counts.get((), 0.0)))
            if not math.isfinite(value):
                found[labels] = Measure.missing("There was nothing to measure.", n=n, as_of=as_of)
            elif kept is not None and labels not in kept:
                found[labels] = Measure.missing("Too little to judge by.", n=n, as_of=as_of)
            else:
                found[labels] = Measure(value=value, n=n, as_of=as_of)
        return found

    def _query(self, query: str, now: int) -> dict[SeriesLabels, float]:
        for name, text in self._names.items():
            query = query.replace(f"${name}", text)
        self._silent = [each for each in self._silent if each[0] == now]
        if len(self._silent) >= _SILENT_QUERIES:
            raise self._silent[-1][1]
        try:
            reply = self._client.get(self._url, params={"query": query, "time": f"{now / 1e6:.3f}"})
            document = msgspec.json.decode(reply.content, type=_Answer)
        except (httpx.HTTPError, httpx.InvalidURL, *DECODE_ERRORS) as error:
            away = UnavailableError(
                f"Prometheus cannot be asked ({type(error).__name__}).",
                hint="Check LEADSCORE_PROMETHEUS_URL.",
            )
            self._silent.append((now, away))
            raise away from error
        if document.status != "success" or document.data is None or document.data.resultType != "vector":
            raise UnavailableError(
                f"Prometheus refuses a query: {(document.error or str(reply.status_code))[:200]}.",
                hint="Check the rule's query.",
            )
        try:
            found = msgspec.json.decode(document.data.result, type=list[_Sample])
        except DECODE_ERRORS as error:
            raise UnavailableError(
                "Prometheus's answer is no vector.", hint="Check the rule's query."
            ) from error
        return {
            tuple(sorted((n, t) for n, t in each.metric.items() if n != "__name__")): float(each.value[1])
            for each in found
        }


def read_all(
    readers: Sequence[MeasureReader], rules: Sequence[AlertRule], now: int
) -> tuple[dict[str, MeasuredSeries], list[str], dict[str, str]]:
    """Read the number of each rule from the first source that has it.

    Returns:
        Numbers by rule; rules that no source here has; why a source failed, by its name (empty: it did not).
    """
    measured: dict[str, MeasuredSeries] = {}
    elsewhere: list[str] = []
    failing = {reader.name: "" for reader in readers}
    for rule in rules:
        for reader in readers:
            try:
                found = reader.read(rule, now)
            except LeadScoreError as error:
                failing[reader.name] = error.message
                found = {(): Measure.missing(error.message)}
            if found is not None:
                measured[rule.alert] = found
                break
        else:
            if rule.query or rule.expr:
                elsewhere.append(rule.alert)
            else:
                why = f"Nothing here measures {rule.measure!r} (docs/alerts.md, Rules)."
                measured[rule.alert] = {(): Measure.missing(why)}
    return measured, elsewhere, failing


def moments(start: int, end: int, step: timedelta) -> Iterator[int]:
    """Moments between two, microseconds since the epoch, a step apart."""
    yield from range(start, end + 1, step // timedelta(microseconds=1))


def _models(connection: sa.Connection, now: int) -> list[str]:
    """Models that scored something in the last 90 days."""
    since = now - 90 * 24 * HOUR_US
    query = sa.select(rollup_hours.c.model_name).where(rollup_hours.c.hour >= since).distinct()
    return sorted(connection.execute(query).scalars())


def _lag(fresh: Freshness, now: datetime) -> Measure:
    if fresh.caught_up is None:
        return Measure.missing("Nothing has been counted yet.")
    return Measure(value=max(0.0, (now - fresh.caught_up).total_seconds()), n=0, as_of=fresh.caught_up)
