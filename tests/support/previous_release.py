"""The release before this one, run as its users run it: its own code, from the history of this clone."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
# The last commit of the release before: schema version 1, no migrations, no partitions.
COMMIT = "041ba94d05e33f33058912854e3e566dea779f2e"


@dataclass(frozen=True)
class PreviousRelease:
    """Its packages in a folder of their own, which come before this release's on the path."""

    source: Path

    @property
    def environment(self) -> dict[str, str]:
        """For a process of its own; the tests' own helpers are this release's."""
        return {**os.environ, "PYTHONPATH": f"{self.source / 'src'}{os.pathsep}{PROJECT}"}

    def start(self, *arguments: str, **options: object) -> subprocess.Popen[str]:
        """A Python process with its packages."""
        command = [sys.executable, *arguments]
        return subprocess.Popen(command, env=self.environment, text=True, **options)  # type: ignore[call-overload]


@pytest.fixture(scope="session")
def previous(tmp_path_factory: pytest.TempPathFactory) -> PreviousRelease:
    """Taken from git; where the history is cut off: a failure in CI, a skip with the reason elsewhere."""
    done = subprocess.run(
        ["git", "archive", COMMIT, "src/leadscore"], cwd=PROJECT, capture_output=True, check=False
    )
    if done.returncode:
        reason = f"This clone has not the commit {COMMIT[:7]}: git fetch --unshallow"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("previous")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return PreviousRelease(folder)
