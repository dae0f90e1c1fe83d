"""Build the pinned programs from Go modules, once per version, into the user's cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from leadscore.registry.locks import locked
from tools.cluster.errors import ClusterError
from tools.cluster.pins import MODULES, Program


def cache_root() -> Path:
    """`$XDG_CACHE_HOME/leadscore/cluster` (default `~/.cache/leadscore/cluster`)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "leadscore" / "cluster"


def build_key(program: Program) -> str:
    """What a cached build depends on: the lock files, the linker flags and the packages; 16 hex digits."""
    digest = hashlib.sha256()
    for name in ("go.mod", "go.sum"):
        digest.update((MODULES / program.name / name).read_bytes())
    digest.update(program.linker_flags().encode())
    digest.update("\n".join(filter(None, (*program.packages, program.tags))).encode())
    return digest.hexdigest()[:16]


def built_folder(program: Program) -> Path:
    """Where the program's binaries are, or will be."""
    return cache_root() / "bin" / f"{program.name}-{program.version}-{build_key(program)}"


def is_built(program: Program) -> bool:
    """Whether every binary of the program is in the cache."""
    return all((built_folder(program) / binary).is_file() for binary in program.binaries)


def build(program: Program, on_step: Callable[[str], None]) -> Path:
    """Build what is missing and return the folder with the binaries.

    A folder appears under its final name only when it is complete, so an interrupted build is simply done again.

    Raises:
        ClusterError: Go is missing or too old, or the compiler failed (its last lines are in the message).
    """
    target = built_folder(program)
    if is_built(program):
        return target
    if shutil.which("go") is None:
        raise ClusterError(
            "Go is not installed, and no registry has the node image.",
            hint="Install Go 1.26 or newer, or a Docker that reaches an image registry.",
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    # Two who build the same at once would each replace what the other is about to run.
    with (
        locked(target.parent / f".{target.name}.lock"),
        tempfile.TemporaryDirectory(prefix=f".{program.name}-", dir=target.parent) as scratch,
    ):
        if is_built(program):
            return target
        for package, binary in zip(program.packages, program.binaries, strict=True):
            on_step(f"{program.name} {program.version}: {binary}")
            _compile(program, package, Path(scratch) / binary)
        shutil.rmtree(target, ignore_errors=True)
        complete = Path(tempfile.mkdtemp(prefix=f".{program.name}-done-", dir=target.parent))
        for binary in program.binaries:
            (Path(scratch) / binary).rename(complete / binary)
        complete.chmod(0o755)
        complete.rename(target)
    return target


def _compile(program: Program, package: str, output: Path) -> None:
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false"}
    command = ["go", "build", "-trimpath", "-ldflags", program.linker_flags(), "-o", str(output), package]
    if program.tags:
        command[2:2] = ["-tags", program.tags]
    done = subprocess.run(
        command, cwd=MODULES / program.name, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        last = "\n".join(done.stderr.strip().splitlines()[-8:])
        raise ClusterError(
            f"Building {package} {program.version} failed:\n{last}",
            hint="Check the connection to the Go module proxy and the free disk space (10 GB), then run again.",
        )
