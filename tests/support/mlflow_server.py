"""A real `mlflow server` on loopback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from tests.support.ports import free_port

# 15 s of CPU; a busy machine takes its time.
START_SECONDS = 300.0


class MlflowServer:
    """A real `mlflow server` on loopback: SQLite, and artefacts through the server."""

    def __init__(self, root: Path) -> None:
        self.artefacts = root / "artefacts"
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self._root = root
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it unless it runs; returns when it answers."""
        if self._process is not None and self._process.poll() is None:
            return
        command = [
            *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)),
            *("--backend-store-uri", f"sqlite:///{self._root / 'server.db'}"),
            *("--artifacts-destination", str(self.artefacts), "--workers", "1"),
        ]
        log = self._root / "server.log"
        with log.open("ab") as output:
            environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
            self._process = subprocess.Popen(
                command, stdout=output, stderr=output, start_new_session=True, env=environment
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(log.read_text()[-3000:])
            time.sleep(0.2)

    def signal(self, number: signal.Signals) -> None:
        """Signal the server and its workers."""
        assert self._process is not None
        os.killpg(self._process.pid, number)

    def kill(self) -> None:
        """Stop it at once."""
        if self._process is not None and self._process.poll() is None:
            self.signal(signal.SIGKILL)
            self._process.wait()

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=2) as reply:
                return reply.status == 200
        except OSError:
            return False
