"""Build hook: compile the scoring kernel into the wheel (or beside its source, for an editable installation).

The compiler is $CC, cc, gcc or clang; a machine without any gets Zig's from PyPI for the time of the
build. The object uses neither Python's headers nor its ABI: one wheel per platform serves every
Python version. Without a kernel the package works too, only slower. The variable LEADSCORE_NATIVE
says how much it matters: `auto` (the default: build it if possible, else warn), `require` (fail
without it), `off` (a pure wheel). CFLAGS are appended.
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import platform_tags

MODE_VARIABLE = "LEADSCORE_NATIVE"
SOURCES = Path("src/leadscore/scoring/native")
LIBRARY = SOURCES / "_kernel.so"
ZIG = "ziglang==0.15.2"
# Contraction off: the same sums on every CPU. No -march: the object must run on every CPU of the
# architecture.
FLAGS = (
    "-shared",
    "-fPIC",
    "-O3",
    "-std=c11",
    "-ffp-contract=off",
    "-fvisibility=hidden",
    "-Wall",
    "-Wextra",
)
# What a manylinux_2_17 wheel may link against; naming a target also keeps Zig from tuning for this CPU.
ZIG_GLIBC = "2.17"


class KernelBuildHook(BuildHookInterface[Any]):
    """Compiles the C files, and says in the wheel's tag for which platform."""

    def dependencies(self) -> list[str]:
        """Zig, where it is the only compiler."""
        return [] if _mode() == "off" or _installed_compiler() else [ZIG]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Called before the wheel's files are collected."""
        library = Path(self.root) / LIBRARY
        if _mode() == "off":
            library.unlink(missing_ok=True)
            return
        installed = _installed_compiler()
        command, tag = (installed, _own_tag()) if installed else _zig()
        problem = _compile(command, Path(self.root) / SOURCES, library)
        if problem:
            library.unlink(missing_ok=True)
            if _mode() == "require":
                raise RuntimeError(f"The scoring kernel could not be compiled: {problem}")
            self.app.display_warning(
                f"Built without the native scoring kernel (scores are the same, but slower): {problem}"
            )
            return
        build_data["artifacts"].append(str(LIBRARY))
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{tag}"


def _mode() -> str:
    mode = os.environ.get(MODE_VARIABLE, "auto")
    if mode not in {"auto", "require", "off"}:
        raise ValueError(f"{MODE_VARIABLE}={mode!r}: use auto, require or off.")
    return mode


def _installed_compiler() -> list[str]:
    """The command of the first compiler that is there, or nothing."""
    for name in (os.environ.get("CC", ""), "cc", "gcc", "clang"):
        command = shlex.split(name)
        if command and shutil.which(command[0]):
            return command
    return []


def _zig() -> tuple[list[str], str]:
    """Zig's C compiler and the platform tag of what it makes."""
    command = [sys.executable, "-m", "ziglang", "cc", "-fno-sanitize=undefined"]
    if sys.platform == "linux" and sysconfig.get_config_var("SOABI").endswith("gnu"):
        machine = platform.machine()
        return [*command, "-target", f"{machine}-linux-gnu.{ZIG_GLIBC}"], f"manylinux_2_17_{machine}"
    return [*command, "-mcpu=baseline"], _own_tag()


def _own_tag() -> str:
    """This machine's platform: on Linux by the C library that was linked, which `linux_…` would not say."""
    tags = list(platform_tags())
    return next((tag for tag in tags if not tag.startswith("linux_")), tags[0])


def _compile(command: list[str], sources: Path, library: Path) -> str:
    """Compile; the library appears complete or not at all. Returns what went wrong, or nothing."""
    unfinished = library.with_suffix(f".{os.getpid()}.tmp")
    files = [str(path) for path in sorted(sources.glob("*.c"))]
    extra = shlex.split(os.environ.get("CFLAGS", ""))
    try:
        done = subprocess.run(  # noqa: S603
            [*command, *FLAGS, *extra, *files, "-o", str(unfinished), "-lm"],
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode != 0:
        unfinished.unlink(missing_ok=True)
        return f"{shlex.join(command)}: {done.stderr.strip()[-2000:]}"
    unfinished.replace(library)
    return ""
