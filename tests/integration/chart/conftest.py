"""A Prometheus that scrapes what the service's own exporter writes, for any number of pod template hashes."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from tests.support import programs
from tests.support.chart import Chart
from tests.support.waiting import wait_until

from lead_scoring.metrics_export import Gauges, Model, render
from lead_scoring.metrics_layout import ENDPOINTS, PROBABILITY_EDGES, STATUSES, Layout
from leadscore.scoring.profile import ReferenceProfile

_PROFILE = ReferenceProfile(
    rows=10, features=(), score_edges=(0.5,), score_counts=(5, 5), quantiles=(0.5,) * 101
)
_GAUGES = Gauges(
    ready=True,
    keys=1,
    key_reload_errors=0,
    spool_bytes=0,
    spool_max_bytes=1,
    idempotency_bytes=0,
    shipper=None,
)


class Version:
    """The counters of one version's pods."""

    def __init__(self, pod_template_hash: str) -> None:
        self.model = Model("leads", "1", "c", "numpy", pod_template_hash, _PROFILE)
        self.layout = Layout.of(_PROFILE, pod_template_hash)
        self.total = [0] * self.layout.size

    def score(self, by_bin: Mapping[int, int]) -> None:
        """Count leads in bins of probability."""
        for number, count in by_bin.items():
            assert 0 <= number <= len(PROBABILITY_EDGES)
            self.total[self.layout.probabilities + number] += count

    def grade(self, counts: tuple[int, int, int, int]) -> None:
        """Count leads by grade, A first."""
        for offset, count in enumerate(counts):
            self.total[self.layout.grades + offset] += count

    def answer(self, status: int, count: int) -> None:
        """Count replies of `/score-lead`."""
        cell = ENDPOINTS.index("/score-lead") * len(STATUSES) + STATUSES.index(status)
        self.total[self.layout.requests + cell] += count


class Metrics:
    """What versions export, over HTTP, and a Prometheus that scrapes it: first zeros, then what was counted."""

    def __init__(self, folder: Path, hashes: tuple[str, ...]) -> None:
        self.versions = {name: Version(name) for name in hashes}
        versions = {f"/{name}": version for name, version in self.versions.items()}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                version = versions[self.path]
                body = render(version.model, version.layout, version.total, _GAUGES)
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_request(self, code: object = "-", size: object = "-") -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        targets = [
            {
                "targets": [f"127.0.0.1:{self._server.server_port}"],
                "labels": {"__metrics_path__": path, "namespace": "scoring", "instance": path},
            }
            for path in versions
        ]
        configuration = {
            "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms"},
            "scrape_configs": [{"job_name": "versions", "static_configs": targets}],
        }
        (folder / "prometheus.yml").write_text(json.dumps(configuration))
        self._log = (folder / "prometheus.log").open("wb")
        self._process = subprocess.Popen(
            [
                programs.prometheus(),
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{self.port}",
            ],
            stdout=self._log,
            stderr=self._log,
        )

    def query(self, query: str, at: float | None = None) -> dict[tuple[str, ...], float]:
        """Values by label values (sorted by label name) of an instant query."""
        parameters = {"query": query} | ({} if at is None else {"time": repr(at)})
        reply = httpx.get(f"http://127.0.0.1:{self.port}/api/v1/query", params=parameters, timeout=10).json()
        assert reply["status"] == "success", reply
        return {
            tuple(text for _, text in sorted(series["metric"].items())): float(series["value"][1])
            for series in reply["data"]["result"]
        }

    def ready(self) -> bool:
        """Whether it answers queries: while it starts it says 503, and that in plain words."""
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/-/ready", timeout=10).status_code == 200
        except httpx.TransportError:
            assert self._process.poll() is None, Path(self._log.name).read_text()[-2000:]
            return False

    def wait_for(self, query: str, expected: float) -> None:
        """Wait until a query that sums has this value."""

        wait_until(self.ready, seconds=60, what="Prometheus")
        wait_until(lambda: expected in self.query(query).values(), seconds=60, what=f"{query} == {expected}")

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(20)
        self._log.close()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="session")
def chart() -> Chart:
    return Chart(programs.helm())


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Metrics]:
    hashes: tuple[str, ...] = request.module.HASHES
    running = Metrics(tmp_path_factory.mktemp("prometheus"), hashes)
    try:
        running.wait_for("count(leadscore_ready)", len(hashes))
        yield running
    finally:
        running.close()
