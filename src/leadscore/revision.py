"""Revision of the code, for records of what was made by which."""

from __future__ import annotations

import subprocess
from pathlib import Path

import leadscore

_GIT_SECONDS = 10


def code_revision() -> str:
    """Git commit of the checkout of this code (`+changed` if it was edited), else the package version."""
    folder = Path(__file__).resolve().parent
    # An installed package may lie inside somebody else's repository: only trust one that tracks this file.
    if _git(folder, "ls-files", "--error-unmatch", Path(__file__).name) is None:
        return f"leadscore {leadscore.__version__}"
    commit = _git(folder, "rev-parse", "HEAD")
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", ".")
    return f"leadscore {leadscore.__version__} {commit}{'+changed' if changed else ''}"


def _git(folder: Path, *arguments: str) -> str | None:
    """Output of a git command; None where git, or the repository, is not there."""
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_GIT_SECONDS)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
