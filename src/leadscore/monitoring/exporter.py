"""What the roll-ups say of each version, for Prometheus: the numbers that the console's pages show.

Read from the store every so often, not at each scrape: a slow store must not make a scrape wait. A measure
that is not known is absent, and `leadscore_model_measure_unknown` says why.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import sqlalchemy as sa
from prometheus_client.core import GaugeMetricFamily, Metric

from leadscore.contract.clock import CLOCK_PARTS
from leadscore.events.store import EventStore
from leadscore.monitoring.measures import Measure
from leadscore.monitoring.model_facts import ModelFacts
from leadscore.monitoring.queries.business import read_business
from leadscore.monitoring.queries.drift import FeatureDrift, read_feature_drift
from leadscore.monitoring.queries.freshness import Freshness, read_freshness
from leadscore.monitoring.queries.quality import read_quality
from leadscore.monitoring.queries.ranges import HourRange, Selection, moment_us
from leadscore.monitoring.rollups.tables import rollup_hours

# Over which time: outcomes take weeks to come, what callers send changes within a day.
OUTCOME_WINDOW: Final = timedelta(days=90)
DRIFT_WINDOW: Final = timedelta(days=1)
# After which numbers that could not be read again are not shown any more.
_OLD_SECONDS: Final = 120.0
_NUMBER: Final = re.compile(r"\d[\d,.:/-]*")
_VERSION: Final = ("model_name", "model_version", "role")
_MEASURES: Final = {
    "conversion_rate": "Conversion rate of leads that are old enough, of the last 90 days.",
    "promised_conversion_rate": "Conversion rate that the scores of the same leads promised.",
    "revenue_per_lead": "Revenue per lead that is old enough, of the last 90 days.",
    "auc": "Area under the ROC curve on matured labels.",
    "expected_auc": "The same without labels, from the scores alone (CBPE); blind to concept drift.",
    "precision": "Share of the leads called likely that converted, on matured labels.",
    "recall": "Share of the converted leads that were called likely, on matured labels.",
    "f1": "Harmonic mean of the two.",
    "brier": "Mean squared error of the probability, on matured labels.",
}
_STATISTICS: Final = {
    "psi": "Population stability index of the last day against training.",
    "kl": "Kullback-Leibler divergence of the last day from training, in nats.",
    "ks": "Largest difference of the distribution functions, of ordered features.",
    "chi_square": "Pearson's statistic over its degrees of freedom: about 1 without a change.",
}


@dataclass(frozen=True, slots=True)
class VersionMeasures:
    """What is known of one version in one role.

    Attributes:
        version: Model name, version and role.
        measures: By name.
        drift: Of its features; empty where its profile cannot be had.
    """

    version: tuple[str, str, str]
    measures: dict[str, Measure]
    drift: tuple[FeatureDrift, ...]


@dataclass(frozen=True, slots=True)
class _Snapshot:
    read_at: float
    stale: str
    versions: tuple[VersionMeasures, ...]


class ModelMetricsExporter:
    """Keeps the last numbers that were read.

    Args:
        store: Where the roll-ups are.
        facts_of: What a version's artefact says, by model name and version; None if it cannot be had.
        without: Ends of the names of features that are not compared, as they are now (`contract.clock`).
        now: The time.
        monotonic: A clock that nobody sets.
    """

    def __init__(
        self,
        store: EventStore,
        facts_of: Callable[[str, str], ModelFacts | None],
        *,
        without: Callable[[], Sequence[str]] = lambda: CLOCK_PARTS,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._facts_of = facts_of
        self._without = without
        self._now = now
        self._monotonic = monotonic
        self._last: _Snapshot | None = None

    def refresh(self) -> None:
        """Read the numbers anew.

        Raises:
            UnavailableError: The store cannot be read: what is known is shown for two minutes more.
        """
        asked, now = self._monotonic(), self._now()
        with self._store.reading() as connection:
            fresh = read_freshness(connection)
            versions = read_version_measures(connection, fresh, self._facts_of, now, self._without())
        self._last = _Snapshot(asked, fresh.stale(now), versions)

    def metrics(self) -> Iterable[Metric]:
        """The metrics of one scrape."""
        last = self._last
        unknown = _gauge("model_measure_unknown", "1: not known, and why.", *_VERSION, "measure", "reason")
        why = "" if last is None else last.stale
        if last is None or self._monotonic() - last.read_at > _OLD_SECONDS:
            why = "The event store could not be read."
        if why:
            unknown.add_metric(("", "", "", "all", _stable(why)), 1)
        elif last is not None:
            yield from _families(last.versions, unknown)
        yield unknown


def read_version_measures(
    connection: sa.Connection,
    fresh: Freshness,
    facts_of: Callable[[str, str], ModelFacts | None],
    now: datetime,
    without: Sequence[str] = CLOCK_PARTS,
) -> tuple[VersionMeasures, ...]:
    """Read what is known of every version that has scored within the window of outcomes.

    Args:
        connection: Of the event store.
        fresh: How far the roll-ups are.
        facts_of: What a version's artefact says.
        now: End of the windows.
        without: Ends of the names of features that are not compared.
    """
    time_of_outcomes, today = HourRange.last(OUTCOME_WINDOW, now), HourRange.last(DRIFT_WINDOW, now)
    key = (rollup_hours.c.model_name, rollup_hours.c.model_version, rollup_hours.c.role)
    recent = rollup_hours.c.hour >= moment_us(time_of_outcomes.start)
    found: list[VersionMeasures] = []
    for name, version, role in connection.execute(sa.select(*key).where(recent).distinct().order_by(*key)):
        facts = facts_of(name, version)
        of_outcomes, of_today = (
            Selection(model=name, time=each, versions=(version,), roles=(role,))
            for each in (time_of_outcomes, today)
        )
        measures: dict[str, Measure] = {}
        for row in read_business(connection, of_outcomes, fresh):
            measures |= {"conversion_rate": row.conversion, "revenue_per_lead": row.revenue}
            measures["promised_conversion_rate"] = row.expected
        for row in read_quality(connection, of_outcomes, fresh, {} if facts is None else {version: facts}):
            measures |= {"auc": row.auc, "expected_auc": row.expected_auc, "precision": row.precision}
            measures |= {"recall": row.recall, "f1": row.f1, "brier": row.brier}
        drift = () if facts is None else read_feature_drift(connection, of_today, fresh, facts, without)
        if facts is None:
            measures["drift"] = Measure.missing("The version's profile cannot be had.")
        found.append(VersionMeasures((name, version, role), measures, drift))
    return tuple(found)


def _families(versions: Sequence[VersionMeasures], unknown: GaugeMetricFamily) -> Iterator[Metric]:
    for name, text in _MEASURES.items():
        value = _gauge(f"model_{name}", text, *_VERSION)
        low = _gauge(f"model_{name}_low", f"Lower end of its interval: {text}", *_VERSION)
        high = _gauge(f"model_{name}_high", f"Upper end of its interval: {text}", *_VERSION)
        for each in versions:
            measure = each.measures.get(name)
            if measure is None:
                continue
            for family, number in ((value, measure.value), (low, measure.low), (high, measure.high)):
                if measure.value is not None and number is not None:
                    family.add_metric(each.version, number)
        yield from (value, low, high)
    leads = _gauge("model_measure_leads", "Leads that a measure counts.", *_VERSION, "measure")
    complete = _gauge(
        "model_label_completeness", "Share of leads old enough to have an outcome that have one.", *_VERSION
    )
    for each in versions:
        for name, measure in each.measures.items():
            leads.add_metric((*each.version, name), measure.n)
            if measure.unknown:
                unknown.add_metric((*each.version, name, _stable(measure.unknown)), 1)
        conversion = each.measures.get("conversion_rate")
        if conversion is not None and conversion.completeness is not None:
            complete.add_metric(each.version, conversion.completeness)
    yield from (leads, complete)
    yield from _drift(versions, unknown)


def _drift(versions: Sequence[VersionMeasures], unknown: GaugeMetricFamily) -> Iterator[Metric]:
    for name, text in _STATISTICS.items():
        family = _gauge(f"feature_{name}", text, *_VERSION, "feature")
        for each in versions:
            for feature in each.drift:
                measure: Measure = getattr(feature, name)
                if measure.value is not None:
                    family.add_metric((*each.version, feature.name), measure.value)
                elif name == "psi":
                    # One reason for all statistics of a feature; those of unordered ones lack KS by nature.
                    labels = (*each.version, f"drift of {feature.name}", _stable(measure.unknown))
                    unknown.add_metric(labels, 1)
        yield family


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"leadscore_{name}", text, labels=labels)


def _stable(reason: str) -> str:
    """A reason without its numbers, which would make a series of its own each time that they change."""
    return _NUMBER.sub("…", reason)
