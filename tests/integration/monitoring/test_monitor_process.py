"""`leadscore monitor`: it counts, is followed when it dies, drains, and says what it does not know."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.events import prediction
from tests.support.ports import free_port
from tests.support.postgres import PostgresServer
from tests.support.waiting import wait_until

from leadscore.events.records import now_us
from leadscore.events.store import EventStore
from leadscore.monitoring.rollups.progress import read_rollup_progress


class Monitor:
    def __init__(self, url: str, home: Path, port: int) -> None:
        environment = {**os.environ, "LEADSCORE_HOME": str(home), "LEADSCORE_EVENTS_URL": url}
        command = [sys.executable, "-m", "leadscore.cli", "monitor", "--port", str(port), "--lease", "2s"]
        self.base = f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)

    def health(self) -> dict[str, Any]:
        try:
            with urllib.request.urlopen(f"{self.base}/healthz") as reply:
                return json.loads(reply.read())
        except urllib.error.HTTPError as error:
            return json.loads(error.read())
        except OSError:
            return {"status": "silent"}

    def metrics(self) -> str:
        with urllib.request.urlopen(f"{self.base}/metrics") as reply:
            return reply.read().decode()


@contextmanager
def monitor(url: str, home: Path) -> Iterator[Monitor]:
    started = Monitor(url, home, free_port())
    try:
        yield started
    finally:
        started.process.kill()
        started.process.communicate()


def is_caught_up(store: EventStore, after: int) -> bool:
    with store.reading() as connection:
        return (read_rollup_progress(connection).caught_up or 0) > after


def test_another_monitor_follows_one_that_is_killed(url: str, store: EventStore, tmp_path: Path) -> None:
    store.append([prediction("p1", scored_at=10)], [])
    with ExitStack() as stack:
        first = stack.enter_context(monitor(url, tmp_path))
        wait_until(lambda: first.health()["status"] == "ok", what="the first")
        second = stack.enter_context(monitor(url, tmp_path))
        wait_until(lambda: second.health()["status"] == "standby", what="the second standing by")
        assert "leadscore_rollup" not in second.metrics(), "numbers come from one process"
        first.process.kill()
        first.process.wait()
        store.append([prediction("p2", scored_at=20)], [])
        after = now_us()
        wait_until(lambda: is_caught_up(store, after), what="the second's work")
        assert "leadscore_monitor_leading 1.0" in second.metrics()
        wait_until(lambda: "leadscore_rollup_lag_seconds" in second.metrics(), what="its lag")
        assert 'leadscore_rollup_profile_unknown{model_name="crm",model_version="7"} 1.0' in second.metrics()


def test_sigterm_ends_it_with_0_and_gives_the_lease_up(url: str, store: EventStore, tmp_path: Path) -> None:
    store.check()
    with monitor(url, tmp_path) as running:
        wait_until(lambda: running.health()["status"] == "ok", what="the monitor")
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(30) == 0
    with monitor(url, tmp_path) as next_one:
        wait_until(lambda: next_one.health()["status"] == "ok", what="the next one at once")


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    from tests.support.postgres import require_binaries, running_postgres

    require_binaries()
    with running_postgres() as server:
        yield server


def test_a_store_that_is_away_is_unknown_and_it_goes_on_when_it_is_back(
    own_server: PostgresServer, tmp_path: Path
) -> None:
    url = own_server.new_database()
    with EventStore(url) as store:
        store.append([prediction("p1", scored_at=10)], [])
        with monitor(url, tmp_path) as running:
            wait_until(lambda: running.health()["status"] == "ok", what="the monitor")
            own_server.stop()
            wait_until(lambda: running.health()["status"] == "unknown", what="not knowing")
            assert running.process.poll() is None
            own_server.start()
            wait_until(lambda: running.health()["status"] == "ok", seconds=60, what="the store's return")
            after = now_us()
            wait_until(lambda: is_caught_up(store, after), what="counting")


def test_a_store_that_is_to_be_migrated_is_waited_for(
    postgres_url: str, tmp_path: Path, previous: Any
) -> None:
    from tests.integration.events.test_two_releases import at_work

    with at_work(previous, postgres_url) as old:
        old.append("a")
        with monitor(postgres_url, tmp_path) as running:
            wait_until(lambda: "events migrate" in running.health().get("reason", ""), what="what to do")
            with EventStore(postgres_url) as store:
                store.migrate()
                wait_until(lambda: is_caught_up(store, 0), what="counting")
