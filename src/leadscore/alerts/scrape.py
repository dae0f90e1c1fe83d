"""Numbers from the services' own `/metrics`, for a machine without a Prometheus."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import httpx
from prometheus_client.parser import text_string_to_metric_families

from leadscore.alerts.evaluate import SeriesLabels
from leadscore.alerts.measures import MeasuredSeries
from leadscore.alerts.rules import AlertRule
from leadscore.monitoring.measures import Measure

_SERVICE: Final = "service."
_MINUTE: Final = 60_000_000
_KEPT_US: Final = 65 * _MINUTE
# With less between two looks, a rate is chance.
_LEAST_US: Final = _MINUTE
_MOST_BYTES: Final = 16 * 1024 * 1024
_SCORING: Final = frozenset(("/score-lead", "/score-leads", "/explain-prediction", "/outcomes"))
_Key = tuple[str, SeriesLabels]


@dataclass(frozen=True, slots=True)
class _Look:
    """Values of every series of every service that answered; who did not, and when it was."""

    at: int
    values: Mapping[str, Mapping[_Key, float]]
    silent: tuple[str, ...]


class ScrapeReader:
    """Looks at services once a round and compares with earlier looks.

    Args:
        urls: Of their `/metrics`.
        token: API key with the scope `metrics`, where they ask for one; empty: none.
        client: For tests.
    """

    name = "services"

    def __init__(self, urls: Iterable[str], token: str = "", client: httpx.Client | None = None) -> None:
        self._urls = tuple(urls)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._client = client or httpx.Client(timeout=5.0, follow_redirects=False, trust_env=False)
        self._looks: deque[_Look] = deque()

    def look(self, now: int) -> None:
        """Fetch every service's metrics."""
        values: dict[str, Mapping[_Key, float]] = {}
        silent: list[str] = []
        for url in self._urls:
            found = self._fetch(url)
            if found is None:
                silent.append(url)
            else:
                values[url] = found
        self._looks.append(_Look(now, values, tuple(silent)))
        while self._looks[0].at < now - _KEPT_US:
            self._looks.popleft()

    def read(self, rule: AlertRule, now: int) -> MeasuredSeries | None:
        """As `MeasureReader`."""
        if not rule.measure.startswith(_SERVICE):
            return None
        if not self._looks or self._looks[-1].at != now:
            self.look(now)
        read = _MEASURES.get(rule.measure.removeprefix(_SERVICE))
        if read is None:
            return {(): Measure.missing(f"There is no measure {rule.measure!r}.")}
        newest = self._looks[-1]
        if rule.measure == "service.ready":
            # Who does not answer is not ready: that much is known.
            return {(): _measure(read(self), newest.at)}
        if newest.silent:
            return {(): Measure.missing(f"{len(newest.silent)} of {len(self._urls)} services do not answer.")}
        return {(): _measure(read(self), newest.at)}

    def gauge(self, name: str, together: Callable[[list[float]], float]) -> tuple[float, int] | str:
        """A gauge of all services put together."""
        found = [v for page in self._looks[-1].values.values() for (n, _), v in page.items() if n == name]
        return (together(found), 0) if found else f"No service exports {name}."

    def increase(self, name: str, span_us: int, **labels: Callable[[str], bool]) -> dict[_Key, float] | str:
        """How much counters have grown over a span, or since the first look within it; by series."""
        newest = self._looks[-1]
        first = next(look for look in self._looks if look.at >= newest.at - span_us)
        if newest.at - first.at < _LEAST_US:
            return "Watched for less than a minute."
        grown: dict[_Key, float] = {}
        for url, page in newest.values.items():
            before = first.values.get(url, {})
            for key, value in page.items():
                texts = dict(key[1])
                if key[0] != name or not all(test(texts.get(n, "")) for n, test in labels.items()):
                    continue
                old = before.get(key, 0.0)
                # A service that began anew counts from zero.
                grown[key] = grown.get(key, 0.0) + (value - old if value >= old else value)
        return grown

    def _fetch(self, url: str) -> Mapping[_Key, float] | None:
        try:
            with self._client.stream("GET", url, headers=self._headers) as reply:
                if reply.status_code != 200:
                    return None
                body = bytearray()
                for chunk in reply.iter_bytes():
                    body += chunk
                    if len(body) > _MOST_BYTES:
                        return None
            families = text_string_to_metric_families(body.decode("utf-8", "replace"))
            return {
                (s.name, tuple(sorted(s.labels.items()))): float(s.value) for f in families for s in f.samples
            }
        except (httpx.HTTPError, httpx.InvalidURL, ValueError):
            return None


