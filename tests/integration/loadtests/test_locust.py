import json
import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import pytest

ROOT = Path(__file__).parents[3]


@contextmanager
def service(status: int, unready: int = 0, host_header: str = ""):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "echo_app:app", "--lifespan", "off", "--log-level", "warning"]
    process = subprocess.Popen(
        [*command, "--app-dir", str(Path(__file__).parent), "--port", str(port)],
        env={**os.environ, "STATUS": str(status), "UNREADY": str(unready), "HOST_HEADER": host_header},
    )
    host = f"http://127.0.0.1:{port}"
    try:
        _wait_until_up(host, process)
        yield host
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait_until_up(host: str, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urlopen(f"{host}/", timeout=5):
                return
        except HTTPError:
            return
        except URLError:
            time.sleep(0.05)
    pytest.fail("the service did not start")


def locust(host: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "locust", "-f", "loadtests/locustfile.py", "--headless", "--host", host]
    return subprocess.run(
        [*command, "--only-summary", *options],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_constant_shape_sends_every_arrival_and_a_good_service_meets_the_objectives(tmp_path):
    verdict = tmp_path / "verdict.json"

    with service(200) as host:
        done = locust(host, "--run-time", "4s", "--slo-p95-ms", "5000", "--slo-json", str(verdict))

    assert done.returncode == 0, done.stdout + done.stderr
    assert "P95 latency" in done.stdout
    last = done.stdout.strip().splitlines()[-1]
    assert last.startswith("✓ throughput: 25 req/s"), last
    figures = {row["endpoint"]: row for row in json.loads(verdict.read_bytes())["endpoints"]}
    assert figures["all"]["requests"] == 100
    assert figures["/score-lead"]["requests"] > 60
    assert "/outcomes" in figures


def test_a_service_that_fails_every_request_fails_the_load_test():
    with service(500) as host:
        done = locust(host, "--run-time", "2s")

    assert done.returncode == 1
    assert "errors: 100 %" in done.stdout


def test_a_service_that_is_not_there_is_said_in_a_sentence():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        done = locust(f"http://127.0.0.1:{taken.getsockname()[1]}", "--run-time", "2s")

    assert done.returncode == 2
    assert "The load test cannot start" in done.stderr


def test_a_job_that_comes_before_the_service_waits_for_it():
    with service(200, unready=3) as host:
        assert locust(host, "--run-time", "2s").returncode == 2
        done = locust(host, "--run-time", "2s", "--wait", "60", "--slo-p95-ms", "5000")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "throughput: 25 req/s" in done.stdout


def test_behind_an_ingress_the_document_is_read_elsewhere(tmp_path):
    saved = tmp_path / "openapi.json"
    with service(200) as host, urlopen(f"{host}/openapi.json") as reply:
        saved.write_bytes(reply.read())

    with service(200, unready=-1, host_header="leads.example.com") as host:
        options = ("--openapi", saved.as_uri(), "--http-host", "leads.example.com")
        done = locust(host, "--run-time", "2s", *options, "--slo-p95-ms", "5000")

    assert done.returncode == 0, done.stdout + done.stderr
