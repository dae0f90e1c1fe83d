"""Python bytecode that is the same every time.

Containers run on a read-only root and could not write their own.

`unchecked-hash` files (PEP 552) carry no time; their own hash is not compared at start, the layer's digest
has been.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tools.images.errors import ImageError

PYTHON = (3, 11)
# Fixed: what is compiled in one process must not depend on the number of CPUs (marshal writes references by
# count).
SHARES = 4


def shares(entries: Sequence[str], number: int = SHARES) -> list[list[str]]:
    """Deal names out in order, the same way every time; empty shares are left out."""
    ordered = sorted(entries)
    return [share for start in range(number) if (share := ordered[start::number])]


def compile_folder(folder: Path, inside: str) -> None:
    """Compile every module below a folder that will lie at `inside` in the image.

    Raises:
        ImageError: This Python's bytecode is not the image's, or the compiler failed.
    """
    if sys.version_info[:2] != PYTHON:
        raise ImageError(
            f"The images' bytecode is Python {PYTHON[0]}.{PYTHON[1]}'s; this is {sys.version.split()[0]}.",
            hint="Run it through `make images`, whose environment has the right one.",
        )
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        list(
            pool.map(
                lambda share: _compile(folder, inside, share),
                shares([entry.name for entry in folder.iterdir()]),
            )
        )


def _compile(folder: Path, inside: str, names: Sequence[str]) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "compileall", "-qq", "-j", "1"),
            *("--invalidation-mode", "unchecked-hash", "-s", str(folder), "-p", inside),
            *(str(folder / name) for name in names),
        ],
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    # 1: some file did not compile, which is so for templates and for other Pythons' syntax that packages
    # carry.
    if done.returncode not in {0, 1}:
        raise ImageError(f"Compiling {folder} failed:\n{done.stderr.strip()[-800:]}")
