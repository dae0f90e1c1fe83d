"""Pods that call the service: the load test's Job and `helm test`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from tests.support.chart import CHART, ROOT, Chart, Manifest, containers

One = Callable[..., Manifest]


def load_test(one: One, *settings: str, values: str = "") -> Manifest:
    return one("Job", "loadTest.enabled=true", *settings, values=values, part="-load-test-")


# In a process of its own: importing Locust replaces this one's sockets and threads.
READ = """
import json, sys
from dataclasses import asdict
from locust.argument_parser import get_parser
from loadtests.options import add_options, read_options
parser = get_parser()
add_options(parser)
parsed = parser.parse_args(sys.argv[1:])
print(json.dumps({"host": parsed.host, **asdict(read_options(parsed))}, default=str))
"""


def options(job: Manifest) -> dict[str, Any]:
    """The Job's arguments as the load test reads them."""
    arguments = containers(job["spec"]["template"]["spec"])[0]["args"]
    command = [sys.executable, "-c", READ, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_there_is_no_load_unless_asked_for(chart: Chart) -> None:
    assert not [m for m in chart.render() if "load-test" in m["metadata"]["name"]]


def test_the_load_test_understands_its_arguments(one: One) -> None:
    found = options(
        load_test(
            one,
            "loadTest.shape=spike",
            "loadTest.peakRate=99",
            "loadTest.seconds=90",
            "loadTest.connections=1000000",
            # `--set` would make text of a number with a point.
            'loadTest={"rate": 12.5}',
            'loadTest.objectives={"p95Milliseconds": 15, "errorShare": 0.001, "requestsPerSecond": 12}',
        )
    )
    assert found["host"] == "http://leads-lead-scoring-stable"
    assert (found["shape"], found["rate"], found["peak"], found["seconds"]) == ("spike", 12.5, 99, 90)
    assert found["connections"] == 1_000_000
    assert found["objectives"] == {"p95_ms": 15, "errors": 0.001, "rate": 12}
    assert found["wait"] == 180
    assert found["verdict"] == "/dev/termination-log"


def test_through_the_ingress_the_document_still_comes_from_inside(one: One) -> None:
    found = options(load_test(one, "loadTest.target=http://traefik.traefik/"))
    assert found["host"] == "http://traefik.traefik"
    assert not found["http_host"]
    assert found["openapi"] == "http://leads-lead-scoring-stable/openapi.json"


def test_an_ingress_that_routes_by_host_is_called_by_that_name(one: One) -> None:
    found = options(load_test(one, values="all-options"))
    assert (found["host"], found["http_host"]) == ("http://traefik.traefik", "leads.example.com")
    assert not options(load_test(one, "trafficRouting.host=leads.example.com"))["http_host"]


def test_a_missed_objective_is_not_tried_again(one: One) -> None:
    job = load_test(one, "loadTest.seconds=600")
    assert job["spec"]["backoffLimit"] == 0
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"
    assert job["spec"]["activeDeadlineSeconds"] > 600 + 180


def test_the_key_comes_from_the_generated_secret_or_the_named_one(one: One) -> None:
    def key(job: Manifest) -> dict[str, str]:
        environment = {e["name"]: e for e in containers(job["spec"]["template"]["spec"])[0]["env"]}
        return environment["LEADSCORE_API_KEY"]["valueFrom"]["secretKeyRef"]

    assert key(load_test(one)) == {"name": "leads-lead-scoring-first-key", "key": "key"}
    assert key(load_test(one, values="all-options")) == {"name": "load-test-key", "key": "key"}


def test_a_load_test_without_a_key_is_refused(chart: Chart) -> None:
    told = chart.refusal("loadTest.enabled=true", "apiKeys.existingSecret=mine")
    assert "apiKeys.clientSecret" in told


def test_a_client_key_that_nobody_checks_is_refused(chart: Chart) -> None:
    assert "apiKeys.clientSecret" in chart.refusal("scoring.auth=off", "apiKeys.clientSecret=mine")


def test_a_target_is_an_address_without_a_path(chart: Chart) -> None:
    assert "loadTest" in chart.refusal("loadTest.enabled=true", "loadTest.target=http://x/score-lead")


def test_the_test_pod_leaves_nothing_behind_when_it_succeeds(one: One) -> None:
    annotations = one("Pod")["metadata"]["annotations"]
    assert annotations["helm.sh/hook"] == "test"
    assert annotations["helm.sh/hook-delete-policy"] == "before-hook-creation,hook-succeeded"


LEAD = {"lead_id": "L-1001", "budget": 5}
DOCUMENT = {
    "paths": {"/score-lead": {"post": {"requestBody": {"content": {"application/json": {"example": LEAD}}}}}}
}
SCORE = {"lead_id": "L-1001", "score": 61.5, "grade": "B", "model_name": "leads", "model_version": "3"}


@contextmanager
def service(*, ready: int = 200, auth: bool = True, score: object = SCORE) -> Iterator[str]:
    """What the test pod meets."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = (ready, {}) if self.path == "/readyz" else (200, DOCUMENT)
            self.reply(status, body)

        def do_POST(self) -> None:
            lead = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            allowed = not auth or self.headers["Authorization"] == "Bearer lsk_right"
            self.reply(200 if allowed else 401, score if lead == LEAD else {})

        def reply(self, status: int, body: object) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_request(self, code: object = "-", size: object = "-") -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def run(url: str, auth: str = "keys", key: str = "lsk_right") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", (CHART / "files" / "score.py").read_text(), url, auth],
        env={"LEADSCORE_API_KEY": key},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_test_scores_the_documented_lead() -> None:
    with service() as url:
        done = run(url)
    assert (done.returncode, done.stdout) == (0, "ready; leads/3 scored L-1001: 61.5 (B)\n")


def test_without_a_key_in_the_plain_the_refusal_is_tested() -> None:
    with service() as url:
        done = run(url, key="")
    assert done.returncode == 0
    assert "no score" in done.stdout


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"ready": 503}, "/readyz answered 503"),
        ({"auth": False}, "/score-lead answered 200, not 401"),
        ({"score": {**SCORE, "score": 101}}, "/score-lead answered {"),
        ({"score": {**SCORE, "lead_id": "L-2"}}, "/score-lead answered {"),
    ],
)
def test_the_test_fails_with_a_sentence(wrong: dict[str, object], sentence: str) -> None:
    with service(**wrong) as url:
        done = run(url)
    assert done.returncode == 1
    assert sentence in done.stderr


def test_the_pod_runs_the_tested_file(one: One) -> None:
    command = one("Pod")["spec"]["containers"][0]["command"]
    assert command[2].strip() == (CHART / "files" / "score.py").read_text().strip()
    assert command[3:] == ["http://leads-lead-scoring-stable", "keys"]
    assert not re.search(r"\{\{", command[2])
