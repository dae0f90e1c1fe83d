"""What a scenario asks about a failed request: of a kubectl that answers as a cluster would."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from tests.e2e.scenario.inquiry import Inquiry
from tests.e2e.scenario.kube import Kube
from tests.e2e.scenario.tally import Sent
from tools.cluster.addons.install import Cluster

ENDED = {"terminated": {"reason": "OOMKilled", "exitCode": 137, "finishedAt": "2026-11-29T10:00:00Z"}}
TRAEFIK = {
    "metadata": {"name": "traefik-1", "namespace": "traefik"},
    "status": {
        "phase": "Running",
        "containerStatuses": [{"name": "traefik", "restartCount": 1, "lastState": ENDED}],
    },
}
POD = {
    "metadata": {"name": "leads-1", "namespace": "scenario", "deletionTimestamp": "2026-11-29T10:00:09Z"},
    "status": {"phase": "Running"},
}
METRICS = {"containers": [{"usage": {"memory": "129Mi"}}]}


@pytest.fixture
def kube(tmp_path: Path) -> Kube:
    """A kubectl that knows Traefik, one pod of the scenario, and their logs."""
    program = tmp_path / "kubectl"
    answers = {"ingress": {"items": [TRAEFIK]}, "pods": {"items": [POD]}, "metrics": METRICS}
    for name, answer in answers.items():
        (tmp_path / name).write_text(json.dumps(answer))
    program.write_text(f"""#!/bin/sh
case "$*" in
  *name=traefik*) cat {tmp_path}/ingress ;;
  "get pods"*) cat {tmp_path}/pods ;;
  *metrics.k8s.io*) cat {tmp_path}/metrics ;;
  "logs traefik-1"*) echo '{{"request_X-Request-Id":"load-1-7","DownstreamStatus":502}}' ;;
  "logs leads-1"*) echo 'the container is gone' >&2; exit 1 ;;
esac
""")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return Kube(Cluster(program, "none"), "scenario")


def failed(request_id: str) -> Sent:
    return Sent("/score-lead", 0.0, 1.0, 0, "closed", about=f"{request_id} at 10:00:00 from port 1")


def test_it_says_what_ingress_and_pods_know_of_the_request(kube: Kube) -> None:
    inquiry = Inquiry(kube)
    inquiry.about(failed("load-1-7"))
    said = inquiry.report()
    assert "traefik-1: Running, 1 restarts; traefik ended before: OOMKilled (exit code 137" in said
    assert "129 MiB" in said
    assert "told to stop at 2026-11-29T10:00:09Z" in said
    assert '[traefik-1] {"request_X-Request-Id":"load-1-7","DownstreamStatus":502}' in said
    assert "[leads-1] cannot be read" in said
    assert "closed before it was read" not in said


def test_a_request_that_nobody_has_read_is_said_to_be_one_and_only_if_every_log_was_read(
    kube: Kube, tmp_path: Path
) -> None:
    inquiry = Inquiry(kube)
    inquiry.about(failed("load-1-8"))
    assert "Not known whether it was read" in inquiry.report()

    program = tmp_path / "kubectl"
    program.write_text(
        program.read_text().replace("echo 'the container is gone' >&2; exit 1", "echo another")
    )
    inquiry = Inquiry(kube)
    inquiry.about(failed("load-1-8"))
    assert "its connection was closed before it was read" in inquiry.report()


def test_without_a_failure_nothing_is_asked(kube: Kube) -> None:
    assert Inquiry(kube).report() == "no request failed"
