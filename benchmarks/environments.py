"""Environments of the servers we compare with.

Each its own, pinned, made once and kept in the user's cache.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from benchmarks.errors import BenchError

_PINS = Path(__file__).parent / "requirements"
_PYTHON = "3.11"
_INSTALL_SECONDS = 1200


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/leadscore/bench`, by default under `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "leadscore" / "bench"


def environment(name: str) -> Path:
    """The Python of the environment pinned in `requirements/<name>.txt`; installs it the first time.

    Raises:
        BenchError: uv is missing or the installation failed.
    """
    lock = _PINS / f"{name}.txt"
    folder = cache_folder() / f"{name}-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    return install(folder, ("-r", str(lock)))


def pins() -> tuple[str, ...]:
    """What the contenders were asked to be, `name==version`; everything below them is in the `.txt` files."""
    lines = (
        line.strip() for path in sorted(_PINS.glob("*.in")) for line in path.read_text("utf-8").splitlines()
    )
    return tuple(dict.fromkeys(line for line in lines if line and not line.startswith("#")))


def install(folder: Path, requirements: tuple[str, ...]) -> Path:
    """Make the environment `folder` from arguments of `uv pip install`; an unfinished one is made anew."""
    python, complete = folder / "bin" / "python", folder / "complete"
    if complete.exists():
        return python
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _uv("venv", "--quiet", "--python", _PYTHON, str(folder))
    _uv("pip", "install", "--quiet", "--python", str(python), *requirements)
    complete.touch()
    return python


def _uv(*arguments: str) -> None:
    uv = shutil.which("uv")
    if uv is None:
        raise BenchError(
            "uv is not installed, so the other servers cannot be installed.", hint="Run `make setup`."
        )
    # Not from the project's folder: its constraints are for its own environment.
    done = subprocess.run(
        [uv, *arguments],
        cwd=Path.home(),
        capture_output=True,
        text=True,
        timeout=_INSTALL_SECONDS,
        check=False,
    )
    if done.returncode:
        raise BenchError(f"`uv {' '.join(arguments[:2])}` failed: {done.stderr.strip()[-500:]}")
