"""Build the pinned programs from Go modules, once per version, into the user's cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections import deque
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

    A folder appears under its final name only when it is complete. A build that was interrupted goes on:
    binaries that were done are kept beside it, and Go keeps every package that it has compiled.

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
    with locked(target.parent / f".{target.name}.lock"):
        if is_built(program):
            return target
        partial = target.parent / f".{target.name}.partial"
        partial.mkdir(exist_ok=True)
        for number, (package, binary) in enumerate(zip(program.packages, program.binaries, strict=True), 1):
            if (partial / binary).exists():
                continue
            of = f" ({number} of {len(program.binaries)})" if len(program.binaries) > 1 else ""
            _compile(
                program,
                package,
                partial / binary,
                lambda part, what=f"{binary}{of}": on_step(f"{what}{part}"),
            )
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
    return target


def _compile(program: Program, package: str, output: Path, on_part: Callable[[str], None]) -> None:
    """Build one binary; `on_part` is told how many packages are compiled, and which one was the last."""
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false"}
    unfinished = output.with_name(f".{output.name}.new")
    command = [
        "go",
        "build",
        "-v",
        "-trimpath",
        "-ldflags",
        program.linker_flags(),
        "-o",
        str(unfinished),
        package,
    ]
    if program.tags:
        command[2:2] = ["-tags", program.tags]
    on_part("")
    last: deque[str] = deque(maxlen=8)
    with subprocess.Popen(
        command,
        cwd=MODULES / program.name,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as builder:
        assert builder.stderr is not None
        for number, line in enumerate(builder.stderr, 1):
            last.append(line.rstrip())
            on_part(f": {number} packages, {line.strip()[:60]}")
    if builder.returncode != 0:
        told = "\n".join(last)
        raise ClusterError(
            f"Building {package} {program.version} failed:\n{told}",
            hint=(
                "Check the connection to the Go module proxy and the free disk space (10 GB), then run again."
            ),
        )
    unfinished.rename(output)
