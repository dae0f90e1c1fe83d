"""What the monitor answers over HTTP."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping

import pytest
from prometheus_client.core import GaugeMetricFamily

from leadscore.monitoring.endpoint import EndpointServer, MonitorEndpoint, MonitorHealth

HEALTH = {"now": MonitorHealth(status="ok", leading=True)}


def receive(body: bytes, headers: Mapping[str, str]) -> tuple[int, str]:
    if body == b"defect":
        raise ValueError("a defect")
    return 202 if headers.get("authorization") == "Bearer x" else 401, "said"


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    endpoint = MonitorEndpoint(
        lambda: HEALTH["now"],
        (lambda: [GaugeMetricFamily("leadscore_it", "It.", value=3.0)],),
        {"/alertmanager": receive},
    )
    server = EndpointServer("127.0.0.1", 0, endpoint)
    yield f"http://127.0.0.1:{server.port}"
    server.close()


def ask(url: str, data: bytes | None = None, **headers: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=data, headers=headers)) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_metrics_are_in_prometheus_text(base: str) -> None:
    status, text = ask(f"{base}/metrics")
    assert status == 200
    assert "leadscore_it 3.0" in text


@pytest.mark.parametrize(
    ("state", "live", "ready", "healthy"),
    [
        ("ok", 200, 200, 200),
        ("standby", 200, 200, 200),
        ("behind", 200, 200, 503),
        ("unknown", 200, 200, 503),
        ("stopped", 503, 503, 503),
    ],
)
def test_only_a_dead_thread_is_a_reason_to_start_again(
    base: str, state: str, live: int, ready: int, healthy: int
) -> None:
    HEALTH["now"] = MonitorHealth(status=state, reason="why")
    assert [ask(f"{base}/{path}")[0] for path in ("livez", "readyz", "healthz")] == [live, ready, healthy]
    assert f'"status":"{state}"' in ask(f"{base}/healthz")[1]


def test_what_is_sent_goes_to_its_receiver(base: str) -> None:
    assert ask(f"{base}/alertmanager", b"{}", Authorization="Bearer x") == (202, "said\n")
    assert ask(f"{base}/alertmanager", b"{}")[0] == 401
    assert ask(f"{base}/alertmanager", b"defect")[0] == 500, "whoever sent it must send it again"
    assert ask(f"{base}/alertmanager")[0] == 405
    assert ask(f"{base}/metrics", b"x")[0] == 405
    assert ask(f"{base}/other")[0] == 404


def test_too_much_is_not_read(base: str) -> None:
    connection = http.client.HTTPConnection(base.removeprefix("http://"))
    connection.putrequest("POST", "/alertmanager")
    connection.putheader("Content-Length", "1000001")
    connection.endheaders()
    assert connection.getresponse().status == 413, "before any of it is sent"
    connection.close()
