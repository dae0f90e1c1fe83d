"""How the operator does with many DriftDetectors.

`python -m tests.faults.operating.scale [--detectors 1000]`.

Against a real API server and etcd without controllers, so that what is measured is the operator.
Prints memory, CPU when idle, the time to settle everything when it is new and after a restart, and
the time from a check's end to the training Job.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psutil
import yaml
from rich.console import Console
from rich.table import Table
from tests.faults.harness.api import Api
from tests.faults.harness.controlplane import ADMIN, ControlPlane, running
from tests.faults.harness.scenario import World
from tests.faults.operating import stage
from tests.support.ports import free_port
from tests.support.waiting import wait_until

_IDLE_SECONDS = 60.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--detectors", type=int, default=1000)
    count = parser.parse_args().detectors
    with running() as plane, tempfile.TemporaryDirectory() as folder:
        api = Api(plane)
        world = World(api, "scale", [])
        api.create("api/v1/namespaces", {"metadata": {"name": "scale"}})
        stage.install(world)
        spec = {"model": "leads@champion", "schedules": [{"name": "daily", "cron": "@daily", "window": "1d"}]}
        for number in range(count):
            stage.create(world, "driftdetectors", "DriftDetector", f"d{number:04}", spec)
        rows: list[tuple[str, str]] = []
        with _operator(plane, Path(folder)) as (process, port):
            rows.append((f"{count} new detectors settled", f"{_settled(process, port, count):.1f} s"))
        with _operator(plane, Path(folder)) as (process, port):
            rows.append(("all looked at after a restart", f"{_settled(process, port, count):.1f} s"))
            before, began = process.cpu_times(), time.monotonic()
            time.sleep(_IDLE_SECONDS)  # what is measured is a time of nothing
            after = process.cpu_times()
            share = (after.user + after.system - before.user - before.system) / (time.monotonic() - began)
            rows.append(("CPU when idle, of one core", f"{share:.2%}"))
            rows.append(("resident memory", f"{process.memory_info().rss / 2**20:.0f} MiB"))
            rows.append(("check ended to training Job", f"{_latency(world):.2f} s"))
        table = Table("what", "measured", title=f"{count} DriftDetectors")
        for row in rows:
            table.add_row(*row)
        Console().print(table)


@contextmanager
def _operator(plane: ControlPlane, folder: Path) -> Generator[tuple[psutil.Process, int]]:
    port = free_port()
    config = folder / "kubeconfig"
    config.write_text(yaml.safe_dump(_kubeconfig(plane)))
    command = [
        *stage.operator().command[:7],
        "--port",
        str(port),
        "--identity",
        f"scale-{port}",
        "--lease-duration",
        "3",
    ]
    command = [word.replace("{namespace}", "scale") for word in command]
    environment = os.environ | {
        "KUBECONFIG": str(config),
        "LEADSCORE_EVENTS_URL": f"sqlite:///{folder}/events.db",
    }
    with (
        (folder / f"{port}.log").open("wb") as log,
        subprocess.Popen(command, env=environment, stderr=log) as child,
    ):
        try:
            yield psutil.Process(child.pid), port
        finally:
            child.terminate()


def _settled(process: psutil.Process, port: int, count: int) -> float:
    """Seconds from the start of the process until every detector was served and nothing waits."""

    def done() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as reply:
                text = reply.read().decode()
        except OSError:
            return False
        found = {
            line.split()[0]: float(line.split()[1]) for line in text.splitlines() if not line.startswith("#")
        }
        served = found.get('leadscore_operator_reconciles_total{kind="driftdetectors",outcome="ok"}', 0)
        return served >= count and found["leadscore_operator_queue"] == 0

    wait_until(done, seconds=300, what="a settled operator")
    return time.time() - process.create_time()


def _latency(world: World) -> float:
    """Seconds from the end of a check that finds drift to the Job that trains."""
    stage.create(
        world, "retrainpolicies", "RetrainPolicy", "leads", {"model": "leads", "triggers": {"drift": {}}}
    )
    path = f"{stage.custom(world, 'retrainpolicies')}/leads"
    wait_until(lambda: "decision" in world.api.get(path).get("status", {}), seconds=60)
    job = stage.start_check(world, "daily", 1)
    assert job is not None
    stage.finish(world, job, stage.verdict("significant", "market_moved"))
    began = time.monotonic()
    wait_until(lambda: bool(stage.trainings(world)), seconds=60)
    return time.monotonic() - began


def _kubeconfig(plane: ControlPlane) -> stage.Object:
    cluster = {"server": plane.address, "insecure-skip-tls-verify": True}
    context = {"cluster": "c", "user": "u", "namespace": "scale"}
    return {
        "current-context": "c",
        "contexts": [{"name": "c", "context": context}],
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"token": ADMIN}}],
    }


if __name__ == "__main__":
    sys.exit(main())
