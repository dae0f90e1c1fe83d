"""`/metrics`: the counters of all workers in Prometheus's text format."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from leadscore.events.health import ShipperHealth
from leadscore.events.records import now_us
from leadscore.scoring.grades import GRADES
from leadscore.scoring.probability_bins import PROBABILITY_EDGES
from leadscore.scoring.profile import FeatureProfile, ReferenceProfile, comparable_cells
from leadscore_service.metrics_layout import (
    ENDPOINTS,
    LATENCY_EDGES,
    SINGLE_INDEX,
    STATUSES,
    WARNINGS,
    WATCHED_ENDPOINTS,
    WATCHED_STATUSES,
    CounterLayout,
    Single,
)

CONTENT_TYPE: Final = (b"content-type", CONTENT_TYPE_PLAIN_0_0_4.encode())
# A shipper that has not written its health file for so long is dead.
_SILENT_AFTER_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class ServedModel:
    """The model of the exported counters.

    Attributes:
        name: Model name.
        version: Model version.
        contract_version: Hash of its contract.
        backend: Evaluator in use.
        pod_template_hash: Tells canary from stable pods.
        profile: The reference bins.
    """

    name: str
    version: str
    contract_version: str
    backend: str
    pod_template_hash: str
    profile: ReferenceProfile


@dataclass(frozen=True, slots=True)
class Gauges:
    """Gauges: values as of now.

    Attributes:
        ready: The worker that answers is ready.
        keys: API keys known.
        key_reload_errors: Reloads of the key file that failed in the worker that
            answers, since the last good one.
        spool_bytes: Bytes on the spools of all workers.
        spool_max_bytes: Bound of one worker's spool.
        idempotency_bytes: Size of the remembered replies.
        shipper: What the shipper last said; None if it never ran.
    """

    ready: bool
    keys: int
    key_reload_errors: int
    spool_bytes: int
    spool_max_bytes: int
    idempotency_bytes: int
    shipper: ShipperHealth | None


def render(model: ServedModel, layout: CounterLayout, total: Sequence[int], gauges: Gauges) -> bytes:
    """The document of one scrape; `total` holds the summed counters, one per cell of `layout`."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected(lambda: _families(model, layout, total, gauges)))
    return generate_latest(registry)


