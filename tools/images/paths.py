"""Where things are: the project's folders, and the cache."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "images"
# Of this package, what decides about an image's content; a change of the others makes no new image.
RECIPE_MODULES = ("bytecode.py", "code.py", "context.py", "normalise.py", "notices.py", "packages.py")

# Of every role, in each part of the cache: the newest, and one of another branch.
KEPT = 2


def cache_root() -> Path:
    """`$XDG_CACHE_HOME/leadscore/images` (default `~/.cache/leadscore/images`)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "leadscore" / "images"


@contextmanager
def only_one(what: str) -> Iterator[None]:
    """Wait until no other process is making the same part of the cache; worktrees share it."""
    lock = cache_root() / "locks" / what
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def keep_newest(paths: list[Path], number: int) -> None:
    """Delete all but the newest of these files and folders.

    Called under the lock, or for what nobody else uses.
    """
    for old in sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True)[number:]:
        if old.is_dir():
            shutil.rmtree(old)
        else:
            old.unlink()
