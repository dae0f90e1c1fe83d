"""Python packages of a role: exactly uv.lock's, wheels only, without what no container runs."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import shutil
import tempfile
from pathlib import Path

from tools.cluster.shell import run
from tools.images.bytecode import compile_folder
from tools.images.paths import KEPT, ROOT, cache_root, keep_newest
from tools.images.roles import Role

INSIDE = "/opt/leadscore/packages"
PYTHON_VERSION = "3.11"
# Of the bases, Debian bookworm.
GLIBC = (2, 36)
UNWANTED_SUFFIXES = (".pyi", ".pyx", ".pxd", ".c", ".h", ".hpp", ".cpp", ".cc", ".cu", ".cuh", ".a", ".pyc")
# Of where and when an installation was made.
UNWANTED_RECORDS = ("direct_url.json", "uv_cache.json", "INSTALLER", "REQUESTED", "RECORD")
UNWANTED_FOLDERS = ("tests", "test", "__pycache__")


def requirements(role: Role, root: Path = ROOT) -> str:
    """What uv.lock says for a role, with hashes."""
    options = [word for extra in role.extras for word in ("--extra", extra)]
    options += [word for group in role.groups for word in ("--group", group)]
    return run(
        [
            *("uv", "export", "--frozen", "--no-default-groups", "--no-emit-project", "--no-header"),
            *("--no-annotate", "--quiet", *options),
        ],
        cwd=root,
        timeout=120,
        hint="Run `uv lock` if pyproject.toml has changed.",
    )


def environment_requirements(role: Role, root: Path = ROOT) -> str:
    """What the lock of a role's other environment says, with hashes; empty without one."""
    return (root / "envs" / role.environment / "requirements.txt").read_text() if role.environment else ""


def environment_inside(role: Role) -> str:
    """Where the image has the packages of a role's other environment."""
    return f"/opt/leadscore/{role.environment}/packages"


def is_unwanted(path: Path) -> bool:
    """Whether an image does without a file (path relative to the packages' folder); pure.

    Tests, type stubs, C sources and headers, and notes about the installation. Licences and metadata stay.
    """
    if any(part in UNWANTED_FOLDERS for part in path.parts[:-1]):
        return True
    if path.parent.name.endswith(".dist-info"):
        return path.name in UNWANTED_RECORDS
    return path.suffix in UNWANTED_SUFFIXES


def with_portable_interpreter(script: str) -> str:
    """A console script with whatever python3 comes first on PATH, instead of this machine's; pure."""
    first, _, rest = script.partition("\n")
    return f"#!/usr/bin/env python3\n{rest}" if first.startswith("#!") and "python" in first else script


def packages_key(text: str, commands: tuple[str, ...], inside: str) -> str:
    """What a prepared folder depends on; 16 hex digits."""
    digest = hashlib.sha256(repr((text, commands, inside, platform.machine(), _strip_version())).encode())
    for module in (Path(__file__), Path(__file__).with_name("bytecode.py")):
        digest.update(module.read_bytes())
    return digest.hexdigest()[:16]


def prepare(name: str, text: str, commands: tuple[str, ...], inside: str = INSIDE) -> Path:
    """The folder of packages, made once per content of `text`; call it under the role's lock.

    Args:
        name: Of the role, or of its other environment.
        text: Pinned requirements.
        commands: Executables that stay.
        inside: What the folder is called in the image.
    """
    target = cache_root() / "packages" / f"{name}-{packages_key(text, commands, inside)}"
    if target.is_dir():
        os.utime(target)
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=target.parent) as scratch:
        listed, folder = Path(scratch) / "requirements.txt", Path(scratch) / "packages"
        listed.write_text(text)
        install(listed, folder)
        tidy(folder, commands)
        strip(folder)
        compile_folder(folder, inside)
        folder.rename(target)
    os.utime(target)
    keep_newest(list(target.parent.glob(f"{name}-*")), KEPT)
    return target


def install(listed: Path, folder: Path, *more: str, glibc: tuple[int, int] = GLIBC) -> None:
    """Install wheels into a folder, for the image's Python and platform (with a C library up to `glibc`)."""
    of_platform = f"{platform.machine()}-manylinux_{glibc[0]}_{glibc[1]}"
    run(
        [
            *(
                "uv",
                "pip",
                "install",
                "--quiet",
                "--no-deps",
                "--only-binary",
                ":all:",
                "--link-mode",
                "copy",
            ),
            *("--python-version", PYTHON_VERSION, "--python-platform", of_platform),
            *("--target", folder, "--requirement", listed, *more),
        ],
        # Outside the project: its own constraints are for its lock, and alibi-detect's has older versions.
        cwd=listed.parent,
        timeout=900,
        hint="Check the connection to the package index.",
    )


def tidy(folder: Path, commands: tuple[str, ...]) -> None:
    """Remove what `is_unwanted` names and every executable but `commands`."""
    for path in sorted(folder.rglob("*"), reverse=True):
        relative = path.relative_to(folder)
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif is_unwanted(relative) or (relative.parts[0] == "bin" and path.name not in commands):
            path.unlink()
    for command in commands:
        script = folder / "bin" / command
        if script.is_file():
            script.write_text(with_portable_interpreter(script.read_text()))
    (folder / ".lock").unlink(missing_ok=True)


def strip(folder: Path) -> None:
    """Drop the debug sections of extension modules, of which some wheels (uvloop, aiohttp) mostly consist.

    Libraries that auditwheel has patched (`*.libs`) stay as they are: not every version of binutils keeps
    those intact.
    """
    if not _strip_version():
        return
    modules = [path for path in sorted(folder.rglob("*.so")) if not path.parent.name.endswith(".libs")]
    for start in range(0, len(modules), 200):
        run(["strip", "--strip-debug", "--enable-deterministic-archives", *modules[start : start + 200]])


@functools.cache
def _strip_version() -> str:
    """The first line of `strip --version`; empty where there is no binutils, and packages stay larger."""
    if shutil.which("strip") is None:
        return ""
    return run(["strip", "--version"]).partition("\n")[0]