class _Collected(Collector):
    def __init__(self, families: Callable[[], Iterable[Metric]]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families()


def _families(
    model: ServedModel, layout: CounterLayout, total: Sequence[int], gauges: Gauges
) -> Iterator[Metric]:
    export = _Export(model, layout, total)
    yield export.info()
    yield export.requests()
    yield export.latencies()
    yield export.indexed("leadscore_leads", "Leads scored, by grade.", "grade", GRADES, layout.grades)
    yield export.bins(
        "leadscore_score_bin",
        "Leads scored, by bin of the reference profile's probabilities.",
        model.profile.score_edges,
        layout.scores,
    )
    yield export.bins(
        "leadscore_probability_bin",
        "Leads scored, by bins of probability that are the same for every model.",
        PROBABILITY_EDGES,
        layout.probabilities,
    )
    yield export.features()
    yield export.reference()
    yield export.indexed(
        "leadscore_lead_warnings",
        "Odd values in leads that were scored.",
        "reason",
        WARNINGS,
        layout.warnings,
    )
    yield from export.singles()
    yield from export.gauges(gauges)


class _Export:
    """Families with the labels that every one of them carries."""

    def __init__(self, model: ServedModel, layout: CounterLayout, total: Sequence[int]) -> None:
        self._model = model
        self._layout = layout
        self._total = total
        self._names = ("model_name", "model_version", "pod_template_hash")
        self._values = (model.name, model.version, model.pod_template_hash)

    def counter(self, name: str, text: str, *labels: str) -> CounterMetricFamily:
        return CounterMetricFamily(name, text, labels=(*self._names, *labels))

    def gauge(self, name: str, text: str, *labels: str) -> GaugeMetricFamily:
        return GaugeMetricFamily(name, text, labels=(*self._names, *labels))

    def info(self) -> Metric:
        family = self.gauge(
            "leadscore_model_info", "The model that answers; always 1.", "contract_version", "kernel"
        )
        family.add_metric((*self._values, self._model.contract_version, self._model.backend), 1)
        return family

    def requests(self) -> Metric:
        family = self.counter("leadscore_http_requests", "Answered requests.", "endpoint", "status")
        cell = self._layout.requests
        for endpoint in ENDPOINTS:
            watched = WATCHED_STATUSES if endpoint in WATCHED_ENDPOINTS else ()
            for status in STATUSES:
                count = self._total[cell]
                if count or status in watched:
                    family.add_metric((*self._values, endpoint, str(status)), count)
                cell += 1
        return family

    def latencies(self) -> Metric:
        family = HistogramMetricFamily(
            "leadscore_http_request_duration_seconds",
            "From the request's headers to the end of its reply.",
            labels=(*self._names, "endpoint"),
        )
        width = len(LATENCY_EDGES) + 1
        for number, endpoint in enumerate(ENDPOINTS):
            start = self._layout.latencies + number * width
            counts = self._total[start : start + width]
            if not any(counts) and endpoint not in WATCHED_ENDPOINTS:
                continue
            seconds = self._total[self._layout.latency_sums + number] / 1e9
            family.add_metric((*self._values, endpoint), _cumulative(LATENCY_EDGES, counts), seconds)
        return family

    def indexed(self, name: str, text: str, label: str, values: Sequence[str], start: int) -> Metric:
        family = self.counter(name, text, label)
        for offset, value in enumerate(values):
            family.add_metric((*self._values, value), self._total[start + offset])
        return family

    def bins(self, name: str, text: str, edges: Sequence[float], start: int) -> Metric:
        """Counters per bin of probability; not cumulative, because PSI is a sum over bins."""
        family = self.counter(name, text, "bin", "le")
        for number, edge in enumerate((*(f"{edge:g}" for edge in edges), "1")):
            family.add_metric((*self._values, str(number), edge), self._total[start + number])
        return family

    def features(self) -> Metric:
        family = self.counter(
            "leadscore_feature_bin",
            "Leads scored, by feature and bin of the reference profile.",
            "feature",
            "bin",
        )
        profile = self._model.profile
        for feature, start in zip(profile.features, self._layout.feature_starts, strict=True):
            for offset, name in enumerate(bin_names(feature)):
                family.add_metric((*self._values, feature.name, name), self._total[start + offset])
        return family

    def reference(self) -> Metric:
        """The same bins in the training window, so that a query can divide one by the other."""
        family = self.gauge(
            "leadscore_feature_reference_share",
            "Share of training leads in each bin; unseen categories count as missing.",
            "feature",
            "bin",
        )
        profile = self._model.profile
        for feature in profile.features:
            for name, count in zip(bin_names(feature), exported_reference(feature), strict=True):
                family.add_metric((*self._values, feature.name, name), count / profile.rows)
        return family

    def singles(self) -> Iterator[Metric]:
        refused = self.counter("leadscore_auth_failures", "Requests refused for their API key.", "reason")
        replies = self.counter("leadscore_idempotent_requests", "Requests with an Idempotency-Key.", "result")
        for family, prefix, names in (
            (refused, "auth_", ("missing", "unknown", "expired", "scope")),
            (replies, "idempotency_", ("stored", "replayed", "refused")),
        ):
            for name in names:
                family.add_metric((*self._values, name), self._total[self._single(f"{prefix}{name}")])
            yield family
        for single, (name, text) in _PLAIN.items():
            family = self.counter(name, text)
            family.add_metric(self._values, self._total[self._single(single)])
            yield family

    def _single(self, name: str) -> int:
        return self._layout.singles + SINGLE_INDEX[name]

    def gauges(self, now: Gauges) -> Iterator[Metric]:
        health = now.shipper
        silent = health is None or (now_us() - health.updated_at) / 1e6 > _SILENT_AFTER_S
        up = health is not None and not silent and health.state not in ("unavailable", "stopped")
        lag = (0.0, 0, 0, 0) if health is None else _lag(health)
        values = (
            ("leadscore_ready", "Whether the worker that answered is ready.", float(now.ready)),
            ("leadscore_api_keys", "API keys known.", now.keys),
            (
                "leadscore_api_key_reload_errors",
                (
                    "Failed reloads of the key file since the last good one, in the worker that "
                    "answered; the old keys stay."
                ),
                now.key_reload_errors,
            ),
            ("leadscore_spool_bytes", "Bytes on the spools of all workers.", now.spool_bytes),
            ("leadscore_spool_max_bytes", "Bound of one worker's spool.", now.spool_max_bytes),
            ("leadscore_idempotency_bytes", "Size of the remembered replies.", now.idempotency_bytes),
            ("leadscore_shipper_up", "Whether the shipper runs and its store takes records.", float(up)),
            ("leadscore_shipper_lag_seconds", "Age of the oldest record not in the event store.", lag[0]),
            ("leadscore_shipper_lag_bytes", "Bytes not in the event store.", lag[1]),
            ("leadscore_shipper_shipped", "Records shipped by the running shipper.", lag[2]),
            ("leadscore_shipper_quarantined", "Damaged records set aside by the running shipper.", lag[3]),
            ("leadscore_scrape_time_seconds", "When this document was made.", time.time()),
        )
        for name, text, value in values:
            family = self.gauge(name, text)
            family.add_metric(self._values, value)
            yield family


_PLAIN: Final[dict[Single, tuple[str, str]]] = {
    "idempotency_evicted": (
        "leadscore_idempotency_evicted",
        "Remembered replies that had to go for lack of room.",
    ),
    "spool_dropped": (
        "leadscore_spool_dropped",
        "Predictions answered but not logged (LEADSCORE_SPOOL_ON_FULL=drop).",
    ),
    "spool_refused": (
        "leadscore_spool_refused",
        "Requests refused because the spool was full or its disk failed.",
    ),
    "worker_starts": (
        "leadscore_worker_starts",
        "Workers started; more than there are means that some died.",
    ),
    "outcomes_accepted": ("leadscore_outcomes", "Outcomes accepted, repeated ones included."),
    "shipper_starts": ("leadscore_shipper_starts", "Shipper processes started."),
    "background_errors": (
        "leadscore_background_errors",
        "Rounds of background work (keys, shipper, metrics) that failed with an exception; it goes on.",
    ),
}


def _lag(health: ShipperHealth) -> tuple[float, int, int, int]:
    return health.lag_seconds, health.lag_bytes, health.shipped, health.quarantined


def _cumulative(edges: Sequence[float], counts: Sequence[int]) -> list[tuple[str, float]]:
    buckets: list[tuple[str, float]] = []
    below = 0
    for edge, count in zip((*(repr(edge) for edge in edges), "+Inf"), counts, strict=True):
        below += count
        buckets.append((edge, below))
    return buckets


def bin_names(feature: FeatureProfile) -> tuple[str, ...]:
    """Label of each bin of a feature.

    Its number (numbers, categories), `false`/`true`, and last `missing`.
    """
    if feature.kind == "boolean":
        return ("false", "true", "missing")
    return (*(str(number) for number in range(len(feature.counts))), "missing")


def exported_reference(feature: FeatureProfile) -> tuple[int, ...]:
    """Training rows per bin in the order of `bin_names`, counted as live ones are.

    Unseen categories as missing.
    """
    return comparable_cells(feature.kind, feature.counts, feature.missing)
