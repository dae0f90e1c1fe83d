"""Our own code for an image, from a copy of the sources.

A wheel with the native kernel, or BentoML's bento of it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tools.cluster.shell import run
from tools.images.bytecode import compile_folder
from tools.images.errors import ImageError
from tools.images.packages import GLIBC, install, tidy
from tools.images.paths import ROOT
from tools.images.roles import Code, Role

INSIDE = "/opt/leadscore/app"
WHEEL_SOURCES = ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", "src", "bentos", "operators")
BENTO_SOURCES = (*WHEEL_SOURCES, "bentofile.yaml")
# Of a bento, what a service needs; the rest serves BentoML's own way of making images.
BENTO_PARTS = ("bento.yaml", "src")
KERNEL = Path("src/leadscore/scoring/native/_kernel.so")
NEWEST_GLIBC = (2, 40)


def sources(role: Role) -> tuple[str, ...]:
    """Files and folders of the project that a role's image depends on."""
    return {Code.NONE: (), Code.WHEEL: WHEEL_SOURCES, Code.BENTO: BENTO_SOURCES}[role.code] + role.files


def source_files(names: Sequence[str], root: Path = ROOT) -> Iterator[Path]:
    """The files behind names, in order, without build products; relative to the project."""
    for name in names:
        start = root / name
        found = [start] if start.is_file() else start.rglob("*")
        for path in sorted(found):
            if path.is_file() and "__pycache__" not in path.parts and path.suffix not in {".pyc", ".so"}:
                yield path.relative_to(root)


def prepare(role: Role, version: str, epoch: int, target: Path) -> None:
    """Write the folder that becomes /opt/leadscore/app.

    Args:
        role: Whose code.
        version: The bento's version (its folder is named by it).
        epoch: Time that the result carries, seconds.
        target: Folder to make.
    """
    with tempfile.TemporaryDirectory(prefix="leadscore-code-") as scratch:
        stage = Path(scratch) / "stage"
        for path in source_files(sources(role)):
            (stage / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / path, stage / path)
        wheel = _wheel(stage, Path(scratch) / "dist", epoch)
        _require_old_glibc(stage / KERNEL)
        if role.code is Code.BENTO:
            _bento(stage, Path(scratch) / "bentoml", version, epoch, target)
        else:
            listed = Path(scratch) / "requirements.txt"
            listed.write_text(f"{wheel}\n")
            # The wheel's tag names this machine's C library; what its kernel really asks for has been looked
            # at.
            install(listed, target, "--no-index", "--no-verify-hashes", glibc=NEWEST_GLIBC)
            tidy(target, role.commands)
        for name in role.files:
            shutil.copytree(stage / name, target / name)
    compile_folder(target, INSIDE)


def _wheel(stage: Path, output: Path, epoch: int) -> Path:
    environment = {**os.environ, "LEADSCORE_NATIVE": "require", "SOURCE_DATE_EPOCH": str(epoch)}
    run(
        ["uv", "build", "--wheel", "--quiet", "--python", sys.executable, "--out-dir", output, stage],
        env=environment,
        timeout=600,
        hint="The native kernel is compiled here: a C compiler helps.",
    )
    (wheel,) = output.glob("*.whl")
    return wheel


def needed_glibc(library: bytes) -> tuple[int, int]:
    """The newest C library version that a shared object asks for, from its symbol versions' names; pure."""
    found = re.findall(rb"GLIBC_(\d+)\.(\d+)", library)
    return max(((int(major), int(minor)) for major, minor in found), default=(0, 0))


def _require_old_glibc(kernel: Path) -> None:
    needed = needed_glibc(kernel.read_bytes())
    if needed > GLIBC:
        raise ImageError(
            f"The kernel that was compiled here wants glibc {needed[0]}.{needed[1]}; the images "
            f"have {GLIBC[0]}.{GLIBC[1]}.",
            hint=(
                "Build on Debian bookworm, or without a C compiler on PATH: Zig's "
                "then compiles for an old one."
            ),
        )


def _bento(stage: Path, home: Path, version: str, epoch: int, target: Path) -> None:
    """Run `bentoml build` and take what the service needs.

    The wheel's build has left the kernel in the sources.
    """
    environment = {
        **os.environ,
        "BENTOML_HOME": str(home),
        "BENTOML_DO_NOT_TRACK": "True",
        # Before the environment's own (editable) installation.
        "PYTHONPATH": f"{stage / 'src'}:{stage / 'bentos'}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, "-m", "bentoml", "build", "--version", version, "--output", "tag", "."]
    run(command, cwd=stage, env=environment, timeout=300)
    bento = home / "bentos" / "lead_scoring" / version
    target.mkdir(parents=True)
    for part in BENTO_PARTS:
        source = bento / part
        if source.is_dir():
            shutil.copytree(source, target / part)
        else:
            (target / part).write_text(at_time(source.read_text(), epoch))


def at_time(bento_yaml: str, epoch: int) -> str:
    """The bento's description with a given creation time; pure."""
    moment = datetime.fromtimestamp(epoch, UTC).isoformat()
    return re.sub(r"^creation_time: .*$", f"creation_time: '{moment}'", bento_yaml, flags=re.MULTILINE)


def source_epoch(names: Sequence[str]) -> int:
    """Time for everything in an image.

    `SOURCE_DATE_EPOCH`, else the last commit of its sources, else 2026-01-01.

    See reproducible-builds.org/specs/source-date-epoch.
    """
    given = os.environ.get("SOURCE_DATE_EPOCH", "")
    if given:
        return int(given)
    done = subprocess.run(
        ["git", "log", "-1", "--format=%ct", "--", *names],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return int(done.stdout) if done.returncode == 0 and done.stdout.strip() else 1_767_225_600
