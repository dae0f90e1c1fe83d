"""`leadscore up` as people start it: service, monitor and console, and all of them end with it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import httpx
from tests.support.console_world import make_world
from tests.support.ports import free_port
from tests.support.waiting import wait_until

from leadscore.alerts.episodes import read_rule_statuses
from leadscore.events.store import EventStore


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def known(store: EventStore) -> set[str]:
    """Rules whose number is known."""
    with store.reading() as connection:
        return {status.rule for _, status in read_rule_statuses(connection) if status.state == "ok"}


def test_a_killed_one_leaves_nothing_behind(tmp_path: Path) -> None:
    home = make_world(tmp_path)
    service, console, monitor = (free_port() for _ in range(3))
    command = [sys.executable, "-m", "leadscore.cli", "up", "--port", str(service)]
    command += ["--console-port", str(console), "--monitor-port", str(monitor)]
    environ = {**os.environ, "LEADSCORE_HOME": str(home.root)}
    process = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    urls = [
        f"http://127.0.0.1:{service}/readyz", f"http://127.0.0.1:{console}/readyz",
        f"http://127.0.0.1:{monitor}/livez",
    ]  # fmt: skip
    for url in urls:
        wait_until(lambda url=url: answers(url), seconds=120, what=url)
    process.kill()
    process.wait()
    wait_until(lambda: not any(answers(url) for url in urls), seconds=60, what="the end of all")


def test_the_console_opens_beside_the_service_and_ends_with_it(tmp_path: Path) -> None:
    home = make_world(tmp_path)
    service, console, monitor = (free_port() for _ in range(3))
    command = [sys.executable, "-m", "leadscore.cli", "up", "--port", str(service)]
    command += ["--console-port", str(console), "--monitor-port", str(monitor)]
    said = tmp_path / "said"
    environ = {**os.environ, "LEADSCORE_HOME": str(home.root)}
    with said.open("wb") as file:
        process = subprocess.Popen(command, env=environ, stdout=file, stderr=file)
    urls = [
        f"http://127.0.0.1:{service}/readyz", f"http://127.0.0.1:{console}/readyz",
        f"http://127.0.0.1:{monitor}/livez",
    ]  # fmt: skip
    try:
        for url in urls:
            wait_until(lambda url=url: answers(url), seconds=120, what=url)
        key = re.search(r"lsk_\S+", (home.root / "local.key").read_text())
        assert key is not None
        assert key[0] in said.read_text().replace("\n", "")
        with httpx.Client(
            base_url=f"http://127.0.0.1:{console}", headers={"Sec-Fetch-Site": "same-origin"}
        ) as me:
            assert me.post("/sign-in", data={"key": key[0], "next": "/"}).status_code == 303
            assert me.get("/").status_code == 200
        # The monitor looks at the service itself, so that one that is down is an alert.
        with EventStore(home.events_url) as store:
            wait_until(lambda: "LeadScoringDown" in known(store), what="an answer of LeadScoringDown")
        # The model is not the synthetic CRM's: nobody sends made-up leads to it.
        assert "simulated CRM" not in said.read_text()
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    assert not any(answers(url) for url in urls)
