"""Running programs: output kept, failures told with their last lines."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.cluster.errors import ClusterError


def run(
    command: Sequence[str | Path],
    *,
    timeout: float = 300,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: str | None = None,
    hint: str = "",
) -> str:
    """Run a program and return its standard output.

    Raises:
        ClusterError: It is missing, took longer than `timeout` seconds, or failed.
    """
    shown = " ".join(str(word) for word in command)
    try:
        done = subprocess.run(
            [str(word) for word in command],
            capture_output=True, text=True, timeout=timeout, env=env, cwd=cwd, input=stdin, check=False,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise ClusterError(f"{command[0]} is not installed (needed for: {shown}).", hint=hint) from error
    except subprocess.TimeoutExpired as error:
        raise ClusterError(f"`{shown}` did not finish within {timeout:.0f} s.", hint=hint) from error
    if done.returncode != 0:
        # Some programs (helm lint) say what is wrong on standard output and only that something is on the
        # other.
        last = "\n".join([*done.stdout.strip().splitlines(), *done.stderr.strip().splitlines()][-8:])
        raise ClusterError(f"`{shown}` failed with code {done.returncode}:\n{last}", hint=hint)
    return done.stdout


def succeeds(
    command: Sequence[str | Path], *, timeout: float = 20, env: Mapping[str, str] | None = None
) -> bool:
    """Whether a probe works; missing, failing and hanging all mean no."""
    try:
        run(command, timeout=timeout, env=env)
    except ClusterError:
        return False
    return True
