"""OpenTelemetry traces: W3C context in, OTLP over HTTP out.

Nothing is imported unless an endpoint is configured.

Spans carry method, path, status, model version and prediction id; never feature values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from leadscore_service.http import TRACEPARENT, TRACESTATE, Reply, Request
from leadscore_service.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span


class Telemetry:
    """Makes one server span per request of a scoring endpoint."""

    def __init__(self, provider: TracerProvider, model_version: str) -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

        self._provider = provider
        self._tracer = provider.get_tracer("lead_scoring")
        self._extract = TraceContextTextMapPropagator().extract
        self._model_version = model_version

    def start(self, request: Request) -> Span:
        """A span under the caller's, if the request names one."""
        from opentelemetry.trace import SpanKind  # noqa: PLC0415

        carrier = {
            name: request.text(slot)
            for name, slot in (("traceparent", TRACEPARENT), ("tracestate", TRACESTATE))
        }
        return self._tracer.start_span(
            f"{request.method} {request.path}",
            context=self._extract({name: value for name, value in carrier.items() if value}),
            kind=SpanKind.SERVER,
            attributes={
                "http.request.method": request.method,
                "url.path": request.path,
                "leadscore.model.version": self._model_version,
            },
        )

    def end(self, span: Span, request: Request, reply: Reply) -> None:
        """Close the span with what came of the request."""
        from opentelemetry.trace import StatusCode  # noqa: PLC0415

        span.set_attribute("http.response.status_code", reply.status)
        span.set_attribute("leadscore.request.id", request.request_id)
        if request.prediction_id:
            span.set_attribute("leadscore.prediction.id", request.prediction_id)
        if reply.status >= 500:
            span.set_status(StatusCode.ERROR)
        span.end()

    def close(self) -> None:
        """Send what is waiting, within the exporter's own bound."""
        self._provider.shutdown()


def open_telemetry(settings: Settings, model_name: str, model_version: str) -> Telemetry | None:
    """Telemetry to `settings.otlp_endpoint`; None, and nothing imported, if there is none."""
    if settings.otlp_endpoint is None:
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio  # noqa: PLC0415

    resource = Resource.create(
        {
            "service.name": "lead-scoring",
            "leadscore.model.name": model_name,
            "leadscore.pod_template_hash": settings.pod_template_hash,
        }
    )
    provider = TracerProvider(resource=resource, sampler=ParentBasedTraceIdRatio(settings.trace_sample))
    # The exporter reads OTEL_EXPORTER_OTLP_* (endpoint, headers, certificates, time-out) itself.
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=3)))
    return Telemetry(provider, model_version)
