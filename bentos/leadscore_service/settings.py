"""Settings of the service: read once from the environment, checked, then passed around as plain values."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar, cast

from leadscore.cpus import cpu_limit
from leadscore.identity.oidc_settings import OidcSettings
from leadscore.identity.proxies import TrustedProxies
from leadscore.settings import Home
from leadscore_service.errors import SettingsError

_LABEL = re.compile(r"[A-Za-z0-9_.\-]{0,63}")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of one worker, from its environment (docs/api.md lists the variables).

    Attributes:
        home: Embedded stores; its `events_url` is where the shipper sends predictions.
        model_dir: Verified artefact directory; None when `model_ref` is to be fetched instead.
        model_ref: `NAME/7` or `NAME@alias`; a pinned version in the cache needs no registry.
        model_version: What replies and metrics call the model's version; empty: taken from the registry or
            manifest.
        version_label: The pod's label with its version; "": it has none; None: not told.
        artefact_version_file: Where whoever brought the artefact wrote which version it is.
        role: What this deployment is, recorded with every prediction.
        auth: `keys`: an API key is needed; `off` only when said explicitly.
        api_keys: File of API keys (digests and scopes).
        oidc: Which tokens are taken beside API keys; None: none.
        trusted_proxies: Whose `X-Forwarded-For` entries are believed.
        protect_metrics: `/metrics` and `/openapi.json` need a key with scope `metrics`.
        reasons: Signed top factors in a `/score-lead` reply that does not ask for a number of them.
        max_lead_bytes: Cap of a body with one lead.
        max_body_bytes: Cap of every other body.
        max_bulk_rows: Leads in one `/score-leads` request.
        threads: Threads of the kernel for bulk requests, from the CPU limit.
        spool_dir: Root of the spools of all workers of this machine or pod.
        spool_max_bytes: Bound of one worker's spool.
        spool_segment_bytes: Size at which a segment is closed.
        spool_on_full: `refuse`: 503 rather than score unlogged; `drop`: score on and count what was dropped.
        spool_fsync: What power loss may take: `never` (some 30 s), `interval` (1 s), `always` (nothing;
            slow).
        shipper: Worker 1 starts and supervises the process that ships the spool to the event store.
        idempotency_ttl_s: How long a reply is remembered for its `Idempotency-Key`.
        idempotency_max_bytes: Bound of the remembered replies; the oldest go first.
        drain_s: Between SIGTERM and closing the listener: readiness fails, requests are still answered.
        shutdown_s: Bound of everything after that; what hangs longer is cut off.
        headers_timeout_s: Headers that take longer to arrive are refused.
        max_connections: Connections of one worker at once; the longest idle one makes room for a new one.
        body_timeout_s: A body that takes longer to arrive is refused.
        log_sample: Share of successful requests that get a log line.
        slow_ms: Requests that take longer always get one.
        otlp_endpoint: OTLP/HTTP collector; None: no tracing, at no cost.
        trace_sample: Share of traces started here; a sampled parent is always followed.
        pod_template_hash: Tells canary from stable on `/metrics`.
    """

    home: Home
    model_dir: Path | None
    model_ref: str
    model_version: str
    version_label: str | None
    artefact_version_file: Path | None
    role: str
    auth: Literal["keys", "off"]
    api_keys: Path
    oidc: OidcSettings | None
    trusted_proxies: TrustedProxies
    protect_metrics: bool
    reasons: int
    max_lead_bytes: int
    max_body_bytes: int
    max_bulk_rows: int
    threads: int
    spool_dir: Path
    spool_max_bytes: int
    spool_segment_bytes: int
    spool_on_full: Literal["refuse", "drop"]
    spool_fsync: Literal["never", "interval", "always"]
    shipper: bool
    idempotency_ttl_s: int
    idempotency_max_bytes: int
    drain_s: float
    shutdown_s: float
    headers_timeout_s: float
    max_connections: int
    body_timeout_s: float
    log_sample: float
    slow_ms: float
    otlp_endpoint: str | None
    trace_sample: float
    pod_template_hash: str

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read and check; SettingsError names the variable, what it holds and what it may hold."""
        home = Home.from_environment(environ)
        read = _Reader(environ)
        model_dir = environ.get("LEADSCORE_MODEL_DIR")
        version_file = environ.get("LEADSCORE_ARTEFACT_VERSION_FILE")
        return cls(
            home=home,
            model_dir=Path(model_dir).absolute() if model_dir else None,
            model_ref=environ.get("LEADSCORE_MODEL", ""),
            model_version=read.label("LEADSCORE_MODEL_VERSION", ""),
            version_label=environ.get("LEADSCORE_VERSION_LABEL"),
            artefact_version_file=Path(version_file) if version_file else None,
            role=read.label("LEADSCORE_ROLE", "champion"),
            auth=cast('Literal["keys", "off"]', read.choice("LEADSCORE_AUTH", ("keys", "off"))),
            api_keys=Path(environ.get("LEADSCORE_API_KEYS") or home.api_keys).absolute(),
            oidc=OidcSettings.from_environment(environ),
            trusted_proxies=TrustedProxies.parse(environ.get("LEADSCORE_TRUSTED_PROXIES", "")),
            protect_metrics=read.choice("LEADSCORE_METRICS_AUTH", ("off", "key")) == "key",
            reasons=read.integer("LEADSCORE_REASONS", 3, 0, 10_000),
            max_lead_bytes=read.integer("LEADSCORE_MAX_LEAD_BYTES", 64 * 1024, 256, 1 << 30),
            max_body_bytes=read.integer("LEADSCORE_MAX_BODY_BYTES", 32 << 20, 256, 1 << 30),
            max_bulk_rows=read.integer("LEADSCORE_MAX_BULK_ROWS", 10_000, 1, 1_000_000),
            threads=read.integer("LEADSCORE_THREADS", cpu_limit(), 1, 1024),
            spool_dir=Path(environ.get("LEADSCORE_SPOOL_DIR") or home.spool).absolute(),
            spool_max_bytes=read.integer("LEADSCORE_SPOOL_MAX_BYTES", 1 << 30, 1 << 10, 1 << 50),
            spool_segment_bytes=read.integer("LEADSCORE_SPOOL_SEGMENT_BYTES", 16 << 20, 1 << 10, 1 << 40),
            spool_on_full=cast(
                'Literal["refuse", "drop"]', read.choice("LEADSCORE_SPOOL_ON_FULL", ("refuse", "drop"))
            ),
            spool_fsync=cast(
                'Literal["never", "interval", "always"]',
                read.choice("LEADSCORE_SPOOL_FSYNC", ("never", "interval", "always")),
            ),
            shipper=read.choice("LEADSCORE_SHIPPER", ("on", "off")) == "on",
            idempotency_ttl_s=read.integer("LEADSCORE_IDEMPOTENCY_TTL_S", 86_400, 1, 31_536_000),
            idempotency_max_bytes=read.integer(
                "LEADSCORE_IDEMPOTENCY_MAX_BYTES", 256 << 20, 1 << 16, 1 << 40
            ),
            drain_s=read.number("LEADSCORE_DRAIN_S", 0.0, 0.0, 3600.0),
            shutdown_s=read.number("LEADSCORE_SHUTDOWN_S", 8.0, 0.5, 3600.0),
            headers_timeout_s=read.number("LEADSCORE_HEADERS_TIMEOUT_S", 15.0, 0.05, 3600.0),
            max_connections=read.integer("LEADSCORE_MAX_CONNECTIONS", 1000, 1, 1_000_000),
            body_timeout_s=read.number("LEADSCORE_BODY_TIMEOUT_S", 30.0, 0.05, 3600.0),
            log_sample=read.number("LEADSCORE_LOG_SAMPLE", 0.0, 0.0, 1.0),
            slow_ms=read.number("LEADSCORE_SLOW_MS", 500.0, 0.0, 1e9),
            otlp_endpoint=environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or None,
            trace_sample=read.number("LEADSCORE_TRACE_SAMPLE", 1.0, 0.0, 1.0),
            pod_template_hash=read.label("LEADSCORE_POD_TEMPLATE_HASH", ""),
        )


@dataclass(frozen=True, slots=True)
class _Reader:
    environ: Mapping[str, str]

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        return self._bounded(name, default, low, high, int, "a whole number")

    def number(self, name: str, default: float, low: float, high: float) -> float:
        return self._bounded(name, default, low, high, float, "a number")

    def _bounded(
        self, name: str, default: T, low: float, high: float, parse: Callable[[str], T], what: str
    ) -> T:
        text = self.environ.get(name)
        if not text:
            return default
        try:
            value = parse(text)
        except ValueError:
            value = None
        if value is None or not low <= cast("float", value) <= high:
            raise SettingsError(
                f"{name}={text!r} is not {what} from {low} to {high}.", hint="Correct or unset it."
            )
        return value

    def choice(self, name: str, allowed: tuple[str, ...]) -> str:
        """One of `allowed`; the first is the default."""
        text = self.environ.get(name) or allowed[0]
        if text not in allowed:
            raise SettingsError(
                f"{name}={text!r} is not one of: {', '.join(allowed)}.", hint="Correct or unset it."
            )
        return text

    def label(self, name: str, default: str) -> str:
        text = self.environ.get(name) or default
        if not _LABEL.fullmatch(text):
            raise SettingsError(
                f"{name}={text!r} is no label.",
                hint="Use at most 63 letters, digits, dots, dashes or underscores.",
            )
        return text
