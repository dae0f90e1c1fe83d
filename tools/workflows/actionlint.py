"""Running actionlint, built once from its pinned Go module."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tools.cluster.build import build, is_built
from tools.cluster.pins import ACTIONLINT


def is_available() -> bool:
    """Whether the binary is cached or can be built here."""
    return is_built(ACTIONLINT) or shutil.which("go") is not None


def problems(files: Sequence[Path]) -> list[str]:
    """What actionlint finds, one line each; empty if it finds nothing.

    Raises:
        ClusterError: It cannot be built.
        RuntimeError: It did not run to its end, so nothing is known about the files.
    """
    binary = build(ACTIONLINT, lambda _: None) / "actionlint"
    # shellcheck and pyflakes are used when a machine happens to have them: verdicts would differ between
    # machines.
    done = subprocess.run(
        [binary, "-no-color", "-oneline", "-shellcheck=", "-pyflakes=", *files],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    if done.returncode not in {0, 1}:
        raise RuntimeError(f"actionlint failed with code {done.returncode}: {done.stderr.strip()}")
    return done.stdout.splitlines()
