"""A real Prometheus that scrapes pages which tests write."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
from tests.support import programs
from tests.support.ports import free_port
from tests.support.waiting import wait_until


class Prometheus:
    """Prometheus on a free port, and the pages that it scrapes twice a second.

    Args:
        folder: For its configuration and data.
        pages: Path to what is answered there.
        labels: Path to the labels that the scrape sets.
        rules: Rule groups.
    """

    def __init__(
        self,
        folder: Path,
        pages: Mapping[str, Callable[[], bytes]],
        labels: Mapping[str, Mapping[str, str]],
        rules: list[dict[str, Any]] | None = None,
    ) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = pages[self.path]()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_request(self, code: object = "-", size: object = "-") -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.port = free_port()
        targets = [
            {
                "targets": [f"127.0.0.1:{self._server.server_port}"],
                "labels": {"__metrics_path__": path, "instance": path, **labels[path]},
            }
            for path in pages
        ]
        every = {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"}
        configuration = {
            "global": every,
            "rule_files": [str(folder / "rules.yml")],
            "scrape_configs": [{"job_name": "pages", "static_configs": targets}],
        }
        (folder / "rules.yml").write_text(json.dumps({"groups": rules or []}))
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
        return {
            tuple(text for _, text in sorted(series["metric"].items())): float(series["value"][1])
            for series in self._data("query", parameters)["result"]
        }

    def alerts(self) -> list[dict[str, Any]]:
        """Alerts that are pending or firing, as Prometheus lists them."""
        return self._data("alerts", {})["alerts"]

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
        """Stop it, and the pages."""
        self._process.terminate()
        self._process.wait(20)
        self._log.close()
        self._server.shutdown()
        self._server.server_close()

    def _data(self, what: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self.port}/api/v1/{what}"
        reply = httpx.get(url, params=parameters, timeout=10).json()
        assert reply["status"] == "success", reply
        return reply["data"]
