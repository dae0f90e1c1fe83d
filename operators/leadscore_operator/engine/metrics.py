"""Metrics of the operator and of its objects.

Only the leader shows the latter. Figures of an object are taken from the status that the API server has just
accepted from us (or that we found there unchanged), and they are shown only while we hold the Lease: an
operator that stands by, or one that was the leader and has not noticed, shows none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from leadscore.errors import LeadScoreError
from leadscore_operator.decide.metric_samples import CATALOGUE, MetricSample, Series
from leadscore_operator.engine.health import Health, Key

METRICS_CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class MetricSamples:
    """The metric samples of each object as it was when it was worked on last."""

    def __init__(self) -> None:
        self._held: dict[Key, tuple[MetricSample, ...]] = {}
        self._page: bytes | None = None

    def hold(self, key: Key, metric_samples: tuple[MetricSample, ...]) -> None:
        """These are the object's metric samples now."""
        if self._held.get(key) != metric_samples:
            self._held[key] = metric_samples
            self._page = None

    def forget(self, key: Key) -> None:
        """The object is gone."""
        if self._held.pop(key, None) is not None:
            self._page = None

    def page(self) -> bytes:
        """All of them in Prometheus' text format.

        Kept until one changes, because scrapes come more often than news.
        """
        if self._page is None:
            self._page = _text(_Objects(self))
        return self._page

    def together(self) -> dict[Series, dict[tuple[str, ...], float]]:
        """Values by labels of every series, those of several objects put together."""
        found: dict[Series, dict[tuple[str, ...], float]] = {series: {} for series in CATALOGUE}
        for metric_samples in self._held.values():
            for each in metric_samples:
                values = found[each.series]
                known = values.get(each.labels)
                values[each.labels] = each.value if known is None else each.series.together(known, each.value)
        return found


class _Objects(Collector):
    def __init__(self, metric_samples: MetricSamples) -> None:
        self._metric_samples = metric_samples

    def collect(self) -> Iterator[Metric]:
        for series, values in self._metric_samples.together().items():
            family = GaugeMetricFamily(series.name, series.help, labels=series.labels)
            for labels, value in sorted(values.items()):
                family.add_metric(labels, value)
            yield family


class OperatorCollector(Collector):
    """Makes the process's own series when they are asked for; those of objects are `MetricSamples`'.

    Args:
        health: Of this process.
        metric_samples: Of the objects.
        check: Raises unless we lead (`Lease.check`).
        waiting: Length of the work queue.
        resync_seconds: Time between looks at everything.
    """

    def __init__(
        self,
        health: Health,
        metric_samples: MetricSamples,
        check: Callable[[], None],
        waiting: Callable[[], int],
        resync_seconds: float,
    ) -> None:
        self._health = health
        self._metric_samples = metric_samples
        self._check = check
        self._waiting = waiting
        self._resync_seconds = resync_seconds

    def collect(self) -> Iterator[Metric]:
        """Every series as it is now."""
        health = self._health
        prefix = "leadscore_operator_"
        yield _gauge(f"{prefix}leading", "Whether this process leads.", float(self.leads()))
        yield _gauge(f"{prefix}queue", "Objects that wait or are worked on.", float(self._waiting()))
        text = "Time since the watch told anything (since the start if it never did)."
        yield _gauge(f"{prefix}last_event_age_seconds", text, health.event_age())
        text = "Time since everything was looked at (since the start if it never was)."
        yield _gauge(f"{prefix}last_resync_age_seconds", text, health.resync_age())
        text = "Time that should be between looks at everything."
        yield _gauge(f"{prefix}resync_interval_seconds", text, self._resync_seconds)
        text = "Looks at an object: ok, conflict (looked at again), error (tried again), defect."
        done = CounterMetricFamily(f"{prefix}reconciles", text, labels=("kind", "outcome"))
        for labels, count in sorted(health.counts.items()):
            done.add_metric(labels, count)
        yield done

    def objects(self) -> bytes:
        """The series of objects while this process leads, else b""."""
        return self._metric_samples.page() if self.leads() else b""

    def leads(self) -> bool:
        """Whether this process holds the Lease."""
        try:
            self._check()
        except LeadScoreError:
            return False
        return True


def exposition(collector: OperatorCollector) -> bytes:
    """All series in Prometheus' text format."""
    return _text(collector) + collector.objects()


def _text(collector: Collector) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    return generate_latest(registry)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)
