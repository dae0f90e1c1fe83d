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


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


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
        # The model is not the synthetic CRM's: nobody sends made-up leads to it.
        assert "simulated CRM" not in said.read_text()
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    assert not any(answers(url) for url in urls)
