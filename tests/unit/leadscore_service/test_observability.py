"""Logs and traces: what they say, and what they never say."""

from __future__ import annotations

import gzip
import json
import logging
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from leadscore_service import telemetry
from leadscore_service.logs import JsonLines

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def spans(monkeypatch) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(
        "leadscore_service.engine.open_telemetry",
        lambda _, __, version: telemetry.Telemetry(provider, version),
    )
    return exporter


def test_a_span_continues_the_callers_trace(make_service, spans, lead) -> None:
    service = make_service().start()
    reply = service.post("/score-lead", lead, {"traceparent": TRACE}).json
    (span,) = spans.get_finished_spans()
    assert format(span.context.trace_id, "032x") == "0af7651916cd43dd8448eb211c80319c"
    assert format(span.parent.span_id, "016x") == "b7ad6b7169203331"
    assert span.attributes["http.response.status_code"] == 200
    assert span.attributes["leadscore.prediction.id"] == reply["prediction_id"]
    assert span.attributes["leadscore.model.version"] == reply["model_version"]


def test_a_span_never_carries_what_the_lead_says(make_service, spans, lead) -> None:
    service = make_service().start()
    service.post("/score-lead", {**lead, "budget": 54321.5})
    service.post("/score-lead", {**lead, "budget": "54321.5"})
    for span in spans.get_finished_spans():
        assert "54321" not in json.dumps(dict(span.attributes))
        assert str(lead["lead_id"]) not in json.dumps(dict(span.attributes))


def test_probes_make_no_spans(make_service, spans) -> None:
    make_service().start().ask("GET", "/livez", headers={"traceparent": TRACE})
    assert spans.get_finished_spans() == ()


def test_without_an_endpoint_nothing_of_opentelemetry_is_imported_by_us() -> None:
    code = (
        "import sys, leadscore_service.app; "
        "print([m for m in sys.modules if m.split('.')[0] in "
        "('opentelemetry', 'mlflow', 'xgboost', 'pandas', 'pyarrow', 'scipy', 'nanoarrow')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_line_is_one_json_object_with_its_fields() -> None:
    record = logging.makeLogRecord({"msg": "said %s", "args": ("so",), "levelname": "INFO", "name": "x"})
    record.fields = {"request_id": "r"}
    line = json.loads(JsonLines().format(record))
    assert line["event"] == "said so"
    assert line["request_id"] == "r"
    assert "\n" not in JsonLines().format(record)


def test_successes_are_silent_and_failures_and_slow_ones_are_not(
    make_service, lead, caplog, monkeypatch
) -> None:
    service = make_service().start()
    with caplog.at_level(logging.INFO, logger="leadscore_service.requests"):
        logging.getLogger().addHandler(caplog.handler)
        service.post("/score-lead", lead)
        service.post("/score-lead", b"{")
        assert caplog.records == []
        service.app._request_log._slow_ns = 0
        service.post("/score-lead", {**lead, "budget": 54321.5}, {"x-request-id": "slow-1"})
    (record,) = caplog.records
    assert record.fields["request_id"] == "slow-1"
    assert record.fields["lead_id"] == lead["lead_id"]
    assert "54321" not in JsonLines().format(record)


@pytest.mark.parametrize(("sent", "said"), [(TRACE, TRACE[3:35]), ("none", ""), (TRACE + "x", "")])
def test_a_line_names_the_callers_trace_and_the_stored_prediction(
    make_service, lead, caplog, sent: str, said: str
) -> None:
    service = make_service(LEADSCORE_LOG_SAMPLE="1").start()
    with caplog.at_level(logging.INFO, logger="leadscore_service.requests"):
        logging.getLogger().addHandler(caplog.handler)
        reply = service.post("/score-lead", lead, {"traceparent": sent}).json
    fields = caplog.records[0].fields
    assert (fields["trace_id"], fields["prediction_id"]) == (said, reply["prediction_id"])


def test_all_successes_are_logged_when_all_are_sampled(make_service, lead, caplog) -> None:
    service = make_service(LEADSCORE_LOG_SAMPLE="1").start()
    with caplog.at_level(logging.INFO, logger="leadscore_service.requests"):
        logging.getLogger().addHandler(caplog.handler)
        service.post("/score-lead", lead)
    assert [record.getMessage() for record in caplog.records] == ["request"]


def test_traces_go_to_the_configured_collector(make_service, lead, monkeypatch) -> None:
    received: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        endpoint = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        service = make_service(OTEL_EXPORTER_OTLP_ENDPOINT=endpoint).start()
        reply = service.post("/score-lead", lead, {"traceparent": TRACE}).json
        service.engine.telemetry.close()
        server.shutdown()
        thread.join()
    ((path, body),) = received
    assert path == "/v1/traces"
    content = gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body
    assert reply["prediction_id"].encode() in content
    assert bytes.fromhex("0af7651916cd43dd8448eb211c80319c") in content
