"""A night that is killed is lost nowhere and stands twice nowhere: real processes, real SIGKILL."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_killed_nights_lose_and_double_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.integration.batch.killed_nights", str(tmp_path), "--kills", "8"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["kills"] >= 8
    assert found["lost"] == found["doubled"] == found["differing"] == found["commits_too_many"] == 0