_Value = tuple[float, int] | str


def _measure(found: _Value, at: int) -> Measure:
    as_of = datetime.fromtimestamp(at / 1e6, UTC)
    if isinstance(found, str):
        return Measure.missing(found, as_of=as_of)
    return Measure(value=found[0], n=found[1], as_of=as_of)


def _p95(reader: ScrapeReader) -> _Value:
    grown = reader.increase(
        "leadscore_http_request_duration_seconds_bucket", 5 * _MINUTE, endpoint="/score-lead".__eq__
    )
    if isinstance(grown, str):
        return grown
    buckets: dict[float, float] = {}
    for (_, labels), value in grown.items():
        edge = float(dict(labels)["le"])
        buckets[edge] = buckets.get(edge, 0.0) + value
    return histogram_quantile(0.95, sorted(buckets.items()))


def histogram_quantile(quantile: float, buckets: list[tuple[float, float]]) -> _Value:
    """A quantile of cumulative buckets, as Prometheus' function of this name computes it.

    Args:
        quantile: Between 0 and 1.
        buckets: Upper edge and how many are not above it, by rising edge, the last one's infinite.
    """
    if not buckets or buckets[-1][1] <= 0:
        return "No request in five minutes."
    total = buckets[-1][1]
    rank = quantile * total
    lower, below = 0.0, 0.0
    for edge, count in buckets:
        if count >= rank:
            if edge == float("inf"):
                return lower, round(total)
            return lower + (edge - lower) * (rank - below) / max(count - below, 1e-12), round(total)
        lower, below = edge, count
    return lower, round(total)


def _errors(reader: ScrapeReader) -> _Value:
    grown = reader.increase("leadscore_http_requests_total", 5 * _MINUTE, endpoint=_SCORING.__contains__)
    if isinstance(grown, str):
        return grown
    total = sum(grown.values())
    bad = sum(value for (_, labels), value in grown.items() if dict(labels).get("status", "").startswith("5"))
    return (bad / total, round(total)) if total else "No request in five minutes."


def _growth(name: str, span: int) -> Callable[[ScrapeReader], _Value]:
    def read(reader: ScrapeReader) -> _Value:
        grown = reader.increase(name, span)
        return grown if isinstance(grown, str) else (sum(grown.values()), 0)

    return read


def _unseen(reader: ScrapeReader) -> _Value:
    seen = reader.increase("leadscore_lead_warnings_total", 60 * _MINUTE, reason="unseen_category".__eq__)
    leads = reader.increase("leadscore_leads_total", 60 * _MINUTE)
    if isinstance(seen, str) or isinstance(leads, str):
        return "Watched for less than a minute."
    total = sum(leads.values())
    return (sum(seen.values()) / total, round(total)) if total else "No lead in an hour."


def _auth(reader: ScrapeReader) -> _Value:
    grown = reader.increase("leadscore_auth_failures_total", 5 * _MINUTE)
    return grown if isinstance(grown, str) else (sum(grown.values()) / 300, 0)


def _spool(reader: ScrapeReader) -> _Value:
    used, most = reader.gauge("leadscore_spool_bytes", max), reader.gauge("leadscore_spool_max_bytes", max)
    if isinstance(used, str) or isinstance(most, str):
        return "No service exports its spool."
    return (used[0] / most[0], 0) if most[0] else "The spool has no bound."


def _ready(reader: ScrapeReader) -> _Value:
    found = reader.gauge("leadscore_ready", max)
    return (0.0, 0) if isinstance(found, str) else found


_MEASURES: Final[dict[str, Callable[[ScrapeReader], _Value]]] = {
    "ready": _ready,
    "p95_seconds": _p95,
    "error_share": _errors,
    "unseen_share": _unseen,
    "auth_failures_per_second": _auth,
    "spool_share": _spool,
    "dropped": _growth("leadscore_spool_dropped_total", 10 * _MINUTE),
    "refused": _growth("leadscore_spool_refused_total", 10 * _MINUTE),
    "worker_starts": _growth("leadscore_worker_starts_total", 30 * _MINUTE),
    "quarantined": lambda reader: reader.gauge("leadscore_shipper_quarantined", max),
    "key_reload_errors": lambda reader: reader.gauge("leadscore_api_key_reload_errors", max),
    "shipper_up": lambda reader: reader.gauge("leadscore_shipper_up", min),
    "shipper_lag_seconds": lambda reader: reader.gauge("leadscore_shipper_lag_seconds", max),
}
